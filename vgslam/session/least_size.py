"""The smallest images that a camera can be tracked in."""

from math import ceil

from vgslam.frontend.features import BORDER_PX, FeatureConfig

LEAST_CORNERS = 76
"""Cells of the grid of corners, borders left out, with which rendered walks are tracked from begin to end (160x120); 66
are sometimes enough to begin."""
STEP_PX = 8
"""Sizes are named in steps of this."""


def trouble_with_size(width: int, height: int) -> str | None:
    """One clause for images that are too small, with the smallest size of their shape that works; None for others."""
    if _cells(width, height) >= LEAST_CORNERS:
        return None
    w, h = width, height
    while _cells(w, h) < LEAST_CORNERS:
        w += STEP_PX - w % STEP_PX
        h = STEP_PX * ceil(w * height / width / STEP_PX)
    why = "too small: there is no room for enough corners"
    return f"its images of {width}x{height} px are {why}; at least {w}x{h} works"


def _cells(width: int, height: int) -> float:
    cell = FeatureConfig().min_distance_px
    return max(width - 2 * BORDER_PX, 0) * max(height - 2 * BORDER_PX, 0) / cell**2
