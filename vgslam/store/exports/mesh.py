"""A triangle mesh of the dense depth: a truncated signed distance field (Curless and Levoy, 1996) by Open3D."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vgslam.atomic import write_bytes
from vgslam.errors import InputError, MissingDependencyError
from vgslam.store.exports.component import Component
from vgslam.types import Keyframe

VOXELS_ACROSS = 256
"""Voxels along the median depth: the mesh's resolution follows the scene's unknown unit."""
TRUNCATION_VOXELS = 6


def export_mesh(component: Component, out: Path, min_confidence: float = 0.5) -> str:
    """A coloured PLY mesh, OpenCV axes. Returns what was written, in words.

    Raises MissingDependencyError without Open3D, InputError where there is no dense depth, OutputError.
    """
    try:
        import open3d
    except ImportError as error:
        raise MissingDependencyError("meshes need Open3D: pip install 'vgslam[mesh]'") from error
    with_depth = [k for k in component.keyframes if k.depth is not None]
    medians = [_median_depth(k) for k in with_depth]
    if not medians:
        raise InputError(f"component {component.id} has no dense depth: a mesh needs some")
    voxel = float(np.median(medians)) / VOXELS_ACROSS
    volume = open3d.pipelines.integration.ScalableTSDFVolume(
        voxel, TRUNCATION_VOXELS * voxel, open3d.pipelines.integration.TSDFVolumeColorType.RGB8
    )
    farthest = 4.0 * float(np.median(medians))
    for k in with_depth:
        _integrate(open3d, volume, k, min_confidence, farthest)
    mesh = volume.extract_triangle_mesh()
    vertices, triangles = np.asarray(mesh.vertices), np.asarray(mesh.triangles)
    if not len(triangles):
        raise InputError(f"component {component.id}: its depth maps do not make up a surface")
    import trimesh

    colors = (np.asarray(mesh.vertex_colors) * 255).round().astype(np.uint8)
    built = trimesh.Trimesh(vertices, triangles, vertex_colors=colors, process=False)
    write_bytes(out, bytes(built.export(file_type="ply")))
    return f"{len(vertices)} vertices, {len(triangles)} triangles"


def _median_depth(k: Keyframe) -> float:
    assert k.depth is not None
    known = k.depth[k.depth > 0]
    return float(np.median(known)) * k.S_world_keyframe.s if len(known) else 1.0


def _integrate(open3d: Any, volume: Any, k: Keyframe, min_confidence: float, farthest: float) -> None:
    """Add one keyframe's confident depth, in world units."""
    assert k.depth is not None
    assert k.depth_camera is not None
    depth = k.depth * np.float32(k.S_world_keyframe.s)
    if k.confidence is not None:
        depth = np.where(k.confidence > min_confidence, depth, np.float32(0))
    h, w = depth.shape
    color = cv2.resize(k.image, (w, h), interpolation=cv2.INTER_AREA)
    image = open3d.geometry.RGBDImage.create_from_color_and_depth(
        open3d.geometry.Image(np.ascontiguousarray(color)), open3d.geometry.Image(np.ascontiguousarray(depth)),
        depth_scale=1.0, depth_trunc=farthest, convert_rgb_to_intensity=False,
    )  # fmt: skip
    c = k.depth_camera
    camera = open3d.camera.PinholeCameraIntrinsic(w, h, c.fx, c.fy, c.cx, c.cy)
    volume.integrate(image, camera, np.linalg.inv(k.S_world_keyframe.pose))
