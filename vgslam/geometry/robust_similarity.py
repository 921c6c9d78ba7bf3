"""The similarity that takes points to others, some of which are wrong."""

from dataclasses import dataclass

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.se3 import Array
from vgslam.geometry.sim3 import Sim3

N_TRIALS = 200
N_ROUNDS = 20
MAD_TO_SIGMA = 1.4826
SAME = 1e-20
"""Variance of points, relative to the square of their distance from the origin, that is rounding."""
TUKEY = 4.685
"""Tukey's limit in standard deviations: 95 % efficient for normal errors."""


@dataclass(frozen=True)
class Fit:
    """A similarity and how well it fits."""

    S: Sim3
    """S_a_b."""
    residuals: Array
    """(N,) distances in units of a."""
    weights: Array
    """(N,) in [0, 1]; 0 for points that were left out."""
    sigma: float
    """Robust standard deviation of one coordinate, in units of a."""
    line_ratio: float
    """Second singular value of the points used over the first: 0 for a straight line."""


def umeyama(a: Array, b: Array, weights: Array | None = None) -> Sim3:
    """S_a_b with least sum of w |a - S b|^2 over points (N,3) (Umeyama, PAMI 1991, eqs. 40-42, weighted). Raises
    ValueError if all points b coincide, or the best scale is not positive."""
    w = np.ones(len(a)) if weights is None else weights
    w = w / w.sum()
    mean_a, mean_b = w @ a, w @ b
    da, db = a - mean_a, b - mean_b
    variance = float(w @ (db * db).sum(axis=1))
    U, D, Vt = np.linalg.svd(da.T @ (w[:, None] * db))
    sign = np.array([1.0, 1.0, 1.0 if np.linalg.det(U @ Vt) > 0 else -1.0])
    scale = float((D * sign).sum()) / variance if variance > SAME * float((b * b).sum(axis=1).max()) else 0.0
    if scale <= 0:
        raise ValueError("the points coincide: they determine no scale")
    R = se3.orthonormalize(U @ np.diag(sign) @ Vt)
    return Sim3(R, mean_a - scale * R @ mean_b, scale)


def fit_similarity(a: Array, b: Array, seed: int = 0) -> Fit:
    """Robust S_a_b from N >= 3 pairs of points (N,3) of which fewer than half may be wrong. The best of many fits to
    three pairs (least median of distances, Rousseeuw, JASA 1984) begins a fit with Tukey's weights. Raises ValueError
    for fewer than three pairs or points that coincide."""
    if len(a) < 3:
        raise ValueError(f"{len(a)} pairs of points, a similarity needs 3")
    S = _start(a, b, np.random.default_rng(seed))
    weights, sigma = np.ones(len(a)), 0.0
    floor = 1e-9 * float(np.linalg.norm(a - np.median(a, axis=0), axis=1).max() + 1e-300)
    for _ in range(N_ROUNDS):
        residuals = np.linalg.norm(a - S.apply(b), axis=1)
        sigma = max(_coordinate_sigma(residuals), floor)
        inside = residuals / (np.sqrt(3.0) * TUKEY * sigma)
        weights = np.where(inside < 1.0, (1.0 - np.minimum(inside, 1.0) ** 2) ** 2, 0.0)
        S = umeyama(a, b, weights)
    residuals = np.linalg.norm(a - S.apply(b), axis=1)
    return Fit(S, residuals, weights, _coordinate_sigma(residuals), line_ratio(a[weights > 0]))


def _coordinate_sigma(distances: Array) -> float:
    """Deviation of one coordinate: the median length of a normal vector in space is 1.538 times that."""
    return float(np.median(distances)) / 1.538


def _start(a: Array, b: Array, rng: np.random.Generator) -> Sim3:
    best, least = None, np.inf
    trials = [np.arange(len(a)), *(rng.choice(len(a), 3, replace=False) for _ in range(N_TRIALS))]
    for chosen in trials:
        try:
            S = umeyama(a[chosen], b[chosen])
        except ValueError:
            continue
        error = float(np.median(np.linalg.norm(a - S.apply(b), axis=1)))
        if error < least:
            best, least = S, error
    if best is None:
        raise ValueError("the points coincide: they determine no scale")
    return best


def line_ratio(points: Array) -> float:
    """Second extent of points (N,3) over the first: 0 for a straight line, for one point, and for none."""
    if len(points) < 2:
        return 0.0
    D = np.linalg.svd(points - points.mean(0), compute_uv=False)
    return float(D[1] / D[0]) if D[0] > 0 else 0.0
