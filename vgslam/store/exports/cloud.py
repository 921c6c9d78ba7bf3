"""The coloured cloud of a component, within bounded memory, as PLY or glTF."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from vgslam.atomic import write_bytes
from vgslam.errors import InputError
from vgslam.map.cloud import point_cloud
from vgslam.results.ply import write_ply
from vgslam.store.exports.component import Component
from vgslam.types import Array

GLTF_AXES = np.diag([1.0, -1.0, -1.0])
"""OpenCV axes (y down, z forward) to those of glTF and OpenGL (y up, z backward)."""
GLTF_UPRIGHT = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""Axes of an upright component (z up) to those of glTF (y up)."""


def cloud_of(component: Component, max_points: int = 2_000_000) -> tuple[Array, npt.NDArray[np.uint8]]:
    """Points (N,3) in the component's frame, N <= max_points, and colours (N,3): landmarks and confident dense depth.

    Raises InputError when there are none.
    """
    points, colors = point_cloud(component.slam_map, max_points=max_points, component_id=component.id)
    if not len(points):
        raise InputError(f"component {component.id} has no points: neither landmarks nor dense depth")
    return points, colors


def export_ply(component: Component, out: Path) -> str:
    """A PLY cloud, OpenCV axes. Returns what was written, in words. Raises InputError and OutputError."""
    n = write_ply(out, *cloud_of(component))
    return f"{n} points"


def export_gltf(component: Component, out: Path) -> str:
    """A binary glTF 2.0 cloud (.glb), y up. Returns what was written, in words. Raises InputError and OutputError."""
    import trimesh

    points, colors = cloud_of(component)
    axes = GLTF_UPRIGHT if component.world.is_upright else GLTF_AXES
    scene = trimesh.Scene(trimesh.PointCloud(points @ axes.T, colors=_opaque(colors)))
    write_bytes(out, bytes(scene.export(file_type="glb")))
    return f"{len(points)} points"


def _opaque(colors: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.concatenate([colors, np.full((len(colors), 1), 255, np.uint8)], axis=1)
