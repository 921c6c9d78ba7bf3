"""A location from points with outliers: the mean under a Student-t distribution."""

import numpy as np

from vgslam.geometry.se3 import Array

_DOF = 5.0
_MAX_ITERATIONS = 100


def geometric_median(points: Array, n_iterations: int = 50) -> Array:
    """Point (3,) with the least sum of distances from points (N,3), by Weiszfeld's iteration."""
    x: Array = np.median(points, axis=0)
    for _ in range(n_iterations):
        w = 1.0 / np.maximum(np.linalg.norm(points - x, axis=1), 1e-12 * (1.0 + np.abs(points).max()))
        x = w @ points / w.sum()
    return x


def student_t_mean(points: Array, dof: float = _DOF) -> tuple[Array, Array]:
    """Mean (3,) of points (N,3) under an isotropic Student-t distribution, and the points' weights (N,), of sum 1.
    Expectation maximisation (Liu and Rubin, Statistica Sinica 1995) from the geometric median; equal points give
    themselves. ValueError for none."""
    if not len(points):
        raise ValueError("mean of no points")
    x = geometric_median(points)
    extent = float(np.linalg.norm(points - x, axis=1).max())
    variance = float(np.median(np.sum((points - x) ** 2, axis=1))) / 3.0
    weights = np.full(len(points), 1.0 / len(points))
    floor = (1e-12 * (extent + np.abs(points).max())) ** 2 + 1e-300
    for _ in range(_MAX_ITERATIONS):
        squared = np.sum((points - x) ** 2, axis=1)
        w = (dof + 3.0) / (dof + squared / max(variance, floor))
        variance = float(w @ squared) / (3.0 * len(points))
        weights = w / w.sum()
        moved = weights @ points
        is_done = np.linalg.norm(moved - x) <= 1e-13 * (extent + 1e-300)
        x = moved
        if is_done:
            break
    return x, weights
