"""Closed-form similarity between corresponding points."""

import numpy as np

from vgslam.geometry.se3 import Array
from vgslam.geometry.sim3 import Sim3


def umeyama(points_a: Array, points_b: Array, weights: Array | None = None, with_scale: bool = True) -> Sim3:
    """S_a_b that minimises sum w |a - (s R b + t)|^2 (Umeyama, PAMI 1991, eqs. 40-43).

    points_a, points_b (N,3); weights (N,) >= 0. Raises ValueError for fewer than 3 points or a point set without
    extent (rotation unobservable).
    """
    if len(points_a) < 3 or points_a.shape != points_b.shape:
        raise ValueError("umeyama needs at least 3 corresponding points")
    w = np.ones(len(points_a)) if weights is None else np.asarray(weights, np.float64)
    w = w / w.sum()
    mean_a, mean_b = w @ points_a, w @ points_b
    a, b = points_a - mean_a, points_b - mean_b
    cov = (a * w[:, None]).T @ b
    U, D, Vt = np.linalg.svd(cov)
    if D[0] <= 0 or D[1] < 1e-9 * D[0]:
        raise ValueError("umeyama: points are coincident or collinear, the rotation is not determined")
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))])
    R = U @ sign @ Vt
    var_b = float(w @ (b * b).sum(1))
    s = float(np.trace(np.diag(D) @ sign) / var_b) if with_scale else 1.0
    return Sim3(R, mean_a - s * R @ mean_b, s)
