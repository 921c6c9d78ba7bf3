"""Views of a board, and the choice of those that are worth solving with."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.types import Array

Size = tuple[int, int]  # width and height in px
GUESSED_FOCAL = 0.9
"""Focal length, over the image's longer side, by which a board's tilt is judged before anything is known."""
WEIGHTS = np.array([2.0, 2.0, 1.0, 2.0, 2.0])
"""How much place (x, y, over the image), size (octaves) and tilt (sines) count for views to differ."""
CELLS = (8, 10)  # rows and columns of the cells by which the coverage is counted
SIDES = (("top left", "top", "top right"), ("left", "middle", "right"), ("bottom left", "bottom", "bottom right"))
LEAST_OF_THIRD = 0.25  # share of the cells of a ninth of the image below which it is named as not covered


@dataclass(frozen=True)
class BoardView:
    """A board in one image."""

    name: str
    points: Array  # (N,3) corners on the board, z = 0, in units of a square (or a tag's edge)
    pixels: Array  # (N,2)


def normal_of(view: BoardView, size: Size) -> Array:
    """The board's normal (3,), z > 0 towards the camera's back, under the guessed focal length: (0, 0, 1) is a board
    parallel to the image, wherever it is in it."""
    f = GUESSED_FOCAL * max(size)
    K = np.array([[f, 0, (size[0] - 1) / 2], [0, f, (size[1] - 1) / 2], [0, 0, 1]])
    found, rotation, _ = cv2.solvePnP(view.points, view.pixels, K, np.zeros(4), flags=cv2.SOLVEPNP_IPPE)
    normal = cv2.Rodrigues(rotation)[0][:, 2] if found else np.array([0.0, 0.0, 1.0])
    return np.asarray(normal * (1.0 if normal[2] >= 0 else -1.0), np.float64)


def tilt_deg(normals: Array) -> Array:
    """Angles (N,) between boards and the image plane, of normals (N,3)."""
    return np.asarray(np.degrees(np.arccos(np.clip(normals[:, 2], -1.0, 1.0))))


def choose(views: Sequence[BoardView], normals: Array, size: Size, most: int) -> list[int]:
    """Indices, ascending, of at most `most` views that differ most in place, size and tilt: each next one is the
    farthest from those chosen (Gonzalez 1985), beginning with the one with the most corners."""
    if len(views) <= most:
        return list(range(len(views)))
    features = WEIGHTS * np.array([_feature(v, n, size) for v, n in zip(views, normals, strict=True)])
    chosen = [max(range(len(views)), key=lambda i: len(views[i].points))]
    nearest = np.linalg.norm(features - features[chosen[0]], axis=1)
    while len(chosen) < most:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(features - features[chosen[-1]], axis=1))
    return sorted(chosen)


def _feature(view: BoardView, normal: Array, size: Size) -> Array:
    centre = view.pixels.mean(axis=0) / size
    area = np.linalg.norm(np.ptp(view.pixels, axis=0) / size)
    return np.array([*centre, np.log2(max(float(area), 1e-3)), normal[0], normal[1]])


def covered(pixels: npt.NDArray[np.float64], size: Size) -> npt.NDArray[np.bool_]:
    """Cells (rows, columns) of the image that hold a corner (N,2)."""
    rows, columns = CELLS
    cells = np.zeros(CELLS, bool)
    x = np.clip(((pixels[:, 0] + 0.5) / size[0] * columns).astype(int), 0, columns - 1)
    y = np.clip(((pixels[:, 1] + 0.5) / size[1] * rows).astype(int), 0, rows - 1)
    cells[y, x] = True
    return cells


def bare_parts(cells: npt.NDArray[np.bool_]) -> list[str]:
    """Ninths of the image where hardly a cell is covered, in words."""
    rows = [cells[: CELLS[0] // 3 + 1], cells[CELLS[0] // 3 : -(CELLS[0] // 3)], cells[-(CELLS[0] // 3) - 1 :]]
    third = CELLS[1] // 3
    parts = [(row[:, :third], row[:, third:-third], row[:, -third:]) for row in rows]
    return [name for names, row in zip(SIDES, parts) for name, part in zip(names, row) if part.mean() < LEAST_OF_THIRD]
