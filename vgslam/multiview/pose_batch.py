"""The poses of many frames at once, each alone, from landmarks that are held fixed.

The measurement and its weights are those of `multiview/pnp.py`: a landmark whose depth along its host's ray is
uncertain has the residual covariance sigma_px^2 I + e e^T. A weak prior at the pose where the frame starts decides what
few observations leave open.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH
from vgslam.geometry.powers import so3_exp_many
from vgslam.multiview.pnp import CAUCHY_SIGMAS, WIDE_CAUCHY_SIGMAS, WIDE_STEPS
from vgslam.types import Array

ITERATIONS = 4
"""Steps: two wide ones, and two more from starts that are a few pixels off."""
PRIOR_ROTATION_RAD, PRIOR_SHARE_OF_DEPTH = 0.02, 0.02
"""Standard deviations of the start: 1 degree, and 2 % of the median depth. A hundred good observations are a hundred
times as sure; five are not."""


@dataclass(frozen=True)
class PoseBatch:
    """F frames with up to N observations each."""

    T_cam_world: Array
    """(F,4,4): where each starts, and the centre of its prior."""
    focal: Array
    """(F,2) in px."""
    centre: Array
    """(F,2): principal points."""
    landmarks: Array
    """(F,N,3) in the world."""
    direction: Array
    """(F,N,3): landmark - host centre."""
    rel_sigma: Array
    """(F,N): relative deviation of the depth along `direction`."""
    pixels: Array
    """(F,N,2)."""
    is_seen: npt.NDArray[np.bool_]
    """(F,N): False where a frame has fewer observations."""


@dataclass(frozen=True)
class BatchFit:
    """Poses of F frames."""

    T_cam_world: Array
    """(F,4,4)."""
    covariance: Array
    """(F,6,6), as in `PoseFit`."""
    is_inlier: npt.NDArray[np.bool_]
    """(F,N)."""


def adjust_poses(batch: PoseBatch, sigma_px: float, gate: float, iterations: int = ITERATIONS) -> BatchFit:
    """Gauss-Newton with Cauchy weights for every frame, in a fixed number of steps; `gate` (sigmas): the inliers."""
    T, start = batch.T_cam_world.copy(), batch.T_cam_world
    precision = _prior_precision(batch)
    H = np.zeros((len(T), 6, 6))
    for i in range(iterations):
        r, J, d2 = _whitened(batch, T, sigma_px, with_jacobian=True)
        width = WIDE_CAUCHY_SIGMAS if i < WIDE_STEPS else CAUCHY_SIGMAS
        weight = np.where(np.isfinite(d2), 1.0 / (1.0 + np.where(np.isfinite(d2), d2, 0.0) / width**2), 0.0)
        Jt = np.swapaxes(J, 1, 2) * np.repeat(weight, 2, axis=1)[:, None, :]
        H = np.matmul(Jt, J)
        H[:, range(6), range(6)] += precision
        g = np.matmul(Jt, r[:, :, None])[:, :, 0] + precision * _offset(T, start)
        step = -np.linalg.solve(H, g[:, :, None])[:, :, 0]
        R = so3_exp_many(step[:, :3])
        T[:, :3, 3] = np.matmul(R, T[:, :3, 3:])[:, :, 0] + step[:, 3:]
        T[:, :3, :3] = np.matmul(R, T[:, :3, :3])
    _, _, d2 = _whitened(batch, T, sigma_px, with_jacobian=False)
    return BatchFit(T, np.asarray(np.linalg.inv(H), np.float64), d2 < gate * gate)


def _prior_precision(batch: PoseBatch) -> Array:
    """(F,6): 1 / variance of the start's rotation and translation."""
    T = batch.T_cam_world
    z = np.matmul(batch.landmarks, T[:, 2, :3, None])[:, :, 0] + T[:, 2, 3:]
    depth = np.array([np.median(z[i, seen]) if seen.any() else 1.0 for i, seen in enumerate(batch.is_seen)])
    sigma = np.maximum(PRIOR_SHARE_OF_DEPTH * depth, 1e-9)
    out = np.full((len(T), 6), PRIOR_ROTATION_RAD**-2)
    out[:, 3:] = sigma[:, None] ** -2
    return out


