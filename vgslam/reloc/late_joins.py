"""Components that tracking left apart are joined when a recording has ended, with more care than a frame's time allows.

While frames come, a join needs several keyframes in a row that quick features find in another component. Here every
keyframe of the smaller component is matched by scale-invariant features, and those that call for the same similarity
count wherever they stand in it: each is verified from both sides, so that three of them are no accident.
"""

import numpy as np

from vgslam.frontend.features import FeatureConfig
from vgslam.frontend.matching import ImageFeatures, MatcherConfig, describe
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.closing import LoopCloser
from vgslam.reloc.loops import LoopConfig, Meeting
from vgslam.reloc.places import Places
from vgslam.types import Ids

MOST_TRIED = 40
"""Keyframes of a component that are looked for in the others, spread evenly: each costs as much as some frames."""


MOST_COMPONENTS = 8
"""Components that are tried, the largest first: a map of years has many."""


class ThoroughPlaces(Places):
    """Places whose features bear wider baselines and take several times as long."""

    def _read_or_made(self, k: int) -> ImageFeatures:
        return describe(self.gray(k), MatcherConfig())


def join_components(slam_map: SlamMap, features: FeatureConfig, config: LoopConfig, notes: list[str]) -> int:
    """Joins components to others where enough of their keyframes agree on it; returns how many were. The graph is
    solved after each. notes: gets a line for each thing that went wrong."""
    joined, tried = 0, set[int]()
    while config.is_on and len(tried) < MOST_COMPONENTS and (component := _next(slam_map, tried)) is not None:
        tried.add(component)
        closer = LoopCloser(slam_map, ThoroughPlaces(slam_map), features, config, notes)
        members = np.array([k.id for k in slam_map.keyframes if k.component_id == component], np.int64)
        closed = closer.close(_agreeing(closer, _spread(members), config.n_joining))
        joined += int(closed is not None and closed.joined is not None)
    return joined


def _next(m: SlamMap, tried: set[int]) -> int | None:
    """The largest component but one that was not tried yet; None if there is no other. The largest of all is what the
    others are tried against."""
    numbers = [k.component_id for k in m.keyframes]
    by_size = sorted(set(numbers), key=lambda c: (-numbers.count(c), c))
    return next((c for c in by_size[1:] if c not in tried), None)


def _spread(members: Ids) -> list[int]:
    n = min(len(members), MOST_TRIED)
    return [int(members[i]) for i in np.linspace(0, len(members) - 1, n).round().astype(int)]


def _agreeing(closer: LoopCloser, members: list[int], least: int) -> list[Meeting]:
    """The most meetings with other components that call for the same correction; empty with fewer than `least`."""
    finder = closer.finder
    meetings = [x for k in members if (x := finder.meeting(k, other_components=True)) is not None]
    sets = [[y for y in meetings if y is x or finder.agree(x, y)] for x in meetings]
    best = max(sets, key=len, default=[])
    return best if len(best) >= least else []
