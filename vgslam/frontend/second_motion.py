"""Two motions that both explain many points are told apart: what moves on its own is not the world.

A large thing that moves brings many new corners, whose depth is free at first, so that they agree with almost any pose.
Landmarks that have fitted the map over several keyframes have passed the test of the epipolar geometry in each of them:
where they and the majority disagree, they are right. What they contradict stands in the image side by side, so young
points among neighbours that are contradicted are not believed either.
"""

from dataclasses import dataclass

import numpy as np

from vgslam.frontend.features import Pixels
from vgslam.frontend.moving_points import n_near
from vgslam.geometry.camera import Camera
from vgslam.multiview.pnp import PoseFit, PosePoints, ransac_pose, refine_pose

ENOUGH_AGREE = 0.9
"""Share of the points that agree with a pose above which no other motion is looked for."""
OLD_KEYFRAMES = 3
"""A landmark that was first seen this many keyframes ago, and has measured depth, is an old one."""
MIN_OLD, MIN_OLD_SHARE = 15, 0.6
"""Least old landmarks that may contradict the majority, and least share of them that must agree on how."""
CONTRADICTED = 0.8
"""The old landmarks contradict a pose when it has less than this share of those that agree with their own."""
DOUBT_SHARE, DOUBT_POINTS = 0.35, 3
"""A young point is in doubt when more than this share of its neighbours, and at least this many, are contradicted."""
RANSAC_SIGMAS = 3.0
"""Inlier distance of RANSAC, in standard deviations of a pixel, as in tracking."""


@dataclass(frozen=True)
class Followed:
    """What was followed into a view."""

    points: PosePoints
    """N landmarks with the pixels where they were found."""
    is_old: np.ndarray
    """(N,): which are old landmarks."""
    moving: Pixels
    """(M,2): corners known to be on things that move."""
    radius_px: float
    """Distance within which corners are neighbours."""


@dataclass(frozen=True)
class StaticFit:
    """The pose by what does not move."""

    fit: PoseFit
    """Pose, and which points (N,) may be believed."""
    moving: np.ndarray
    """(N,): young points that contradict the pose, or stand among such; none where too few old landmarks hold it."""


def static_fit(camera: Camera, followed: Followed, fit: PoseFit, sigma_px: float, gate: float) -> StaticFit:
    """The pose that the old landmarks support, given that of the majority; inliers without what stands among outliers.
    sigma_px, gate: as in `refine_pose`."""
    points, is_old = followed.points, followed.is_old
    nothing = np.zeros(len(points), bool)
    if fit.inliers.mean() >= ENOUGH_AGREE and len(followed.moving) == 0:
        return StaticFit(fit, nothing)
    own = _fit_of_old(camera, followed, fit, sigma_px, gate)
    if own is None:
        return StaticFit(fit, nothing)
    if fit.inliers[is_old].sum() < CONTRADICTED * own.inliers[is_old].sum():
        fit = own
    doubtful = ~is_old & fit.inliers & _among_contradicted(followed, fit.inliers | is_old)
    moving = ~is_old & (~fit.inliers | doubtful)
    if not doubtful.any():
        return StaticFit(fit, moving)
    rest = np.flatnonzero(fit.inliers & ~doubtful)
    again = refine_pose(camera, fit.T_cam_world, points.select(rest), sigma_px, gate=gate)
    inliers = nothing.copy()
    inliers[rest[again.inliers]] = True
    return StaticFit(PoseFit(again.T_cam_world, inliers, again.covariance, again.median_error_px), moving)


def _fit_of_old(camera: Camera, followed: Followed, fit: PoseFit, sigma_px: float, gate: float) -> PoseFit | None:
    """The pose by the old landmarks, and which of all points agree with it; None where they do not agree on one."""
    if followed.is_old.sum() < MIN_OLD:
        return None
    old = followed.points.select(followed.is_old)
    fits = [refine_pose(camera, fit.T_cam_world, old, sigma_px, gate=gate)]
    if fits[0].inliers.mean() < MIN_OLD_SHARE:
        found = ransac_pose(camera, old, RANSAC_SIGMAS * sigma_px)
        if found is not None:
            fits.append(refine_pose(camera, found, old, sigma_px, gate=gate))
    best = max(fits, key=lambda f: int(f.inliers.sum()))
    if best.inliers.mean() < MIN_OLD_SHARE:
        return None
    everyone = refine_pose(camera, best.T_cam_world, followed.points, sigma_px, iterations=0, gate=gate)
    return PoseFit(best.T_cam_world, everyone.inliers, best.covariance, best.median_error_px)


def _among_contradicted(followed: Followed, agrees: np.ndarray) -> np.ndarray:
    """Which points (N,) have too many neighbours that do not agree or are known to move."""
    pixels, radius = followed.points.pixels, followed.radius_px
    against = np.concatenate([pixels[~agrees], followed.moving])
    n_against, n_for = n_near(pixels, against, radius), n_near(pixels, pixels[agrees], radius)
    return np.asarray((n_against >= DOUBT_POINTS) & (n_against > DOUBT_SHARE * (n_against + n_for)))
