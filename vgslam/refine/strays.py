"""Keyframes that went astray: hardly any landmark that others see is where they see it.

Between images far apart, optical flow can follow repeated patterns onto the wrong ones, in a way that some wrong pose
explains. Such a keyframe agrees with its neighbour alone, and no adjustment brings it back, as its observations are
wrong. It is looked for in the rest of the map as a lost camera is, by wide-baseline matches with keyframes that look
alike. Two answers that agree with one another, and none that agrees with where it is, replace its pose and all its
observations.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from vgslam.frontend.features import FeatureConfig
from vgslam.frontend.matching import ImageFeatures, MatcherConfig, describe
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.refine.problem import gather
from vgslam.reloc.locate import LocateConfig, Locator, Recovered, Target, epipolar_matches
from vgslam.reloc.places import Places
from vgslam.types import Array, EdgeKind, Ids

FITS_PX, LEAST_VIEWS = 2.5, 3
"""A landmark supports a keyframe if it lies within this distance of where it is seen, in at least this many keyframes:
two that were misled together agree."""
WEAK_SHARE = 0.25
"""A keyframe with less than this share of the usual support is looked at."""
MOST_CHECKED = 0.05
"""Share of the keyframes that are looked at, those with the least support first: each costs as much as some frames."""
N_ALIKE, N_TRIED = 20, 5
"""Keyframes that look most alike, and how many of them are matched."""
NEXT = 1
"""Keyframes no farther away than this are no witnesses: what was followed between them may be wrong in both."""
LEAST_VOTES = 2
"""Answers that have to agree."""
SAME_DEG, SAME_SHARE = 3.0, 0.08
"""Rotation, and position as a share of the depth, within which two poses are the same."""
MATCHER = MatcherConfig()
LOCATE = LocateConfig(25, 0.6, 20, 2.0, 2.0, 0.03)
"""As for the pose of a loop."""


def mend_strays(slam_map: SlamMap, members: Ids, places: Places) -> list[int]:
    """Finds keyframes `members` (C,) of one adjusted component that hardly any others agree with, and brings those that
    are elsewhere to where the others see them; returns their ids. Those that are not found stay as they are."""
    support = supported(slam_map, members)
    is_weak = support < WEAK_SHARE * np.median(support)
    beside = np.pad(is_weak, 1)
    weak = np.flatnonzero(is_weak & ~beside[:-2] & ~beside[2:])  # several in a row have drifted together
    weak = weak[np.argsort(support[weak], kind="stable")][: int(np.ceil(MOST_CHECKED * len(members)))]
    sound = set(members.tolist()) - set(members[weak].tolist())
    search, moved = _Search(slam_map, places, sound), []
    for k in members[weak].tolist():
        found = search.elsewhere(k)
        if found is not None:
            _move(slam_map, k, found)
            moved.append(k)
    return moved


def supported(slam_map: SlamMap, members: Ids) -> Ids:
    """(C,): how many landmarks agree with each keyframe, counted where enough others agree on them."""
    p = gather(slam_map, members)
    fits = p.is_active() & (p.errors_px() < FITS_PX)
    views = np.bincount(p.point[fits], minlength=len(p.points))
    return np.bincount(p.cam[fits & (views >= LEAST_VIEWS)[p.point]], minlength=len(members))


class _Search:
    """Looks for keyframes of a map in those that are `sound`."""

    def __init__(self, slam_map: SlamMap, places: Places, sound: set[int]) -> None:
        self.map, self.places, self.sound = slam_map, places, sound
        self._locator = Locator(slam_map, LOCATE, FeatureConfig())
        self._full: dict[int, ImageFeatures] = {}

    def elsewhere(self, k: int) -> Recovered | None:
        """Keyframe k as seen from two that look alike and agree; None if it is not found or is where it is already.
        Quick features tell most that are where they should be; it takes the better ones to find the others."""
        nearest = self.places.like_keyframe(k, N_ALIKE)[0].tolist()
        alike = [j for j in nearest if j in self.sound and abs(j - k) > NEXT][:N_TRIED]
        here = self.map.keyframes[k].S_world_keyframe.pose
        for features in (self.places.features, self._described):
            answers = self._answers(k, alike, features)
            if any(_is_same(self.map, found, here) for found in answers):
                return None
            best = max(answers, key=lambda f: _votes(self.map, f, answers), default=None)
            if best is not None and _votes(self.map, best, answers)[0] >= LEAST_VOTES:
                return best
        return None

    def _answers(self, k: int, alike: list[int], features: Callable[[int], ImageFeatures]) -> list[Recovered]:
        """Keyframe k as seen from each of those that look alike."""
        target = Target(self.places.gray(k), self.map.keyframes[k].camera)
        found = []
        for j in alike:
            px_j, px = epipolar_matches(features(j), features(k), MATCHER)
            found.append(self._locator.locate(j, px_j, target, px))
        return [f for f in found if f is not None]

    def _described(self, k: int) -> ImageFeatures:
        if k not in self._full:
            self._full[k] = describe(self.places.gray(k), MATCHER)
        return self._full[k]


def _votes(m: SlamMap, found: Recovered, answers: Sequence[Recovered]) -> tuple[int, int]:
    """How many answers say the same, and how many landmarks this one has."""
    return sum(_is_same(m, found, other.T_world_cam) for other in answers), len(found.ids)


def _is_same(m: SlamMap, found: Recovered, T_world_cam: Array) -> bool:
    T = found.T_world_cam
    depth = float(np.median(se3.transform(se3.inverse(T), m.landmarks_world(found.ids))[:, 2]))
    apart = float(np.linalg.norm(T[:3, 3] - T_world_cam[:3, 3]))
    return apart < SAME_SHARE * depth and se3.angle_deg(T[:3, :3].T @ T_world_cam[:3, :3]) < SAME_DEG


def _move(m: SlamMap, k: int, found: Recovered) -> None:
    """Keyframe k where it was found, with what was found in it alone. Landmarks that hang on it have to be triangulated
    again from what others see of them; the steps from and to it follow, as they were measured with wrong matches."""
    m.unobserve(k, m.observed[k].ids)
    m.observe(k, found.ids, found.pixels.astype(np.float64))
    m.set_pose(k, Sim3.from_T(found.T_world_cam, m.keyframes[k].S_world_keyframe.s))
    hosted = m.landmarks.host == k
    m.landmarks.is_triangulated[hosted] = False
    for pair, edge in m.edges.items():
        if k in pair and edge.kind is EdgeKind.ODOMETRY:
            a, b = (m.keyframes[n].S_world_keyframe for n in pair)
            m.edges[pair] = replace(edge, S_a_b=a.inverse() @ b)
