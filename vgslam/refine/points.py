"""Which landmarks take part: those with a depth that their observations determine, and which observations fit them."""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from vgslam.config import ABOVE_ZERO
from vgslam.geometry.radial import without_radial
from vgslam.multiview.triangulate import triangulate
from vgslam.refine.problem import Mask, Problem
from vgslam.types import Array

SIGMAS = 4.0
"""An observation that is off by more than this multiple of the usual error is an outlier."""
MAD_TO_SIGMA = 0.85
"""Standard deviation of a coordinate per median length of a two-dimensional Gaussian error (Rayleigh: 1 / 1.177)."""


@dataclass(frozen=True)
class PointTests:
    """Tests of points and observations."""

    min_angle_deg: float = 1.0
    """Least angle between two rays of a point that is triangulated again."""
    least_angle_deg: float = 0.2
    """Least angle of a point that stays: with less its depth is not determined."""
    outlier_px: Annotated[tuple[float, float], ABOVE_ZERO] = (2.5, 6.0)
    """Range of the error beyond which an observation is an outlier; within it, SIGMAS deviations."""


def with_missing_points(problem: Problem, tests: PointTests, gate_px: float) -> Problem:
    """Points that are not known are triangulated from their observations, all of which have to be within gate_px."""
    missing = ~problem.has_point
    rows = np.flatnonzero(missing[problem.point])
    if not len(rows):
        return problem
    ids, point = np.unique(problem.point[rows], return_inverse=True)
    pixels = without_radial(problem.camera, problem.k1, problem.pixels[rows])
    found = triangulate(problem.camera, problem.T_world_cam(), problem.cam[rows], point.reshape(-1), pixels)
    good = found.is_valid & (found.residual_px < gate_px) & (found.angle_deg > tests.min_angle_deg)
    points, has_point, in_use = problem.points.copy(), problem.has_point.copy(), problem.in_use.copy()
    points[ids[good]], has_point[ids[good]] = found.points[good], True
    in_use[rows[good[point.reshape(-1)]]] = True
    return replace(problem, points=points, has_point=has_point, in_use=in_use)


def cleaned(problem: Problem, tests: PointTests) -> Problem:
    """The problem without observations that do not fit, and without points that no parallax determines."""
    error = problem.errors_px()
    active = problem.is_active() & np.isfinite(error)
    if not active.any():
        return problem
    usual = MAD_TO_SIGMA * float(np.median(error[active]))
    in_use = error < np.clip(SIGMAS * usual, *tests.outlier_px)
    trial = replace(problem, in_use=in_use)
    has_point = problem.has_point & (largest_angle_deg(trial) > tests.least_angle_deg)
    return replace(trial, has_point=has_point)


def largest_angle_deg(problem: Problem) -> Array:
    """(L,): a lower bound of the largest angle between two rays of each point, from its first ray to the others."""
    rows = np.flatnonzero(problem.is_active())
    rows = rows[np.argsort(problem.point[rows], kind="stable")]
    angle = np.zeros(len(problem.points))
    if not len(rows):
        return angle
    ray = problem.T_world_cam()[problem.cam[rows], :3, 3] - problem.points[problem.point[rows]]
    ray /= np.maximum(np.linalg.norm(ray, axis=1, keepdims=True), 1e-12)
    ids, begin, count = np.unique(problem.point[rows], return_index=True, return_counts=True)
    first = np.repeat(begin, count)
    cosine = np.minimum.reduceat((ray * ray[first]).sum(1), begin)
    angle[ids] = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    return angle


def weakly_seen(problem: Problem, least: int) -> Mask:
    """(C,): keyframes with fewer than `least` active observations."""
    return np.bincount(problem.cam[problem.is_active()], minlength=len(problem.keyframe_ids)) < least
