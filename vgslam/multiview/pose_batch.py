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
from vgslam.multiview.pnp import CAUCHY_SIGMAS, MAX_E_PX, WIDE_CAUCHY_SIGMAS, WIDE_STEPS
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
    precision, rows = _prior_precision(batch), _Rows(batch, sigma_px)
    H = np.zeros((len(T), 6, 6))
    for i in range(iterations):
        d2, share = rows.see(T)
        width = WIDE_CAUCHY_SIGMAS if i < WIDE_STEPS else CAUCHY_SIGMAS
        H, g = rows.normal_equations(1.0 / (1.0 + d2 / width**2), share)
        H[:, range(6), range(6)] += precision
        offset = precision * _offset(T, start)
        step = -np.asarray(np.linalg.solve(H, (g + offset)[:, :, None])[:, :, 0], np.float64)
        R = so3_exp_many(step[:, :3])
        T[:, :3, 3] = np.matmul(R, T[:, :3, 3:])[:, :, 0] + step[:, 3:]
        T[:, :3, :3] = np.matmul(R, T[:, :3, :3])
    d2, _ = rows.see(T)
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


class _Rows:
    """The observations with a row of numbers for each coordinate, as `pnp` has those of one pose."""

    def __init__(self, batch: PoseBatch, sigma_px: float) -> None:
        self.batch, self.s2 = batch, sigma_px * sigma_px
        self.landmarks = np.ascontiguousarray(batch.landmarks.transpose(0, 2, 1))
        self.along = np.ascontiguousarray((batch.direction * batch.rel_sigma[:, :, None]).transpose(0, 2, 1))
        F, N = batch.is_seen.shape
        self.M, self.r = np.empty((F, 6, 3, N)), np.empty((F, 3, N))

    def see(self, T: Array) -> tuple[Array, Array]:
        """Errors at the poses T_cam_world (F,4,4): squared Mahalanobis distances (F,N) and 1 / (s2 + e'e) (F,N); what
        is not seen, or lies behind the camera, has an infinite distance and no error. Fills r (F,3,N): error u, v in px
        and e'r; and M (F,6,3,N): Jacobians of u and v and e'J."""
        batch, M, r, R = self.batch, self.M, self.r, T[:, :3, :3]
        x, y, z = np.moveaxis(np.matmul(R, self.landmarks) + T[:, :3, 3:], 1, 0)
        is_good = batch.is_seen & (z >= MIN_DEPTH)
        z = np.where(is_good, z, 1.0)
        u, v = np.where(is_good, x / z, 0.0), np.where(is_good, y / z, 0.0)
        fx, fy = batch.focal[:, 0, None], batch.focal[:, 1, None]
        a, b = fx / z, fy / z
        dx, dy, dz = np.moveaxis(np.matmul(R, self.along), 1, 0)
        eu, ev = (a * (dx - u * dz)).clip(-MAX_E_PX, MAX_E_PX), (b * (dy - v * dz)).clip(-MAX_E_PX, MAX_E_PX)
        r[:, 0] = np.where(is_good, fx * u + (batch.centre[:, 0, None] - batch.pixels[:, :, 0]), 0.0)
        r[:, 1] = np.where(is_good, fy * v + (batch.centre[:, 1, None] - batch.pixels[:, :, 1]), 0.0)
        r[:, 2] = eu * r[:, 0] + ev * r[:, 1]
        M[:, 0, 0], M[:, 1, 0], M[:, 2, 0] = -fx * u * v, fx * (1 + u * u), -fx * v
        M[:, 3, 0], M[:, 4, 0], M[:, 5, 0] = a, 0.0, -a * u
        M[:, 0, 1], M[:, 1, 1], M[:, 2, 1] = -fy * (1 + v * v), fy * u * v, fy * u
        M[:, 3, 1], M[:, 4, 1], M[:, 5, 1] = 0.0, b, -b * v
        np.add(eu[:, None] * M[:, :, 0], ev[:, None] * M[:, :, 1], out=M[:, :, 2])
        share = 1.0 / (self.s2 + eu * eu + ev * ev)
        d2 = (r[:, 0] ** 2 + r[:, 1] ** 2 - r[:, 2] ** 2 * share) / self.s2
        d2[~is_good] = np.inf
        return d2, share

    def normal_equations(self, weights: Array, share: Array) -> tuple[Array, Array]:
        """H (F,6,6) and gradients (F,6) of sum w r' (s2 I + e e')^-1 r / 2, after `see`; by Sherman and Morrison the
        inverse is (I - e e' / (s2 + e'e)) / s2."""
        w = weights / self.s2
        weighted = (self.M * np.stack([w, w, -w * share], axis=1)[:, None]).reshape(len(w), 6, -1)
        H = np.matmul(weighted, self.M.reshape(len(w), 6, -1).transpose(0, 2, 1))
        return H, np.asarray(np.matmul(weighted, self.r.reshape(len(w), -1, 1))[:, :, 0], np.float64)


def camera_poses(T_cam_world: Array) -> Array:
    """T_world_cam (F,4,4) with rotations that are orthonormal to rounding."""
    U, _, Vt = np.linalg.svd(T_cam_world[:, :3, :3])
    T = T_cam_world.copy()
    T[:, :3, :3] = np.matmul(U, Vt)  # close to a rotation, so its determinant is 1
    return se3.inverse(T)
