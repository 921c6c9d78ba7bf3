"""Where between samples a row of them has its peak: that of the parabola through three of them."""

import numpy as np

from vgslam.types import Array


def peak_between(before: Array, here: Array, after: Array, least_curvature: float) -> tuple[Array, Array]:
    """How far, in samples, the peak is from `here` towards `after`, -0.5 to 0.5, and how much the three curve; any
    shape. The peak is at `here` where they curve no more than least_curvature."""
    curvature = 2 * here - before - after
    offset = np.where(curvature > least_curvature, 0.5 * (after - before) / np.maximum(curvature, least_curvature), 0.0)
    return np.clip(offset, -0.5, 0.5), curvature
