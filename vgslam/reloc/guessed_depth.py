"""Poses that rest on guessed depths."""

import numpy as np
import numpy.typing as npt

from vgslam.map.slam_map import SlamMap
from vgslam.types import Ids

KNOWN_REL_SIGMA = 0.3
"""Relative deviation below which a depth is known though it was not triangulated: a network's, or a dense one."""
LEAST_KNOWN = 20
"""Landmarks of known depth, as many as make a frame sure that is followed (`StateConfig.sure_inliers`), which are
enough however many guessed ones there are."""
MOSTLY_KNOWN = 0.5
"""Share of known ones that is enough however few they are."""


def is_guessed(slam_map: SlamMap, ids: Ids, component_id: int) -> bool:
    """Whether a pose by landmarks ids (n,) rests on guessed depths, in a component where depths are known. False where
    hardly any are: a camera that only turned is found by its rotation. Corners that nothing has measured have the depth
    of their neighbours, and fit almost any motion: turning and moving sideways differ only where depths are known. A
    keyframe that was itself just found shows hardly anything else."""
    known = _are_known(slam_map, ids)
    if known.sum() >= LEAST_KNOWN or known.sum() >= MOSTLY_KNOWN * len(known):
        return False
    component = np.array([k.component_id for k in slam_map.keyframes], np.int64)
    there = np.flatnonzero(component[slam_map.landmarks.host] == component_id)
    return bool(_are_known(slam_map, there).sum() >= LEAST_KNOWN)


def _are_known(m: SlamMap, ids: Ids) -> npt.NDArray[np.bool_]:
    return np.asarray(m.landmarks.is_triangulated[ids] | (m.landmarks.rel_sigma[ids] < KNOWN_REL_SIGMA))