def _offset(T: Array, start: Array) -> Array:
    """(F,6): the first-order logarithm of T start^-1."""
    R = np.matmul(T[:, :3, :3], np.swapaxes(start[:, :3, :3], 1, 2))
    w = 0.5 * np.stack([R[:, 2, 1] - R[:, 1, 2], R[:, 0, 2] - R[:, 2, 0], R[:, 1, 0] - R[:, 0, 1]], axis=1)
    return np.concatenate([w, T[:, :3, 3] - np.matmul(R, start[:, :3, 3:])[:, :, 0]], axis=1)


def _whitened(
    batch: PoseBatch, T: Array, sigma_px: float, with_jacobian: bool
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Residuals (F,2N), Jacobian (F,2N,6) and squared distances (F,N) with unit covariance; what is not seen, or lies
    behind the camera, has an infinite distance and no residual.

    The symmetric root of (s^2 I + e e^T)^-1 is (I - c u u^T) / s, u = e / |e|, c = 1 - s / sqrt(s^2 + |e|^2).
    """
    Rt = np.swapaxes(T[:, :3, :3], 1, 2)
    X = np.matmul(batch.landmarks, Rt) + T[:, None, :3, 3]
    is_good = batch.is_seen & (X[:, :, 2] >= MIN_DEPTH)
    z = np.where(is_good, X[:, :, 2], 1.0)
    u, v = np.where(is_good, X[:, :, 0] / z, 0.0), np.where(is_good, X[:, :, 1] / z, 0.0)
    fx, fy = batch.focal[:, 0, None], batch.focal[:, 1, None]
    a, b = fx / z, fy / z
    d = np.matmul(batch.direction * batch.rel_sigma[:, :, None], Rt)
    e = np.stack([a * (d[:, :, 0] - u * d[:, :, 2]), b * (d[:, :, 1] - v * d[:, :, 2])], axis=2)
    e = np.clip(e, -1e3, 1e3)
    length2 = (e * e).sum(2)
    c = 1.0 - sigma_px / np.sqrt(sigma_px**2 + length2)
    e /= np.sqrt(np.maximum(length2, 1e-18))[:, :, None]
    r = np.stack([fx * u, fy * v], axis=2) + batch.centre[:, None] - batch.pixels
    r[~is_good] = 0.0
    r = _rooted(r[:, :, :, None], e, c, sigma_px)[:, :, :, 0]
    d2 = np.where(is_good, (r * r).sum(2), np.inf)
    F, N = d2.shape
    if not with_jacobian:
        return r.reshape(F, 2 * N), np.zeros((F, 0, 6)), d2
    J = np.zeros((F, N, 2, 6))
    J[:, :, 0, 0], J[:, :, 0, 1], J[:, :, 0, 2] = -fx * u * v, fx * (1 + u * u), -fx * v
    J[:, :, 1, 0], J[:, :, 1, 1], J[:, :, 1, 2] = -fy * (1 + v * v), fy * u * v, fy * u
    J[:, :, 0, 3], J[:, :, 0, 5], J[:, :, 1, 4], J[:, :, 1, 5] = a, -a * u, b, -b * v
    return r.reshape(F, 2 * N), _rooted(J, e, c, sigma_px).reshape(F, 2 * N, 6), d2


def _rooted(rows: Array, e: Array, c: Array, sigma_px: float) -> Array:
    """(I - c e e^T) / sigma_px applied to rows (F,N,2,k), with unit e (F,N,2) and c (F,N)."""
    along = e[:, :, 0, None] * rows[:, :, 0] + e[:, :, 1, None] * rows[:, :, 1]
    return (rows - (c[:, :, None] * e)[:, :, :, None] * along[:, :, None]) / sigma_px


def camera_poses(T_cam_world: Array) -> Array:
    """T_world_cam (F,4,4) with rotations that are orthonormal to rounding."""
    U, _, Vt = np.linalg.svd(T_cam_world[:, :3, :3])
    T = T_cam_world.copy()
    T[:, :3, :3] = np.matmul(U, Vt)  # close to a rotation, so its determinant is 1
    return se3.inverse(T)
