"""glTF 2.0 files: axes, and one file that holds everything."""

from pathlib import Path
from typing import Any

import numpy as np

from vgslam.atomic import write_bytes
from vgslam.store.exports.component import Component
from vgslam.types import Array

GLTF_AXES = np.diag([1.0, -1.0, -1.0])
"""OpenCV axes (y down, z forward) to those of glTF and OpenGL (y up, z backward)."""
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
