"""The coloured cloud of a component, within bounded memory, as PLY or glTF 2.0."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vgslam.atomic import write_bytes
from vgslam.errors import InputError
from vgslam.map.cloud import point_cloud
from vgslam.results.ply import write_ply
from vgslam.store.exports.component import Component
from vgslam.store.exports.suffixes import check_suffix
from vgslam.types import Array


def cloud_of(component: Component, max_points: int = 2_000_000) -> tuple[Array, npt.NDArray[np.uint8]]:
    """Points (N,3), N <= max_points, and colours (N,3) of the component: landmarks and confident depth. Raises
    InputError."""
    points, colors = point_cloud(component.slam_map, max_points=max_points, component_id=component.id)
    if not len(points):
        raise InputError(f"component {component.id} has no points: neither landmarks nor dense depth")
    return points, colors


def export_ply(component: Component, out: Path) -> str:
    """A PLY cloud, OpenCV axes; returns what was written. Raises ConfigError for another ending, InputError,
    OutputError."""
    check_suffix("ply", out)
    n = write_ply(out, *cloud_of(component))
    return f"{n} points"


def export_gltf(component: Component, out: Path) -> str:
    """A glTF 2.0 cloud, y up, .gltf or .glb; returns what was written. Raises ConfigError, InputError and
    OutputError."""
    import trimesh

    suffix = check_suffix("gltf", out)
    points, colors = cloud_of(component)
    opaque = np.concatenate([colors, np.full((len(colors), 1), 255, np.uint8)], axis=1)
    write_gltf(out, trimesh.PointCloud(points @ gltf_axes(component).T, colors=opaque), suffix)
    return f"{len(points)} points"


GLTF_AXES = np.diag([1.0, -1.0, -1.0])  # OpenCV axes (y down, z forward) to those of glTF and OpenGL (y up, z backward)
GLTF_UPRIGHT = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""Axes of an upright component (z up) to those of glTF (y up)."""


def gltf_axes(component: Component) -> Array:
    """R_gltf_component (3,3)."""
    return GLTF_UPRIGHT if component.world.is_upright else GLTF_AXES


def write_gltf(out: Path, geometry: Any, suffix: str) -> None:
    """A trimesh geometry, in glTF's axes, as .glb (binary) or .gltf (text, its data within). Raises OutputError."""
    import trimesh
    from trimesh.exchange.gltf import export_glb, export_gltf

    scene = trimesh.Scene(geometry)
    if suffix == ".gltf":
        files = export_gltf(scene, embed_buffers=True)
        write_bytes(out, files["model.gltf"])
    else:
        write_bytes(out, bytes(export_glb(scene)))
