"""Corners and their optical flow: Shi-Tomasi on a grid, pyramidal Lucas-Kanade with a forward-backward check."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.config import ABOVE_ZERO, Least
from vgslam.multiview.peak import peak_between

Gray = npt.NDArray[np.uint8]
Pixels = npt.NDArray[np.float32]
MAX_DETECTION_SIDE_PX = 960
"""Corners of images with a longer side are found at half size."""
LEAST_CELL_PX = 4
"""Least distance of two corners at half size: below it the windows of their flow are the same."""
CORNER_BLOCK_PX, SOBEL_PX = 5, 3
"""Window of the structure tensor, and aperture of its derivatives."""
BORDER_PX = 8
"""No corners are taken this near to the edge: half a window of the optical flow leaves the image there."""
STRONG_SHARE = 20
"""The response of a strong corner is the one that a single cell in this many exceeds."""
LEAST_RESPONSE = 1e-6
"""Least response of a corner; that of a grey surface is less, and comes of rounding alone."""
LEAST_CURVATURE = 1e-12
"""Curvature of the response below which it has no peak between pixels."""
LEAST_WINDOW_PX = 3
"""Least side of the window of optical flow: OpenCV compares nothing smaller."""
FLOW_END, BACK_END = (3, 20, 0.03), (3, 10, 0.03)
"""When the iterations of the flow end, forward and back: both criteria (3), most iterations, smallest step in px."""
LEAST_EIGENVALUE = 1e-4
"""Least smaller eigenvalue of a window's normal matrix, per pixel, below which flow is not determined."""
FLOW_BORDER_PX = 2
"""A point that has come this near to the edge has left the image."""


@dataclass(frozen=True)
class FeatureConfig:
    """Corners and the optical flow that follows them."""

    max_features: int = 500
    """Corners followed at a time."""
    min_distance_px: Annotated[int, ABOVE_ZERO] = 14
    """Least distance of two corners, in px."""
    quality: Annotated[float, ABOVE_ZERO] = 0.005
    """Least response of a corner, as a fraction of that of the strong ones."""
    lk_window_px: Annotated[int, Least(LEAST_WINDOW_PX)] = 15
    """Edge of the window that optical flow compares, in px."""
    lk_levels: Annotated[int, ABOVE_ZERO] = 3
    """Levels of the pyramid of optical flow."""
    max_back_error_px: float = 1.0
    """Largest error of a corner followed forward and back, in px."""


