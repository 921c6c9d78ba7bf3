"""Which keyframes can show one place, worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from hand_map import add_landmarks, at, hand_map

from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.loops import LoopConfig, LoopFinder
from vgslam.reloc.reach import are_unbroken, is_straight_on, median_depths, most_drift, out_of_reach
from vgslam.types import Ids

SMALL = Camera(2.0, 2.0, 1.0, 0.5, 3, 2)
MOST = 0.15


def road(n: int, depths: dict[int, list[float]], broken_after: tuple[int, ...] = ()) -> SlamMap:
    """n keyframes 1 apart along x that look along z; some see landmarks straight ahead, so deep."""
    m = hand_map([at(x=float(k)) for k in range(n)], SMALL)
    for k, deep in depths.items():
        add_landmarks(m, k, np.array([[k, 0.0, z] for z in deep]))
    for k in broken_after:
        del m.edges[k, k + 1]
    return m


def ids(*numbers: int) -> Ids:
    return np.array(numbers, np.int64)


def test_the_median_depth_of_an_even_and_an_odd_number_of_landmarks_and_of_none() -> None:
    m = road(5, {0: [5.0, 1.0, 2.0], 1: [8.0, 2.0, 4.0, 3.0], 3: [7.0], 4: [-2.0]})
    assert median_depths(m, ids(0, 1, 2, 3, 4)).tolist() == [2.0, 3.5, 0.0, 7.0, 0.0]
    assert median_depths(m, ids(3, 0)).tolist() == [7.0, 2.0]


def test_drift_is_a_share_of_the_path_in_either_direction_and_grows_on_long_ones() -> None:
    np.testing.assert_allclose(most_drift(road(21, {}), ids(0, 10, 15, 20), 10, MOST), [1.5, 0.0, 0.75, 1.5])
    m = road(1501, {})
    np.testing.assert_allclose(most_drift(m, ids(1200, 900, 0), 1500, MOST), [0.15 * 300, 0.3 * 600, 0.5 * 1500])


def test_a_missing_step_between_two_keyframes_breaks_the_path() -> None:
    m = road(10, {}, broken_after=(3, 7))
    assert are_unbroken(m, ids(0, 3, 4, 5, 7, 8), 5).tolist() == [False, False, True, True, True, False]


def test_out_of_reach_is_what_neither_drift_nor_twice_the_larger_depth_brings_near() -> None:
    """From keyframe 20, which sees 3 deep: 6 + 0.15 of the path, which is the distance. Nearer than 7.06 is in reach;
    keyframe 10 sees 4.3 deep: 8.6 + 1.5 = 10.1; keyframe 11 sees 3.7 deep: 7.4 + 1.35 = 8.75."""
    m = road(21, {20: [3.0], 10: [4.3], 11: [3.7]})
    assert out_of_reach(m, ids(14, 13, 12, 11, 10, 9), 20, 3.0, MOST).tolist() == [
        False, False, True, True, False, True,
    ]  # fmt: skip


def test_where_the_path_is_broken_nothing_is_out_of_reach() -> None:
    m = road(21, {20: [3.0]}, broken_after=(10,))
    assert out_of_reach(m, ids(0, 10, 11), 20, 3.0, MOST).tolist() == [False, False, True]
    assert out_of_reach(m, ids(), 20, 3.0, MOST).tolist() == []


def test_a_share_that_is_asked_for_may_be_more_than_long_paths_can_grow_to() -> None:
    np.testing.assert_allclose(most_drift(road(21, {}), ids(0, 15), 20, 0.8), [16.0, 4.0])


def test_depth_is_along_the_optical_axis_of_a_camera_that_looks_aside() -> None:
    """Turned by 90 degrees about y it looks along x."""
    m = hand_map([at(x=1.0, turn=(0.0, 90.0, 0.0))], SMALL)
    add_landmarks(m, 0, np.array([[4.0, 0.5, 7.0], [6.0, -0.5, 9.0], [9.0, 0.0, -2.0]]))
    np.testing.assert_allclose(median_depths(m, ids(0)), [5.0])


def path(*xz: tuple[float, float]) -> SlamMap:
    return hand_map([at(x=x, z=z) for x, z in xz], SMALL)


def test_a_road_is_straight_on_where_all_that_is_old_was_left() -> None:
    """Keyframe 7 is the newest of those that are at least 3 older than 10, 3 away: left if that is over half of the
    depth."""
    m = road(11, {})
    assert is_straight_on(m, 10, 3, 5.9)
    assert not is_straight_on(m, 10, 3, 6.1)
    assert is_straight_on(m, 10, 2, 3.9)
    assert not is_straight_on(m, 10, 2, 4.1)


def test_a_path_that_turns_back_is_not_straight_on() -> None:
    """Four sides of 1 along a corner: the way is 4 to a place 2.83 away, 1.41 times as far. With one step back it is 5
    to a place 2.24 away."""
    corner = [(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (2.0, 1.0), (2.0, 2.0)]
    assert is_straight_on(path(*corner), 4, 4, 1.0)
    assert not is_straight_on(path(*corner, (1.0, 2.0)), 5, 5, 1.0)


def test_where_odometry_is_broken_no_path_is_straight_on() -> None:
    assert not is_straight_on(road(11, {}, broken_after=(1,)), 10, 3, 1.0)


def test_without_old_keyframes_a_path_is_straight_on() -> None:
    assert is_straight_on(road(3, {}), 2, 3, 100.0)


class AskedError(Exception):
    """Somebody wanted to know which keyframes look alike."""


class NoPlaces:
    def like_keyframe(self, k: int, n: int) -> None:
        raise AskedError


def finder(m: SlamMap, config: LoopConfig) -> LoopFinder:
    return LoopFinder(m, NoPlaces(), None, config)  # type: ignore[arg-type]


def test_no_places_are_compared_on_a_path_straight_on() -> None:
    found = finder(road(11, {10: [5.0]}), LoopConfig(min_gap=3))
    assert found.find(10) == []
    assert not found.may_find(10)
    found._pending = [None]  # type: ignore[list-item]
    assert found.may_find(10), "what waits to be confirmed is looked at or forgotten"


def test_keyframes_that_rest_after_a_known_loop_need_no_search() -> None:
    found = finder(path(*[(float(x), 0.0) for x in (0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0)]), LoopConfig(min_gap=3))
    found._next = 10
    assert found.may_find(10)
    found._next = 11
    assert not found.may_find(10)


def test_places_are_compared_where_the_path_turns_back_or_others_wait_to_be_joined_or_the_search_runs_beside() -> None:
    back = path(*[(float(x), 0.0) for x in (0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0)])
    for m, config, others in (
        (back, LoopConfig(min_gap=3), False), (road(11, {10: [5.0]}), LoopConfig(min_gap=3), True),
        (road(11, {10: [5.0]}), LoopConfig(min_gap=3, in_background=True), False),
    ):  # fmt: skip
        assert finder(m, config).may_find(10) or others
        with pytest.raises(AskedError):
            finder(m, config).find(10, others)


@pytest.mark.parametrize(("max_correction", "found"), [(MOST, [12]), (0.8, [9, 12])])
def test_a_place_that_looks_alike_and_is_out_of_reach_is_not_asked(
    max_correction: float, found: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the test above: from keyframe 20, 9 is out of reach and 10 is not; with more drift both are near. 12 is of
    another component, whose distance says nothing."""
    m = road(21, {20: [3.0], 10: [4.3]})
    m.keyframes[12].component_id = 7
    m.keyframes[12].S_world_keyframe = Sim3(np.eye(3), np.array([1000.0, 0.0, 0.0]))
    places = SimpleNamespace(like_keyframe=lambda k, n: (np.array([9, 12, 20, 19]), None))
    finder = LoopFinder(m, places, None, LoopConfig(min_gap=3, max_correction=max_correction))  # type: ignore[arg-type]
    monkeypatch.setattr(finder, "_is_straight_on", lambda k, depth: False)
    assert finder._candidates(20, other_components=False) == found
