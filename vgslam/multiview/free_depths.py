"""Camera pose and the depths of the landmarks together, for views in which hardly any depth is known.

`refine_pose` linearises a landmark's depth about what it is thought to be. Where most depths are guesses, and wrong by
more than the camera moved, its steps lead to poses that explain the images worse: one in which a turn is taken for a
motion, with every depth as it suits. Here every landmark slides along its host's ray to where the pose wants it, at a
price: its logarithmic depth is normally distributed about the guess. The depths are eliminated from each step (Schur
complement, one number per landmark), so that it costs about as much as one of `refine_pose`; and a step is taken only
if it explains the images better.
"""

from dataclasses import dataclass

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH, Camera
from vgslam.multiview.pnp import CentrePrior, PoseFit, PosePoints, fill_pose_jacobian
from vgslam.types import Array

CAUCHY_SIGMAS = 2.0
"""Width of the Cauchy weights, in standard deviations."""
MOST_SLIDE = 1.5
"""A depth moves by at most this many of its standard deviations in one step: projections are not linear in it."""
FARTHEST_LOG = 4.0
"""Nor by more than this in its logarithm in all: nearer or farther tells nothing."""
DEPTH_STEPS = 6
"""Steps to the depths that a pose wants."""
BEHIND_SIGMAS = 1e3
"""A landmark behind the camera costs as much as one that is this many deviations off."""
FIRST_DAMPING, LEAST_DAMPING, MOST_TRIES = 1e-4, 1e-7, 8
"""Damping of the first step, the least, and how often it is made ten times as large until a step helps."""
STILL_BETTER = 1e-3
"""The steps end when one lowers the cost by less than this share."""


@dataclass(frozen=True)
class FreeFit:
    """The pose of a camera that sees N landmarks, whose depths suit it."""

    T_cam_world: Array
    """(4,4)."""
    cost: float
    """Robust squares of pixels and depths, in standard deviations; what it costs is comparable between poses."""
    deviation: Array
    """(N,): of each landmark's pixel and depth together, in standard deviations."""
    error_px: Array
    """(N,): of its pixel alone."""
    information: Array
    """(6,6): of xi in exp(xi) T_cam_world, without the prior."""

    def as_pose(self, gate: float) -> PoseFit:
        """The same as `refine_pose` would say it; gate: largest deviation of an inlier."""
        inliers = self.deviation < gate
        error = float(np.median(self.error_px[inliers])) if inliers.any() else np.inf
        return PoseFit(self.T_cam_world, inliers, np.asarray(np.linalg.pinv(self.information), np.float64), error)


@dataclass(frozen=True)
class _At:
    """The problem at one pose and at the depths exp(rel_sigma slide) of what they were thought to be."""

    T: Array  # (4,4)
    slide: Array  # (N,): in standard deviations
    r: Array  # (2,N): error in px
    e: Array  # (2,N): its derivative by the slide
    J: Array  # (6,2,N): and by the pose
    d2: Array  # (N,): squared deviation
    cost: float


def refine_with_depths(
    camera: Camera, T_start: Array, points: PosePoints, sigma_px: float, iterations: int = 10,
    prior: CentrePrior | None = None,
) -> FreeFit:  # fmt: skip
    """Pose T_cam_world near T_start and depths that cost least; with 0 iterations the depths alone. sigma_px: deviation
    of a tracked pixel; prior: on the camera's centre."""
    problem = _Problem(camera, points, sigma_px, prior)
    at, damping = problem.with_depths(T_start), FIRST_DAMPING
    for _ in range(iterations):
        H, g, better = *problem.normal_equations(at), None
        for _ in range(MOST_TRIES):
            damped = H + np.diag(damping * np.diag(H) + 1e-9)
            step = np.asarray(np.linalg.solve(damped, -g), np.float64)
            after = problem.moved(at, step)
            if after.cost < at.cost:
                better = after
                break
            damping *= 10.0
        if better is None:
            break
        gain, at, damping = at.cost - better.cost, better, max(damping * 0.1, LEAST_DAMPING)
        if gain < STILL_BETTER * at.cost:
            break
    T = se3.from_rt(se3.orthonormalize(at.T[:3, :3]), at.T[:3, 3])
    information = problem.normal_equations(at, with_prior=False)[0]
    return FreeFit(T, at.cost, np.sqrt(at.d2), np.hypot(*at.r), information)


