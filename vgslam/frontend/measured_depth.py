"""A network's depth in the map's units, with the error that it is measured to have on this video."""

from dataclasses import dataclass

import numpy as np

from vgslam.geometry.camera import Camera
from vgslam.types import Array, Ids, WindowPrediction

MIN_COMMON = 40
"""Least landmarks of measured depth: one half gives the scale, and twenty others have to agree with it."""
MAX_LOG_SPREAD = 0.3
"""Largest robust deviation of the logarithm of (measured depth / predicted): beyond it the two see different scenes."""
MAX_LOG_OFFSET = 0.15
"""Largest difference between the logarithms of the two halves' scales."""
LEAST_REL_SIGMA = 0.1
"""Least relative deviation: errors of neighbouring pixels are alike, which the spread of single ones does not tell."""


@dataclass(frozen=True)
class DepthScale:
    """What a network's unit is in the map, and how far its depth is off there."""

    scale: float
    """Map units per unit of the prediction."""
    rel_sigma: float
    """Relative deviation of the depth, measured at landmarks that had no part in the scale."""


def depth_scale(measured: Array, predicted: Array, ids: Ids) -> DepthScale | None:
    """Scale and deviation of predicted depths (M,) from measured ones (M,) of landmarks `ids` (M,). Every other
    landmark, by its id, gives the scale: the median of the ratios. The others are held out; None if these are too few,
    or say another scale, or scatter too much."""
    usable = (predicted > 0) & (measured > 0)
    log_ratio, ids = np.log(measured[usable] / predicted[usable]), ids[usable]
    _, rank = np.unique(ids, return_inverse=True)
    held = rank % 2 == 1
    if len(np.unique(ids)) < MIN_COMMON or not held.any():
        return None
    middle, other = float(np.median(log_ratio[~held])), float(np.median(log_ratio[held]))
    spread = 1.48 * float(np.median(np.abs(log_ratio[held] - middle)))
    if spread > MAX_LOG_SPREAD or abs(other - middle) > MAX_LOG_OFFSET:
        return None
    return DepthScale(float(np.exp(middle)), max(spread, LEAST_REL_SIGMA))


def depth_of(prediction: WindowPrediction, camera: Camera, n: Ids, pixels: Array) -> Array:
    """Predicted depth (M,) at pixels (M,2) of window images n (M,), in the prediction's unit, 0 where there is none."""
    v, u = camera.cell_at(pixels, prediction.depth.shape[1:])
    return prediction.depth[n, v, u].astype(np.float64)
