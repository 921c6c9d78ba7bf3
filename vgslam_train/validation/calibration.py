"""Whether the deviation that a network states for its depth is the one that its errors have.

The error is that of log depth when the window's own scale, the median, is taken out; stated is the scale b of a Laplace
distribution. A share p of the errors should be below -b log(1 - p), for every p (Kuleshov et al., arXiv 1807.00263),
among the pixels of much the same b (Levi et al., arXiv 1905.11659): over all pixels together the deviations may be
right in the mean and say nothing of any one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[np.float64]

LEVELS = np.arange(1, 10) / 10
"""Shares at which stated and true distribution are compared."""
N_BINS, LEAST_BIN = 10, 100
"""Groups of equally many pixels by stated deviation, and the fewest pixels of one: fewer make fewer groups."""


@dataclass(frozen=True)
class Calibration:
    """Over the pixels of all windows; NaN when there are none."""

    expected_error: float
    """Expected calibration error: mean over groups of pixels and LEVELS of |share of a group's errors below the stated
    quantile - level|."""
    surer_half: float
    """Mean error of the half with the smaller stated deviation, as a share of that of all: 1 when what is stated says
    nothing."""
    count: int


def calibration(errors: Array, scales: Array) -> Calibration:
    """Errors (N,) of log depth and the stated Laplace scales (N,) > 0; an error that is not finite is beyond all."""
    if not len(errors):
        return Calibration(float("nan"), float("nan"), 0)
    size = np.nan_to_num(np.abs(errors), nan=np.inf)
    reached = -np.expm1(-size / scales)
    order = np.argsort(scales, kind="stable")
    groups = np.array_split(order, min(N_BINS, max(1, len(size) // LEAST_BIN)))
    observed = np.array([[np.mean(reached[group] <= level) for level in LEVELS] for group in groups])
    surer = size[order[: max(1, len(size) // 2)]]
    mean = float(size.mean())
    share = float(surer.mean()) / mean if np.isfinite(mean) and mean > 0 else float("nan")
    return Calibration(float(np.abs(observed - LEVELS).mean()), share, len(errors))


def log_depth_errors(depth_true: Tensor, depth_guess: Tensor) -> Array:
    """Errors (N,) of log depth at the known pixels of windows (B,S,H,W), each without its window's median error."""
    known = depth_true > 0
    difference = depth_guess.double().log() - depth_true.double().clamp(min=1e-9).log()
    median = torch.nan_to_num(difference.masked_fill(~known, torch.nan).flatten(1).nanmedian(dim=1).values)
    return np.asarray((difference - median[:, None, None, None])[known].cpu().numpy(), np.float64)
