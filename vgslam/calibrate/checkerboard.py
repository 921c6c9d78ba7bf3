"""Checkerboards, by OpenCV's sector-based search."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.types import Array

Gray = npt.NDArray[np.uint8]
SEARCHED_PX = 1280
"""Longer side of the image that is searched; in a larger one the corners are then refined."""
WINDOW_OF_SPACING, WINDOW_RANGE = 0.25, (2, 11)
"""Half the window of the refinement: this part of the least distance of two corners, within limits in px."""


@dataclass
class Checkerboard:
    """A board of `columns` x `rows` inner corners, all of which must be seen."""

    columns: int
    rows: int

    def find(self, gray: Gray) -> tuple[Array, Array] | None:
        """Points on the board (N,3) in squares, and pixels (N,2); which end is the first is left open."""
        scale = min(1.0, SEARCHED_PX / max(gray.shape))
        small = gray if scale == 1.0 else cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        flags = cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_ACCURACY
        found, corners = cv2.findChessboardCornersSB(small, (self.columns, self.rows), flags=flags)
        if not found:
            return None
        pixels = np.asarray(corners, np.float64).reshape(-1, 2)
        if scale != 1.0:
            factors = np.array([gray.shape[1] / small.shape[1], gray.shape[0] / small.shape[0]])
            pixels = refined(gray, (pixels + 0.5) * factors - 0.5, self.columns)
        y, x = np.divmod(np.arange(self.columns * self.rows), self.columns)
        return np.stack([x, y, np.zeros_like(x)], axis=1).astype(np.float64), pixels


def refined(gray: Gray, pixels: Array, columns: int) -> Array:
    """Corners (N,2) of a grid, row by row, moved to where the gradients around them meet."""
    grid = pixels.reshape(-1, columns, 2)
    steps = [np.linalg.norm(np.diff(grid, axis=axis), axis=-1).min(initial=np.inf) for axis in (0, 1)]
    half = int(np.clip(WINDOW_OF_SPACING * min(steps), *WINDOW_RANGE))
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 50, 1e-3)
    moved = cv2.cornerSubPix(gray, pixels.astype(np.float32).reshape(-1, 1, 2), (half, half), (-1, -1), criteria)
    return np.asarray(moved, np.float64).reshape(-1, 2)
