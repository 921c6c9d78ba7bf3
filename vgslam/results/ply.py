"""Coloured point clouds as PLY files."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from vgslam.atomic import write_atomically

_VERTEX = np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)])
_FIRST_LINES = ["ply", "format binary_little_endian 1.0"]
_PROPERTIES = [
    *(f"property float {axis}" for axis in "xyz"), *(f"property uchar {color}" for color in ("red", "green", "blue")),
]  # fmt: skip
_END = b"end_header\n"
_MOST_HEADER_BYTES = 4096


def write_ply(path: Path | str, points: npt.NDArray[np.floating], colors: npt.NDArray[np.uint8]) -> int:
    """Writes points (N,3), stored as float32, with colors (N,3) uint8 RGB as binary little-endian PLY 1.0. Points that
    are not finite are left out; returns how many were written. Raises ValueError for wrong shapes and OutputError when
    the file cannot be written (an existing one stays)."""
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 3 or points.shape != np.shape(colors):
        raise ValueError(f"points and colors must both be (N,3), got {points.shape} and {np.shape(colors)}")
    if colors.dtype != np.uint8:
        raise ValueError(f"colors must be uint8, got {colors.dtype}")
    finite = np.isfinite(points).all(axis=1)
    vertices = np.empty(int(finite.sum()), _VERTEX)
    vertices["xyz"], vertices["rgb"] = points[finite], colors[finite]
    lines = [*_FIRST_LINES, f"element vertex {len(vertices)}", *_PROPERTIES]

    def write(file: BinaryIO) -> None:
        file.write("".join(f"{line}\n" for line in lines).encode("ascii") + _END)
        file.write(vertices.view(np.uint8).data)  # a copy would take as much memory again

    write_atomically(Path(path), write)
    return len(vertices)


def read_ply_sample(path: Path, most: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8], int]:
    """An even selection of at most `most` points (N,3), with colors (N,3) uint8, of a file that `write_ply` made, and
    how many it holds. No more than the selection is held in memory. Raises ValueError, in one line, for any other file,
    and OSError."""
    with path.open("rb") as file:
        head = file.read(_MOST_HEADER_BYTES)
    end = head.find(_END)
    lines = head[: max(end, 0)].decode("ascii", errors="replace").splitlines()
    numbers = [line.removeprefix("element vertex ") for line in lines if line.startswith("element vertex ")]
    if end < 0 or lines[:2] != _FIRST_LINES or lines[3:] != _PROPERTIES or len(numbers) != 1:
        raise ValueError("is no cloud as vgslam writes it")
    n = (path.stat().st_size - end - len(_END)) // _VERTEX.itemsize
    if numbers[0] != str(n):
        raise ValueError("is cut short, or longer than it says")
    if n == 0:
        return np.zeros((0, 3)), np.zeros((0, 3), np.uint8), 0
    vertices = np.memmap(path, _VERTEX, "r", offset=end + len(_END), shape=(n,))
    chosen = np.array(vertices[:: max(1, -(-n // most))])
    finite = np.isfinite(chosen["xyz"]).all(axis=1)
    return chosen["xyz"][finite].astype(np.float64), chosen["rgb"][finite], n