class _Problem:
    def __init__(self, camera: Camera, points: PosePoints, sigma_px: float, prior: CentrePrior | None) -> None:
        self.camera, self.prior, self.s2 = camera, prior, sigma_px * sigma_px
        self.host = np.ascontiguousarray((points.landmarks - points.direction).T)
        self.direction = np.ascontiguousarray(points.direction.T)
        self.rel_sigma, (self.u, self.v) = points.rel_sigma, points.pixels.T
        self.farthest = FARTHEST_LOG / points.rel_sigma

    def at(self, T: Array, slide: Array) -> _At:
        fx, fy, R = self.camera.fx, self.camera.fy, T[:3, :3]
        ray = self.direction * np.exp(self.rel_sigma * slide)
        x, y, z = R @ (self.host + ray) + T[:3, 3:]
        behind = z < MIN_DEPTH
        z = np.where(behind, 1.0, z)
        J = np.empty((6, 2, len(z)))
        u, v, a, b = fill_pose_jacobian(J, self.camera, x, y, z)
        dx, dy, dz = R @ (ray * self.rel_sigma)
        e = np.stack([a * (dx - u * dz), b * (dy - v * dz)])
        r = np.stack([fx * u + (self.camera.cx - self.u), fy * v + (self.camera.cy - self.v)])
        d2 = (r[0] * r[0] + r[1] * r[1]) / self.s2 + slide * slide
        d2[behind] = BEHIND_SIGMAS**2
        return _At(T, slide, r, e, J, d2, self._cost(T, d2))

    def _cost(self, T: Array, d2: Array) -> float:
        cost = 0.5 * CAUCHY_SIGMAS**2 * float(np.log1p(d2 / CAUCHY_SIGMAS**2).sum())
        if self.prior is not None:
            off = T[:3, 3] + T[:3, :3] @ self.prior.centre
            cost += 0.5 * float(off @ off) / self.prior.sigma**2
        return cost

    def with_depths(self, T: Array) -> _At:
        """At a pose, with the depths that it wants."""
        at = self.at(T, np.zeros(len(self.rel_sigma)))
        for _ in range(DEPTH_STEPS):
            at = self.at(T, self._slid(at, np.zeros(6)))
        return at

    def moved(self, at: _At, step: Array) -> _At:
        """After a step (6,) of the pose and what it means for the depths."""
        return self.at(se3.exp(step) @ at.T, self._slid(at, step))

    def _slid(self, at: _At, step: Array) -> Array:
        """The slides (N,) that cost least after a step (6,) of the pose, as far as all is linear."""
        r = at.r - at.e * at.slide + np.tensordot(step, at.J, 1)
        best = -(at.e * r).sum(0) / (self.s2 + (at.e * at.e).sum(0))
        near = np.clip(best, at.slide - MOST_SLIDE, at.slide + MOST_SLIDE)
        return np.asarray(np.clip(near, -self.farthest, self.farthest))

    def normal_equations(self, at: _At, with_prior: bool = True) -> tuple[Array, Array]:
        """H (6,6) and gradient (6,) of the pose, the depths eliminated."""
        r = at.r - at.e * at.slide
        weight = np.where(at.d2 < BEHIND_SIGMAS**2, 1.0 / (1.0 + at.d2 / CAUCHY_SIGMAS**2), 0.0) / self.s2
        share = 1.0 / (self.s2 + (at.e * at.e).sum(0))
        M = np.concatenate([at.J, (at.J * at.e).sum(1, keepdims=True)], axis=1)
        rows = np.concatenate([r, (at.e * r).sum(0, keepdims=True)])
        scaled = (M * np.stack([weight, weight, -weight * share])).reshape(6, -1)
        H, g = scaled @ M.reshape(6, -1).T, scaled @ rows.reshape(-1)
        if with_prior and self.prior is not None:
            H_prior, g_prior = self.prior.normal_equations(at.T)
            H, g = H + H_prior, g + g_prior
        return H, g
