"""What a map says about its lens when nothing else is known: focal length and radial distortion, adjusted again and
again until they stay, and judged by whether the halves of the map say the same.

One adjustment does not do: where the guess was far off, the way to the best focal length is a long valley that is
nearly flat, and landmarks that did not fit the guess have to be asked again.
"""

from dataclasses import dataclass, replace

import numpy as np

from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import UNKNOWN_REL_SIGMA, RefineConfig, Watch, adjust
from vgslam.refine.apply import with_removed
from vgslam.refine.calibration import determined
from vgslam.refine.plausible import LARGEST_K1
from vgslam.refine.problem import Problem, gather
from vgslam.types import Ids

UNKNOWN_K1_SIGMA = 0.1
"""Standard deviation of the radial distortion of lenses that were never calibrated."""
MODEL_REL_SIGMA = 0.01
"""What focal lengths are off, relatively, as lenses are not quite of this model: their axis does not meet the middle
of the image, and higher orders of distortion are left out."""
MOST_TURNS, STAYS, K1_STAYS = 6, 0.003, 0.003
"""Adjustments at most; they end when the focal length changes by less than this share, and k1 by less than this."""
LEAST_KEYFRAMES = 8
"""Nothing is said from fewer keyframes."""
CONTRADICTION_SIGMAS = 2.0
"""Halves that differ from each other or from the whole by more than this many deviations contradict: half the
difference is a deviation too."""
CONVINCING = 0.1
"""Relative deviation of a focal length above which the other start is tried too: from a pinhole the way to a lens that
bends straight lines strongly may be closed, as what would show it does not fit and is thrown out."""
BARREL_K1 = -0.2
"""The distortion of that start: that of a cheap wide lens."""
FREE_K1_SIGMA = 0.3
"""k1 is adjusted where its deviation is below half of this: the deviation itself is too large as long as k1 is
wrong, since the blocks of the map then contradict each other."""
FAR_FOV_DEG = (15.0, 150.0)
"""Fields of view beyond these are no answer: the motion says nothing, or a pinhole does not describe the lens."""


@dataclass(frozen=True)
class Lens:
    """The camera that a map calls for, and how sure that is."""

    camera: Camera
    """`removed_k1` is the whole distortion of the recording's images."""
    rel_sigma: float
    """Standard deviation of the focal length, relative: contradictions within the map, k1 that is unknown too, and
    lenses of other kinds taken into account."""
    k1_sigma: float
    halves: tuple[float, float]
    """Relative deviations of the focal length by the first and the second half of the map, each by itself."""
    contradiction: float
    """Largest difference between the focal lengths of the halves and the whole, in deviations."""
    has_settled: bool
    """Whether the last adjustment left it as it was."""


def lens_of(slam_map: SlamMap, members: Ids) -> Lens | None:
    """The lens of the keyframes `members` of one component. The map stays as it is. None where they say nothing of the
    focal length."""
    if len(members) < LEAST_KEYFRAMES:
        return None
    problem = gather(slam_map, members)
    found = _judged(problem, problem.camera)
    if found is not None and found[0].rel_sigma < CONVINCING:
        return found[0]
    barrel = _judged(replace(problem, k1=BARREL_K1), problem.camera)
    both = [x for x in (found, barrel) if x is not None]
    return max(both, key=lambda x: x[1])[0] if both else None


def _judged(problem: Problem, before: Camera) -> tuple[Lens, float] | None:
    """The lens found from a start, and how many observations fit it: one that is off by a pixel counts half. before:
    the camera that the map was made with."""
    found = _settled(problem)
    if found is None:
        return None
    best, has_settled = found
    camera = with_removed(best.camera, before, best.k1)
    if not FAR_FOV_DEG[0] < camera.fov_deg[0] < FAR_FOV_DEG[1] or abs(camera.removed_k1) > LARGEST_K1:
        return None
    sigma, k1_sigma = deviations(best)
    n, log_all = len(problem.keyframe_ids), float(np.log(best.camera.fx))
    (log_a, a), (log_b, b) = (_half(best, *ends) for ends in ((0, n // 2), (n // 2, n)))
    total = float(np.hypot(sigma, MODEL_REL_SIGMA))
    pairs = ((log_a - log_b, np.hypot(a, b)), (log_a - log_all, np.hypot(a, MODEL_REL_SIGMA)),
             (log_b - log_all, np.hypot(b, MODEL_REL_SIGMA)))  # fmt: skip
    contradiction = max(abs(difference) / float(s) for difference, s in pairs)
    if contradiction > CONTRADICTION_SIGMAS:
        total = float(np.hypot(total, max(abs(difference) for difference, _ in pairs) / 2))
    lens = Lens(camera, total, k1_sigma, (a, b), contradiction, has_settled)
    fit = 1.0 / (1.0 + best.errors_px()[best.is_active()] ** 2)
    return lens, float(fit.sum())


def deviations(problem: Problem) -> tuple[float, float]:
    """Relative deviation of the focal length and that of k1, of an adjusted problem of which nothing was known before
    but that lenses bend straight lines a little."""
    H = determined(problem).information + np.diag([UNKNOWN_REL_SIGMA**-2, UNKNOWN_K1_SIGMA**-2])
    focal, k1 = np.sqrt(np.diag(np.linalg.inv(H)))
    return float(focal), float(k1)


def _settled(problem: Problem) -> tuple[Problem, bool] | None:
    """The problem adjusted until the lens stays, and whether it did."""
    config = RefineConfig(is_focal_estimated=True, focal_rel_sigma=UNKNOWN_REL_SIGMA, k1_sigma=FREE_K1_SIGMA)
    for _ in range(MOST_TURNS):
        done = adjust(problem, config, Watch(), for_calibration=True)
        if done is None or not done.calibration.is_focal_free:
            return None
        p = done.after
        stays = abs(np.log(p.camera.fx / problem.camera.fx)) < STAYS and abs(p.k1 - problem.k1) < K1_STAYS
        if stays:
            return p, True
        problem = replace(p, in_use=np.ones(len(p.in_use), bool))
    return p, False


def _half(problem: Problem, begin: int, end: int) -> tuple[float, float]:
    """Logarithm of the focal length and its deviation by keyframes begin..end alone."""
    found = _settled(part(problem, begin, end))
    if found is None:
        return float(np.log(problem.camera.fx)), UNKNOWN_REL_SIGMA
    return float(np.log(found[0].camera.fx)), deviations(found[0])[0]


def part(problem: Problem, begin: int, end: int) -> Problem:
    """The problem of keyframes begin..end alone, with what they see at least twice; all their observations are believed
    again."""
    rows = np.flatnonzero((problem.cam >= begin) & (problem.cam < end))
    count = np.bincount(problem.point[rows], minlength=len(problem.points))
    rows = rows[count[problem.point[rows]] >= 2]
    kept, point = np.unique(problem.point[rows], return_inverse=True)
    return replace(
        problem, keyframe_ids=problem.keyframe_ids[begin:end], T_cam_world=problem.T_cam_world[begin:end],
        landmark_ids=problem.landmark_ids[kept], points=problem.points[kept], has_point=problem.has_point[kept],
        cam=problem.cam[rows] - begin, point=point.reshape(-1), pixels=problem.pixels[rows],
        in_use=np.ones(len(rows), bool),
    )  # fmt: skip
