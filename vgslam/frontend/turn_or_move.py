"""Whether a camera turned or moved, in a view in which hardly any depth is known.

Sideways motion and turning look alike where depths are guesses: two poses, degrees apart, explain nearly as many
landmarks each. Landmarks with guessed depths cannot say which is right, as a wrong pose finds depths that suit it, and
the depths that are then triangulated make all later views agree with it. So the pose is compared with that of the
two-view geometry, which knows of no depths, each with the depths that suit it best. It takes the place of the other
where it is far from it and explains the images clearly better.
"""

from dataclasses import replace

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.multiview.free_depths import FreeFit, refine_with_depths
from vgslam.multiview.pnp import CentrePrior, PosePoints
from vgslam.multiview.two_view import epipolar_motion
from vgslam.types import Array

LEAST_APART_PX = 3.0
"""The rotations of the two poses differ by at least so many px in the middle of the image: what is less, the adjustment
of the next keyframes mends."""
LEAST_MOTION = 0.03
"""The camera moved at least so far, as a share of the median depth, from the view before: a rolling shutter bends the
images of a camera that turns as a motion of up to .027 would (measured on the turning sequence of TUM)."""
GUESSED_FROM, GUESS_REL_SIGMA = 0.4, 1.0
"""A landmark with at least this relative deviation of depth is guessed; here the guess counts this little: neighbours
are guessed alike, and wrong alike."""
SIGMA_PX = 0.5
"""Deviation of a tracked pixel. Less than tracking allows for: what is compared are two explanations of all pixels."""
CLEARLY, AND_SHARE = 10.0, 0.03
"""Least difference in cost (half a squared standard deviation), and least share of the cost: what no pose explains is
in both."""
MIN_POINTS = 30
"""With fewer points nothing is compared."""


def better_pose(
    camera: Camera, T_before: Array, pixels_before: Array, points: PosePoints, T_cam_world: Array,
    prior: CentrePrior | None = None, least_apart_px: float = LEAST_APART_PX,
) -> FreeFit | None:  # fmt: skip
    """A pose that explains `points` clearly better than T_cam_world does, and is far from it; None if there is none.
    T_before: T_cam_world of the view before, which saw them at pixels_before (N,2). prior: on the camera's centre.
    least_apart_px: how far the rotations of both differ at least, in px in the middle of the image."""
    if len(points) < MIN_POINTS:
        return None
    is_guess = points.rel_sigma >= GUESSED_FROM
    weak = np.where(is_guess, np.maximum(points.rel_sigma, GUESS_REL_SIGMA), points.rel_sigma)
    points = replace(points, rel_sigma=weak)
    now = refine_with_depths(camera, T_cam_world, points, SIGMA_PX, 0, prior)
    starts = [T_cam_world, *_by_two_views(camera, T_before, pixels_before, points, T_cam_world)]
    fits = [refine_with_depths(camera, T, points, SIGMA_PX, prior=prior) for T in starts]
    best = min(fits, key=lambda f: f.cost)
    is_better = best.cost < now.cost - max(CLEARLY, AND_SHARE * now.cost)
    is_far = _apart_px(camera, best.T_cam_world[:3, :3], T_cam_world[:3, :3]) >= least_apart_px
    return best if is_better and is_far and _is_moved(T_before, points, best.T_cam_world) else None


def _is_moved(T_before: Array, points: PosePoints, T_cam_world: Array) -> bool:
    """Whether the camera moved from the view before by more than one that turns seems to."""
    depth = float(np.median(se3.transform(T_before, points.landmarks)[:, 2]))
    moved = float(np.linalg.norm(se3.inverse(T_cam_world)[:3, 3] - se3.inverse(T_before)[:3, 3]))
    return moved >= LEAST_MOTION * depth


def _apart_px(camera: Camera, R: Array, other: Array) -> float:
    return float(camera.fx * np.radians(se3.angle_deg(R @ other.T)))


def _by_two_views(
    camera: Camera, T_before: Array, pixels_before: Array, points: PosePoints, T_cam_world: Array
) -> list[Array]:
    """T_cam_world from what two views alone say, with the length that the landmarks' depths give it; nothing where that
    is not far from the pose that is known, or the camera hardly moved by it."""
    two_views = epipolar_motion(camera, pixels_before, points.pixels)
    R_cam_before = T_cam_world[:3, :3] @ T_before[:3, :3].T
    if two_views is None or min(_apart_px(camera, R, R_cam_before) for R in two_views.rotations()) < LEAST_APART_PX:
        return []
    motion, depth = two_views.motion()
    z = se3.transform(T_before, points.landmarks)[:, 2]
    good = (depth > 0) & (z > 0)
    if not good.any():
        return []
    ratio, weight = np.log(z[good] / depth[good]), 1.0 / points.rel_sigma[good] ** 2
    order = np.argsort(ratio)
    middle = np.searchsorted(np.cumsum(weight[order]), 0.5 * weight.sum())
    motion[:3, 3] *= np.exp(ratio[order][min(middle, len(order) - 1)])
    T = np.asarray(motion @ T_before)
    return [T] if _is_moved(T_before, points, T) else []
