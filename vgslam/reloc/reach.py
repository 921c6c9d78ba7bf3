"""Which keyframes can show one place: those near each other, or that the drift of the path between may have parted."""

from itertools import filterfalse, pairwise

import numpy as np
import numpy.typing as npt

from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Ids

REACH = 2.0
"""Distance of two views of one place, in multiples of the larger median depth, beyond which patches cannot match."""
DRIFT_KEYFRAMES, MOST_CORRECTION = 300, 0.5
"""Keyframes between two ends of a loop up to which `LoopConfig` says what drift can be; it grows in proportion on
longer paths, as a scale that is a little off everywhere does, up to this share of the path."""

LEAST_DETOUR, LEAST_LEFT = 1.5, 0.5
"""The camera has left a place when it is farther away than this share of the depth that it sees; it may see it again
if the path since then is this many times the distance: half a circle is 1.6 times its diameter, a quarter 1.1 times."""


def is_straight_on(m: SlamMap, k: int, min_gap: int, depth: float) -> bool:
    """Whether the path to keyframe k, which sees `depth` far, has left behind all keyframes that are at least min_gap
    older without turning back to one of them: what they show can only be seen along the path, where tracking has seen
    it. False where odometry does not lead to all older keyframes: they may be anywhere."""
    if not are_unbroken(m, np.array([0]), k)[0]:
        return False
    centres = m.centres(np.arange(k + 1))
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    way = np.cumsum(steps[::-1])[::-1][: max(0, k + 1 - min_gap)]
    apart = np.linalg.norm(centres[: len(way)] - centres[k], axis=1)
    return bool((apart > LEAST_LEFT * depth).all() and (way < LEAST_DETOUR * apart).all())


def out_of_reach(m: SlamMap, js: Ids, k: int, depth: float, max_correction: float) -> npt.NDArray[np.bool_]:
    """(n,): which of keyframes js (n,) are so far from k, which sees `depth` far, that no drift of the path between
    makes them one place. None where odometry does not lead from one to the other: it may be wrong by anything."""
    apart = np.linalg.norm(m.centres(js) - m.centres(np.array([k])), axis=1)
    found = np.zeros(len(js), bool)
    far = np.flatnonzero(apart > REACH * depth)
    if not len(far):
        return found
    drift = most_drift(m, js[far], k, max_correction)
    beyond = apart[far] > REACH * depth + drift  # the others are within reach, however far they see themselves
    far, drift = far[beyond], drift[beyond]
    if not len(far):
        return found
    reach = REACH * np.maximum(median_depths(m, js[far]), depth)
    found[far] = (apart[far] > reach + drift) & are_unbroken(m, js[far], k)
    return found


def most_drift(m: SlamMap, js: Ids, k: int, max_correction: float) -> Array:
    """(n,): how far drift of the path between keyframe k and each of js (n,) can have moved one of them, in world
    units. max_correction: as a share of the path, on short ones."""
    first, last = min(k, int(js.min())), max(k, int(js.max()))
    steps = np.linalg.norm(np.diff(m.centres(np.arange(first, last + 1)), axis=0), axis=1)
    way = np.concatenate([[0.0], np.cumsum(steps)])
    share = max_correction * np.maximum(1.0, np.abs(js - k) / DRIFT_KEYFRAMES)
    share = np.maximum(max_correction, np.minimum(share, MOST_CORRECTION))
    return share * np.abs(way[js - first] - way[k - first])


def are_unbroken(m: SlamMap, js: Ids, k: int) -> npt.NDArray[np.bool_]:
    """(n,): whether odometry leads from keyframe k to each of js (n,); places that loops alone tie may be wrong by
    anything."""
    first, last = min(k, int(js.min())), max(k, int(js.max()))
    breaks = [i for i, _ in filterfalse(m.edges.__contains__, pairwise(range(first, last + 1)))]
    return np.asarray(np.searchsorted(breaks, js) == np.searchsorted(breaks, k))


def median_depths(m: SlamMap, ks: Ids) -> Array:
    """(n,): median depth of what each of keyframes ks (n,) sees, in world units; 0 where it sees nothing."""
    seen = [m.observed[k].ids for k in ks.tolist()]
    size = np.array([len(ids) for ids in seen])
    owner = np.repeat(np.arange(len(ks)), size)
    T = m.T_world_keyframes(ks)
    from_there = m.landmarks_world(np.concatenate(seen)) - T[owner, :3, 3]
    z = np.einsum("ni,ni->n", from_there, T[owner, :3, 2])
    z = z[np.lexsort((z, owner))]
    end = np.cumsum(size)
    some = np.flatnonzero(size)
    middle = end[some] - size[some] + size[some] // 2
    depth = np.zeros(len(ks))
    depth[some] = 0.5 * (z[middle] + z[middle - 1 + size[some] % 2])
    return np.maximum(depth, 0.0)
