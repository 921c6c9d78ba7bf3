"""Landmarks shared between visits of one place, against rendered laps whose truth is known."""

from dataclasses import replace

import cv2
import numpy as np
from two_laps import Lap, two_laps

from vgslam.frontend.features import FeatureConfig
from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import RefineConfig
from vgslam.refine.problem import Problem, gather
from vgslam.refine.refine_map import refine_map
from vgslam.refine.shared_landmarks import is_beside_one, partners, with_shared_landmarks
from vgslam.types import Array

ALONE = RefineConfig(is_calibration_fixed=True, shares_landmarks=False)
TOGETHER = replace(ALONE, shares_landmarks=True)


def members(m: SlamMap) -> Array:
    return np.arange(len(m.keyframes))


def shared(m: SlamMap) -> tuple[Problem, Problem]:
    """The problem of a map before and after keyframes have looked for each other's landmarks."""
    p = gather(m, members(m))

    def gray_of(k: int) -> Array:
        return cv2.cvtColor(m.keyframes[k].image, cv2.COLOR_RGB2GRAY)

    return p, with_shared_landmarks(p, np.zeros(len(m.keyframes), bool), gray_of, FeatureConfig())


def test_two_laps_of_one_room_are_tied_by_landmarks_that_both_see() -> None:
    alone, together = two_laps(), two_laps()
    before = alone.position_error()
    assert refine_map(alone.slam_map, ALONE).components[0].is_kept
    assert refine_map(together.slam_map, TOGETHER).components[0].is_kept
    assert together.position_error() < 0.3 * before
    assert together.position_error() < 0.6 * alone.position_error()


def test_what_is_found_lies_where_the_landmark_really_is() -> None:
    w = two_laps(Lap(drift=0.0))
    before, after = shared(w.slam_map)
    n = len(before.cam)
    assert len(after.cam) > n + 500
    exact = replace(after, T_cam_world=np.linalg.inv(w.T_world_cam), in_use=np.arange(len(after.cam)) >= n)
    error = exact.errors_px()[n:]
    assert np.median(error) < 1.5  # depths are 2 % wrong: over such a baseline that is a pixel or two
    assert len(np.unique(after.cam * len(after.points) + after.point)) == len(after.cam)


def test_another_wall_at_the_same_place_shares_nothing() -> None:
    same, other = (two_laps(Lap(second_seed=seed)).slam_map for seed in (5, 40))
    before, after = shared(same)
    n_same = across(before, after)
    before, after = shared(other)
    assert n_same > 200
    assert across(before, after) < 0.02 * n_same


def across(before: Problem, after: Problem) -> int:
    """Added observations of landmarks of one lap in the other."""
    n, half = len(before.cam), len(before.keyframe_ids) // 2
    first = np.full(len(before.points), len(before.keyframe_ids))
    np.minimum.at(first, before.point, before.cam)
    return int(((after.cam[n:] >= half) != (first[after.point[n:]] >= half)).sum())


def test_the_map_observes_what_was_shared() -> None:
    m = two_laps().slam_map
    n = sum(len(seen.ids) for seen in m.observed)
    refine_map(m, TOGETHER)
    assert sum(len(seen.ids) for seen in m.observed) > n + 300
    for seen in m.observed:
        assert len(np.unique(seen.ids)) == len(seen.ids)


def test_keyframes_that_take_no_part_and_neighbours_are_no_partners() -> None:
    p = gather(two_laps().slam_map, np.arange(24))
    others = np.zeros(24, bool)
    others[[3, 15]] = True
    pairs = partners(p, others)
    assert pairs
    assert all(abs(j - k) >= 3 and not {j, k} & {3, 15} for j, k in pairs)


def test_of_pairs_beside_one_another_every_second_is_looked_at() -> None:
    """On the second lap each keyframe stands where one of the first stood, 12 before it."""
    n = 24
    pairs = partners(gather(two_laps().slam_map, np.arange(n)), np.zeros(n, bool))
    assert pairs == [(k + 12, k) for k in range(0, 12, 2)] + [(k - 12, k) for k in range(12, 24, 2)]


def test_a_keyframe_whose_partner_is_elsewhere_than_that_of_the_one_before_is_looked_at() -> None:
    assert is_beside_one((5, 10), [(1, 8), (4, 9)])
    assert is_beside_one((5, 10), [(6, 9)])
    assert not is_beside_one((5, 10), [(3, 9)])
    assert not is_beside_one((5, 10), [(5, 8)])
    assert not is_beside_one((5, 10), [])
