"""Whether a camera turned or moved, in a view in which hardly any depth is known.

Sideways motion and turning look alike where depths are guesses: two poses, degrees apart, explain nearly as many
landmarks each. Landmarks with guessed depths cannot say so, as a wrong pose finds depths that suit it, and the depths
that are then triangulated make all later views agree with it. So the pose is compared with that of the two-view
geometry, which knows of no depths, both with the depths that suit them best; another pose takes its place only where it
explains the images clearly better.
"""

from dataclasses import replace

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.multiview.free_depths import FreeFit, refine_with_depths
from vgslam.multiview.pnp import CentrePrior, PosePoints
from vgslam.multiview.two_view import epipolar_motion
from vgslam.types import Array

GUESSED_FROM, GUESS_REL_SIGMA = 0.4, 1.0
"""A landmark with at least this relative deviation of depth is guessed; here the guess counts this little: neighbours
are guessed alike, and wrong alike."""
SIGMA_PX = 0.5
"""Deviation of a tracked pixel. Less than tracking allows for: what is compared are two explanations of all pixels."""
CLEARLY = 10.0
"""Least difference in cost (half a squared standard deviation) that another pose has to make."""
AND_SHARE = 0.05
"""And least share of the cost: what nobody explains, such as a rolling shutter, is in both."""
MIN_POINTS = 30
"""With fewer points nothing is compared."""


def better_pose(
    camera: Camera, T_before: Array, pixels_before: Array, points: PosePoints, starts: list[Array],
    prior: CentrePrior | None = None,
) -> FreeFit | None:  # fmt: skip
    """A pose that explains `points` clearly better than starts[0] (T_cam_world) does, or None. T_before: T_cam_world of
    the view before, which saw them at pixels_before (N,2). starts: poses from which a better one is looked for, beside
    that of the two-view geometry. prior: on the camera's centre."""
    if len(points) < MIN_POINTS:
        return None
    free = points.rel_sigma >= GUESSED_FROM
    points = replace(points, rel_sigma=np.where(free, np.maximum(points.rel_sigma, GUESS_REL_SIGMA), points.rel_sigma))
    now = refine_with_depths(camera, starts[0], points, SIGMA_PX, 0, prior)
    by_two_views = _by_two_views(camera, T_before, pixels_before, points)
    fits = [
        refine_with_depths(camera, T, points, SIGMA_PX, prior=prior)
        for T in (*starts, *([] if by_two_views is None else [by_two_views]))
    ]
    best = min(fits, key=lambda f: f.cost)
    return best if best.cost < now.cost - max(CLEARLY, AND_SHARE * now.cost) else None


def _by_two_views(camera: Camera, T_before: Array, pixels_before: Array, points: PosePoints) -> Array | None:
    """T_cam_world from what two views alone say, with the length that the landmarks' depths give it."""
    found = epipolar_motion(camera, pixels_before, points.pixels)
    if found is None:
        return None
    motion, depth = found  # of unit length
    z = se3.transform(T_before, points.landmarks)[:, 2]
    good = (depth > 0) & (z > 0)
    if not good.any():
        return None
    ratio, weight = np.log(z[good] / depth[good]), 1.0 / points.rel_sigma[good] ** 2
    order = np.argsort(ratio)
    half = np.searchsorted(np.cumsum(weight[order]), 0.5 * weight.sum())
    motion = motion.copy()
    motion[:3, 3] *= np.exp(ratio[order][half])
    return np.asarray(motion @ T_before)
