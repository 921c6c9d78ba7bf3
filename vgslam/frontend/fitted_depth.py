"""A network's depth map laid onto what its keyframe has measured: scaled, bent where landmarks agree how, and as sure
as landmarks that had no part in it say."""

from dataclasses import dataclass

import numpy as np

from vgslam.frontend.measured_depth import LEAST_REL_SIGMA, depth_scale
from vgslam.types import Array, Float32, Ids

BANDWIDTH = 0.05
"""Deviation of the weight of a landmark's error around it, as a share of the map's width: networks are off by whole
surfaces."""
PRIOR = 0.1
"""Weight of no error besides the scale's: that of a landmark 2.1 bandwidths away."""
MAX_LOG_ERROR = 0.7
"""Largest error of a landmark that says something of the map around it: with half or twice the depth, one of the two
lies on something else."""
UNSURE_REL_SIGMA = 0.3
"""Relative deviation at which the confidence is 0."""


@dataclass(frozen=True)
class FittedDepth:
    """A depth map in the units of the landmarks, and how sure it is."""

    depth: Float32
    """(h,w); 0 where the network says nothing."""
    confidence: Float32
    """(h,w) in 0 to 1: 1 - relative deviation / UNSURE_REL_SIGMA."""


def fit_depth(predicted: Float32, cells: tuple[Ids, Ids], measured: Array, ids: Ids) -> FittedDepth | None:
    """The depth map predicted (h,w) fitted to the depths measured (M,) of landmarks ids (M,) in the cells (rows (M,),
    columns (M,)). None where they do not agree with it (`depth_scale`).

    The errors of log depth at one half of the landmarks, smoothed, are taken out if the other half is then nearer; how
    near it is is the deviation there, and that of the scale alone where no landmark is near."""
    at = predicted[cells].astype(np.float64)
    scale = depth_scale(measured, at, ids)
    if scale is None:
        return None
    error = np.full(len(at), np.inf)
    usable = (at > 0) & (measured > 0)
    error[usable] = np.log(measured[usable] / (scale.scale * at[usable]))
    near = np.abs(error) < MAX_LOG_ERROR
    rows, columns, error, ids = cells[0][near], cells[1][near], error[near], ids[near]
    held = np.unique(ids, return_inverse=True)[1] % 2 == 1
    bend, _ = _smoothed(predicted.shape, rows[~held], columns[~held], error[~held])
    flat_sigma, bent_sigma = _deviation(error[held]), _deviation(error[held] - bend[rows[held], columns[held]])
    depth = scale.scale * predicted.astype(np.float64)
    if bent_sigma >= flat_sigma:
        return FittedDepth(depth.astype(np.float32), _confidence(np.full(depth.shape, flat_sigma), depth))
    bend, known = _smoothed(predicted.shape, rows, columns, error)
    sigma = np.sqrt(known * bent_sigma**2 + (1.0 - known) * flat_sigma**2)
    return FittedDepth((depth * np.exp(bend)).astype(np.float32), _confidence(sigma, depth))


def _smoothed(shape: tuple[int, ...], rows: Ids, columns: Ids, error: Array) -> tuple[Array, Array]:
    """Errors (M,) at cells smoothed over the map (h,w), with a prior of none (Nadaraya and Watson, 1964); and what
    share (h,w) of the weight there is not the prior's."""
    h, w = shape
    down = np.exp(-0.5 * ((np.arange(h)[:, None] - rows) / (BANDWIDTH * w)) ** 2)
    across = np.exp(-0.5 * ((np.arange(w)[:, None] - columns) / (BANDWIDTH * w)) ** 2)
    weight = down @ across.T
    return (down * error) @ across.T / (weight + PRIOR), weight / (weight + PRIOR)


def _deviation(error: Array) -> float:
    """Robust deviation, not less than errors of neighbours that are alike allow."""
    return max(1.48 * float(np.median(np.abs(error))), LEAST_REL_SIGMA) if len(error) else UNSURE_REL_SIGMA


def _confidence(rel_sigma: Array, depth: Array) -> Float32:
    return np.where(depth > 0, np.clip(1.0 - rel_sigma / UNSURE_REL_SIGMA, 0.0, 1.0), 0.0).astype(np.float32)
