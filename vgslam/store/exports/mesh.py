"""A triangle mesh of the dense depth: a truncated signed distance field (Curless and Levoy, 1996) by Open3D."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vgslam.atomic import write_bytes
from vgslam.errors import ConfigError, InputError, MissingDependencyError
from vgslam.geometry import se3
from vgslam.guards.wording import first_line
from vgslam.store.exports.cloud import gltf_axes, write_gltf
from vgslam.store.exports.component import Component
from vgslam.store.exports.suffixes import GLTF, check_suffix
from vgslam.types import Keyframe

VOXELS_ACROSS = 256  # voxels along the median depth: the mesh's resolution follows the scene's unknown unit
TRUNCATION_VOXELS = 6.0
_PIXEL_CORNER = np.array([[0.0, 0.0, 0.5], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
"""Open3D cuts off the fraction of a voxel's pixel: the centre of the top-left pixel is (0.5, 0.5) there."""
FARTHEST = 4.0  # depth beyond this multiple of the median depth is left out


def export_mesh(
    component: Component, out: Path, min_confidence: float = 0.5, max_faces: int | None = None
) -> str:  # fmt: skip
    """A coloured mesh as .ply or .obj, OpenCV axes, or .glb or .gltf, y up, of at most max_faces triangles where it
    does not fold over with so few. Returns what was written, in words. Raises MissingDependencyError without Open3D,
    ConfigError for another ending or max_faces below 1, InputError if there is no dense depth, OutputError."""
    suffix = check_suffix("mesh", out)
    if max_faces is not None and max_faces < 1:
        raise ConfigError(f"--max-faces must be at least 1, got {max_faces}")
    try:
        import open3d
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"meshes need Open3D: pip install 'vgslam[mesh]' ({error})") from error
    except (ImportError, OSError) as error:
        what = "meshes need Open3D, which is installed and cannot be loaded"
        advice = "a library that is named comes with the system's package manager"
        raise MissingDependencyError(f"{what} ({first_line(error)}); {advice}") from error
    with_depth = [k for k in component.keyframes if k.depth is not None]
    medians = [_median_depth(k) for k in with_depth]
    if not medians:
        raise InputError(f"component {component.id} has no dense depth: a mesh needs some")
    median = float(np.median(medians))
    grid = _grid(open3d, median / VOXELS_ACROSS)
    n_used = sum([_integrate(open3d, grid, k, min_confidence, FARTHEST * median) for k in with_depth])
    if not n_used:
        raise InputError(f"component {component.id}: its dense depth is nowhere sure enough for a mesh "
                         f"(confidence above {min_confidence:g})")  # fmt: skip
    mesh = grid.extract_triangle_mesh(weight_threshold=0.5)
    if "indices" not in mesh.triangle or not len(mesh.triangle.indices):
        raise InputError(f"component {component.id}: its depth maps do not make up a surface")
    mesh = mesh.to_legacy()
    n_built = len(mesh.triangles)
    if max_faces is not None and n_built > max_faces:
        mesh = mesh.simplify_quadric_decimation(max_faces)
    _write(component, mesh, out, suffix)
    n = len(mesh.triangles)
    fewer = f", decimated from {n_built}" if n < n_built else ""
    if max_faces is not None and n > max_faces:
        fewer += f", not to {max_faces}: with fewer it would fold over"
    return f"{len(mesh.vertices)} vertices, {n} triangles{fewer}"


def _write(component: Component, mesh: Any, out: Path, suffix: str) -> None:
    import trimesh

    is_gltf = suffix in GLTF
    vertices = np.asarray(mesh.vertices)
    colors = np.clip(np.asarray(mesh.vertex_colors) * 255, 0, 255).round().astype(np.uint8)
    placed = vertices @ gltf_axes(component).T if is_gltf else vertices
    built = trimesh.Trimesh(placed, np.asarray(mesh.triangles), vertex_colors=colors, process=False)
    if is_gltf:
        write_gltf(out, built, suffix)
    else:
        data = built.export(file_type=suffix[1:])
        write_bytes(out, data.encode() if isinstance(data, str) else bytes(data))


def _grid(open3d: Any, voxel: float) -> Any:
    """An empty signed distance field with colour, of blocks that are made where they are needed."""
    float32 = open3d.core.float32
    return open3d.t.geometry.VoxelBlockGrid(
        ("tsdf", "weight", "color"), (float32, float32, float32), ((1), (1), (3)), voxel, 16, 10_000
    )


def _median_depth(k: Keyframe) -> float:
    assert k.depth is not None
    known = k.depth[k.depth > 0]
    return float(np.median(known)) * k.S_world_keyframe.s if len(known) else 1.0


def _integrate(open3d: Any, grid: Any, k: Keyframe, min_confidence: float, farthest: float) -> bool:
    """Add one keyframe's confident depth, in world units; whether there is any."""
    assert k.depth is not None
    assert k.depth_camera is not None
    depth = k.depth * np.float32(k.S_world_keyframe.s)
    if k.confidence is not None:
        depth = np.where(k.confidence > min_confidence, depth, np.float32(0))
    depth = np.where(depth < farthest, depth, np.float32(0))  # Open3D fails where nothing is within its range
    if not (depth > 0).any():
        return False
    h, w = depth.shape
    color = cv2.resize(k.image, (w, h), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    depth_image = open3d.t.geometry.Image(np.ascontiguousarray(depth))
    color_image = open3d.t.geometry.Image(color)
    K = open3d.core.Tensor(k.depth_camera.K + _PIXEL_CORNER)
    T_cam_world = open3d.core.Tensor(se3.inverse(k.S_world_keyframe.pose))
    range_of_depth = (1.0, farthest, TRUNCATION_VOXELS)  # units per depth value, farthest depth, truncation
    blocks = grid.compute_unique_block_coordinates(depth_image, K, T_cam_world, *range_of_depth)
    grid.integrate(blocks, depth_image, color_image, K, K, T_cam_world, *range_of_depth)
    return True
