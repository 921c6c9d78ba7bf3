"""Coloured point clouds as PLY files."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from vgslam.atomic import write_atomically

_VERTEX = np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)])


def write_ply(path: Path | str, points: npt.NDArray[np.floating], colors: npt.NDArray[np.uint8]) -> int:
    """Writes points (N,3), stored as float32, with colors (N,3) uint8 RGB as binary little-endian PLY 1.0.

    Points that are not finite are left out; returns how many were written. Raises ValueError for wrong shapes and
    OutputError when the file cannot be written (an existing one stays).
    """
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 3 or points.shape != np.shape(colors):
        raise ValueError(f"points and colors must both be (N,3), got {points.shape} and {np.shape(colors)}")
    if colors.dtype != np.uint8:
        raise ValueError(f"colors must be uint8, got {colors.dtype}")
    finite = np.isfinite(points).all(axis=1)
    vertices = np.empty(int(finite.sum()), _VERTEX)
    vertices["xyz"], vertices["rgb"] = points[finite], colors[finite]
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    lines += [f"property float {axis}" for axis in "xyz"]
    lines += [f"property uchar {color}" for color in ("red", "green", "blue")]

    def write(file: BinaryIO) -> None:
        file.write(("\n".join([*lines, "end_header"]) + "\n").encode("ascii"))
        file.write(vertices.tobytes())

    write_atomically(Path(path), write)
    return len(vertices)
