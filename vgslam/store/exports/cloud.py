"""The coloured cloud of a component, within bounded memory, as PLY or glTF."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from vgslam.errors import InputError
from vgslam.map.cloud import point_cloud
from vgslam.results.ply import write_ply
from vgslam.store.exports.component import Component
from vgslam.store.exports.gltf import gltf_axes, write_gltf
from vgslam.store.exports.suffixes import check_suffix
from vgslam.types import Array


def cloud_of(component: Component, max_points: int = 2_000_000) -> tuple[Array, npt.NDArray[np.uint8]]:
    """Points (N,3) in the component's frame, N <= max_points, and colours (N,3): landmarks and confident dense depth.
    Raises InputError when there are none."""
    points, colors = point_cloud(component.slam_map, max_points=max_points, component_id=component.id)
    if not len(points):
        raise InputError(f"component {component.id} has no points: neither landmarks nor dense depth")
    return points, colors


def export_ply(component: Component, out: Path) -> str:
    """A PLY cloud, OpenCV axes. Returns what was written, in words. Raises ConfigError for another ending, InputError,
    OutputError."""
    check_suffix("ply", out)
    n = write_ply(out, *cloud_of(component))
    return f"{n} points"


def export_gltf(component: Component, out: Path) -> str:
    """A glTF 2.0 cloud, y up: .gltf, or binary (.glb). Returns what was written, in words. Raises ConfigError for
    another ending, InputError and OutputError."""
    import trimesh

    suffix = check_suffix("gltf", out)
    points, colors = cloud_of(component)
    opaque = np.concatenate([colors, np.full((len(colors), 1), 255, np.uint8)], axis=1)
    write_gltf(out, trimesh.PointCloud(points @ gltf_axes(component).T, colors=opaque), suffix)
    return f"{len(points)} points"
