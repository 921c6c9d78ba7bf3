"""Views in which hardly any depth is measured: those of a camera that turns, or has come to where nothing was mapped.

Their landmarks determine the rotation; turning and moving sideways differ only where the depths are known. So the
camera is thought to stay where it was, which measured depths outvote at once, and its position is uncertain.
"""

import numpy as np

from vgslam.frontend.local_map import TrackedMap
from vgslam.map.slam_map import SlamMap
from vgslam.multiview.pnp import CentrePrior
from vgslam.types import Array, Ids

MIN_MEASURED_SHARE = 0.5
"""With a smaller share of triangulated landmarks among those that are seen, the depth of the view is not known."""
STILL_DEPTHS_PER_S = 0.1
"""Speed, in median depths of the scene per second, that a camera without measured depth is thought to stay below: about
what a hand does that turns a camera on the spot. Thirty measured landmarks determine a step a hundred times better."""
UNKNOWN_POSITION = 0.1
"""Least standard deviation of the position of a frame with a rotation only, as a share of the scene's median depth."""


def lacks_depth(slam_map: TrackedMap, ids: Ids) -> bool:
    """Whether most of the landmarks `ids` have a guessed depth; False for none."""
    return len(ids) > 0 and float(slam_map.landmarks.is_triangulated[ids].mean()) < MIN_MEASURED_SHARE


def shared_with_earlier(slam_map: SlamMap, keyframe_id: int) -> Ids:
    """The landmarks that a keyframe sees and that an earlier keyframe saw first."""
    ids = slam_map.observed[keyframe_id].ids
    return ids[slam_map.landmarks.host[ids] != keyframe_id]


def stays(slam_map: TrackedMap, ids: Ids, centre: Array, after_s: float) -> CentrePrior | None:
    """A camera at centre (3,) that sees landmarks `ids`, `after_s` seconds later; None where their depth is known."""
    if not lacks_depth(slam_map, ids) or after_s <= 0.0:
        return None
    return CentrePrior(centre, STILL_DEPTHS_PER_S * after_s * _depth(slam_map, ids, centre))


def with_unknown_position(slam_map: TrackedMap, ids: Ids, centre: Array, covariance: Array) -> Array:
    """The covariance (6,6) of a pose at centre (3,) with a position as uncertain as a rotation alone leaves it."""
    out = covariance.copy()
    out[3:, 3:] += (UNKNOWN_POSITION * _depth(slam_map, ids, centre)) ** 2 * np.eye(3)
    return out


def _depth(slam_map: TrackedMap, ids: Ids, centre: Array) -> float:
    return float(np.median(np.linalg.norm(slam_map.landmarks_world(ids) - centre, axis=1)))