def detect_corners(
    gray: Gray, existing: Pixels, n_wanted: int, config: FeatureConfig,
    allows: Callable[[npt.NDArray], npt.NDArray[np.bool_]] | None = None,
) -> Pixels:  # fmt: skip
    """The strongest corners (N,2), at most one per grid cell of min_distance_px and none near `existing` (M,2).

    allows: tells which pixels (N,2) may be corners, (N,); None allows all.

    Corner strength is the smaller eigenvalue of the structure tensor (Shi and Tomasi, CVPR 1994). Positions are
    refined to sub-pixel by the peak of a parabola through the response.
    """
    if n_wanted <= 0:
        return np.zeros((0, 2), np.float32)
    if max(gray.shape) > MAX_DETECTION_SIDE_PX:
        # a quarter of the work, and optical flow does not need the corner to better than a pixel
        half = cv2.resize(gray, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        smaller = replace(config, min_distance_px=max(LEAST_CELL_PX, config.min_distance_px // 2))
        at_half = None if allows is None else lambda pixels: allows((pixels + 0.5) * 2.0 - 0.5)
        found = detect_corners(half, (existing + 0.5) * 0.5 - 0.5, n_wanted, smaller, at_half)
        return ((found + 0.5) * 2.0 - 0.5).astype(np.float32)
    response = cv2.cornerMinEigenVal(gray, CORNER_BLOCK_PX, ksize=SOBEL_PX)
    border = BORDER_PX
    cell = config.min_distance_px
    h, w = gray.shape
    rows, cols = (h - 2 * border) // cell, (w - 2 * border) // cell
    if rows < 1 or cols < 1:
        return np.zeros((0, 2), np.float32)
    inner = response[border : border + rows * cell, border : border + cols * cell]
    cells = inner.reshape(rows, cell, cols, cell).transpose(0, 2, 1, 3).reshape(rows * cols, cell * cell)
    best = cells.argmax(axis=1)
    strength = cells[np.arange(rows * cols), best]
    u = border + (np.arange(rows * cols) % cols) * cell + best % cell
    v = border + (np.arange(rows * cols) // cols) * cell + best // cell
    if allows is not None:  # before the strong ones are asked how strong they are
        strength = np.where(allows(np.stack([u, v], axis=1)), strength, 0.0)
    occupied = np.zeros((h, w), np.uint8)
    for x, y in existing.astype(np.int32):
        cv2.circle(occupied, (int(x), int(y)), cell, 255, -1)
    n_strong = max(1, len(strength) // STRONG_SHARE)
    reference = float(np.partition(strength, -n_strong)[-n_strong])
    strong = strength > max(config.quality * reference, LEAST_RESPONSE)
    good = strong & (occupied[v, u] == 0) & _is_local_maximum(response, u, v)
    order = np.flatnonzero(good)[np.argsort(-strength[good], kind="stable")][: 2 * n_wanted]
    chosen = _spread(u[order], v[order], cell, n_wanted)
    return _subpixel(response, u[order][chosen], v[order][chosen])


def _is_local_maximum(response: npt.NDArray[np.float32], u: npt.NDArray, v: npt.NDArray) -> npt.NDArray[np.bool_]:
    here = response[v, u]
    return (
        (here >= response[v, u - 1]) & (here >= response[v, u + 1])
        & (here >= response[v - 1, u]) & (here >= response[v + 1, u])
    )  # fmt: skip


def _spread(u: npt.NDArray, v: npt.NDArray, distance: int, n_wanted: int) -> list[int]:
    """Indices of pixels u (N,), v (N,), strongest first, no two closer than `distance` px."""
    if len(u) == 0:
        return []
    side = np.arange(1 - distance, distance)
    near = (side[:, None] ** 2 + side**2 < distance**2).view(np.uint8)
    is_taken = np.zeros((int(v.max()) + 2 * distance, int(u.max()) + 2 * distance), np.uint8)
    chosen: list[int] = []
    for i, (x, y) in enumerate(zip(u.tolist(), v.tolist())):
        if is_taken[y + distance - 1, x + distance - 1]:
            continue
        part = is_taken[y : y + len(side), x : x + len(side)]
        np.bitwise_or(part, near, out=part)
        chosen.append(i)
        if len(chosen) == n_wanted:
            break
    return chosen


def _subpixel(response: npt.NDArray[np.float32], u: npt.NDArray, v: npt.NDArray) -> Pixels:
    here = response[v, u]
    du, _ = peak_between(response[v, u - 1], here, response[v, u + 1], LEAST_CURVATURE)
    dv, _ = peak_between(response[v - 1, u], here, response[v + 1, u], LEAST_CURVATURE)
    return np.stack([u + du, v + dv], axis=1).astype(np.float32)


def track_flow(
    previous: Gray, current: Gray, pixels: Pixels, guess: Pixels, config: FeatureConfig, levels: int | None = None
) -> tuple[Pixels, npt.NDArray[np.bool_]]:
    """Follow pixels (N,2) from previous to current, starting at guess (N,2); returns (N,2) and which succeeded (N,). A
    point succeeds if it stays in the image and, followed back, returns within max_back_error_px."""
    if len(pixels) == 0:
        return np.zeros((0, 2), np.float32), np.zeros(0, bool)
    window = (config.lk_window_px, config.lk_window_px)
    top = (config.lk_levels if levels is None else levels) - 1
    start = guess.astype(np.float32).copy()
    forward, ok, _ = cv2.calcOpticalFlowPyrLK(
        previous, current, pixels, start, winSize=window, maxLevel=top, criteria=FLOW_END,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW, minEigThreshold=LEAST_EIGENVALUE,
    )  # fmt: skip
    # The way back starts at the answer: it only has to confirm it, so two levels are enough.
    back, ok_back, _ = cv2.calcOpticalFlowPyrLK(
        current, previous, forward, pixels.astype(np.float32).copy(), winSize=window, maxLevel=min(1, top),
        criteria=BACK_END, flags=cv2.OPTFLOW_USE_INITIAL_FLOW, minEigThreshold=LEAST_EIGENVALUE,
    )  # fmt: skip
    h, w = current.shape
    edge = FLOW_BORDER_PX
    inside = (forward > edge).all(1) & (forward[:, 0] < w - 1 - edge) & (forward[:, 1] < h - 1 - edge)
    error = np.linalg.norm(back - pixels, axis=1)
    good = (ok[:, 0] == 1) & (ok_back[:, 0] == 1) & inside & (error < config.max_back_error_px)
    return forward, good & np.isfinite(forward).all(1)
