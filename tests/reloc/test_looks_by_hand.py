"""Which keyframes and maps are looked at, how often, and which answers agree: limits worked out by hand."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hand_map import CAMERA, add_landmarks, at, grid, hand_map

from vgslam.frontend.features import FeatureConfig
from vgslam.frontend.locate import LocateConfig, Locator
from vgslam.frontend.matching import PlainFeatures
from vgslam.geometry import se3
from vgslam.map.slam_map import SlamMap
from vgslam.reloc import late_joins as joins_module
from vgslam.reloc.asked_proposer import Backoff
from vgslam.reloc.late_joins import _agreeing, _next, _spread, join_components
from vgslam.reloc.localization import Localization
from vgslam.reloc.loops import LoopConfig
from vgslam.reloc.map_index import MapIndex, alike_maps
from vgslam.reloc.places import FeatureFile
from vgslam.reloc.relocalizer import spaced
from vgslam.reloc.weak_poses import Matches, _by_count, _n_places, covisible, weak_poses
from vgslam.types import Array

# -- attempts


def test_twice_as_many_are_left_out_each_time() -> None:
    backoff = Backoff(5)
    for n in (0, 1, 2, 4, 5, 5):
        assert [backoff.is_due() for _ in range(n + 1)] == [False] * n + [True]
        backoff.ended(False)
    assert [backoff.is_due() for _ in range(6)] == [False] * 5 + [True]
    backoff.ended(True)
    assert backoff.is_due()
    backoff.ended(False)
    assert [backoff.is_due(), backoff.is_due()] == [False, True]


def test_keyframes_more_than_two_apart_are_taken_in_order() -> None:
    assert spaced([10, 12, 13, 7, 8, 20, 30], 4) == [10, 13, 7, 20]
    assert spaced([10, 12, 13], 4, gap=1) == [10, 12]
    assert spaced([], 3) == []


# -- keyframes that show what a camera would see


def facing(n: int, counts: dict[int, int]) -> SlamMap:
    """n keyframes along x, a tenth apart; keyframe k sees counts[k] landmarks of a wall 4 before the origin."""
    m = hand_map([at(x=0.1 * k) for k in range(n)])
    for k, count in counts.items():
        add_landmarks(m, k, grid(count, 1, 4.0))
    return m


def test_keyframes_that_show_twenty_landmarks_come_with_most_of_them_first() -> None:
    m = facing(5, {0: 20, 1: 19, 2: 30, 3: 25})
    assert covisible(m, np.eye(4), 0, CAMERA) == [2, 3, 0]
    assert covisible(m, np.eye(4), 1, CAMERA) == []


def test_the_forty_nearest_keyframes_are_looked_at() -> None:
    m = facing(45, dict.fromkeys(range(45), 20))
    T = se3.inverse(at(x=4.4))  # sees 4 to each side, and so what 40 keyframes have before them
    m.landmarks.xyz_host[:, 0] = np.linspace(0.0, 0.2, 20)[np.arange(900) % 20]  # before its keyframe
    found = covisible(m, T, 0, CAMERA)
    assert sorted(found) == list(range(5, 45))


def test_what_lies_outside_the_image_or_is_seen_from_behind_does_not_count() -> None:
    """Points 4 ahead: at +-0.9 across they lie 22.5 px off the middle, and one row of the image is 160 high."""
    m = facing(1, {0: 25})
    assert covisible(m, at(x=-3.9), 0, CAMERA) == [], "beside it, to the left"
    assert covisible(m, at(x=1.9), 0, CAMERA) == [0], "nearly all of the right half of the width is used"
    around = at(z=8.0, turn=(0.0, 180.0, 0.0))
    assert covisible(m, se3.inverse(around), 0, CAMERA) == [], "from the other side of the wall"


# -- components that are joined at the end


def of_components(sizes: list[int]) -> SlamMap:
    m = hand_map([at()] * sum(sizes))
    numbers = [c for c, n in enumerate(sizes) for _ in range(n)]
    for keyframe, c in zip(m.keyframes, numbers, strict=True):
        keyframe.component_id = c
    return m


def test_the_largest_component_but_one_is_tried_first() -> None:
    m = of_components([3, 9, 5, 5])
    assert [_next(m, tried) for tried in (set(), {2}, {2, 3}, {0, 2, 3})] == [2, 3, 0, None]
    assert _next(of_components([4]), set()) is None


def test_forty_keyframes_are_spread_over_a_component() -> None:
    assert _spread(np.arange(10, 30)) == list(range(10, 30))
    found = _spread(np.arange(100, 500))
    assert (len(found), found[0], found[-1]) == (40, 100, 499)


class Finder:
    """Meetings are numbers; those of the same ten agree."""

    def meeting(self, k: int, other_components: bool) -> int | None:
        return None if k < 0 else k

    def agree(self, x: int, y: int) -> bool:
        return x // 10 == y // 10


@pytest.mark.parametrize(("members", "found"), [
    ([1, 11, 2, 12, 13, -5], [11, 12, 13]), ([1, 11, 2], []), ([1, 2, 3], [1, 2, 3]), ([-1, -2], []),
])  # fmt: skip
def test_the_most_meetings_that_agree_are_taken_if_they_are_enough(members: list[int], found: list[int]) -> None:
    assert _agreeing(SimpleNamespace(finder=Finder()), members, 3) == found  # type: ignore[arg-type]


def test_what_was_closed_and_joined_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([None, SimpleNamespace(joined=None), SimpleNamespace(joined=0)])

    class Closer:
        def __init__(self, *_: object) -> None:
            self.finder = Finder()

        def close(self, meetings: object) -> object:
            return next(answers)

    monkeypatch.setattr(joins_module, "LoopCloser", Closer)
    monkeypatch.setattr(joins_module, "ThoroughPlaces", lambda m: None)
    m = of_components([9, 5, 4, 3])
    assert join_components(m, FeatureConfig(), LoopConfig(), []) == 1
    assert join_components(m, FeatureConfig(), replace(LoopConfig(), is_on=False), []) == 0


# -- poses of many keyframes together


def seen_from(m: SlamMap, T_cam_world: Array, k: int, ids: list[int]) -> Matches:
    """Landmarks of keyframe k matched where a camera sees them."""
    points = m.landmarks_world(m.observed[k].ids[ids])
    return Matches(k, m.observed[k].pixels[ids], CAMERA.project(se3.transform(T_cam_world, points)))


def scene() -> SlamMap:
    """Two keyframes that see 40 points each, at many depths: each pixel's own depth is that of its landmark."""
    m = hand_map([at(), at(x=0.4)])
    rng = np.random.default_rng(0)
    for k in range(2):
        local = CAMERA.rays(rng.uniform([20, 20], [180, 140], (40, 2))) * rng.uniform(3, 5, 40)[:, None]
        add_landmarks(m, k, local + np.array([0.4 * k, 0.0, 0.0]))
    return m


@pytest.mark.parametrize(("n", "is_found"), [(8, True), (7, False)])
def test_eight_features_make_a_weak_pose(n: int, is_found: bool) -> None:
    m, T = scene(), at(x=-0.2, turn=(0.0, 4.0, 0.0))
    locator = Locator(m, LocateConfig(), FeatureConfig())
    right = [seen_from(m, T, k, list(range(n // 2 if k == 0 else n - n // 2))) for k in range(2)]
    anywhere = np.random.default_rng(9).uniform([20, 20], [180, 140], (6, 2))
    wrong = Matches(1, m.observed[1].pixels[30:36], anywhere)
    found = weak_poses(locator, [*right, wrong], CAMERA)
    assert (len(found) > 0) == is_found
    if found:
        assert 8 <= found[0].n_features <= 9
        assert np.linalg.norm(found[0].T_cam_world[:3, 3] - T[:3, 3]) < 0.3
        assert set(found[0].references) == {0, 1}


def test_weak_poses_of_a_component_are_three_at_most_the_strongest_first() -> None:
    """Four poses, of 12, 10, 9 and 8 features."""
    m = scene()
    locator = Locator(m, LocateConfig(), FeatureConfig())
    some, begin = [], 0
    for i, n in enumerate((9, 12, 8, 10)):
        T = at(x=-0.6 * i, y=0.5 * i, turn=(3.0 * i, -6.0 * i, 12.0 * i))
        some.append(seen_from(m, T, 0, list(range(begin, begin + n))))
        begin += n
    together = Matches(0, np.concatenate([x.px_keyframe for x in some]), np.concatenate([x.px for x in some]))
    found = weak_poses(locator, [together], CAMERA)
    assert 2 <= len(found) <= 3
    assert [p.n_features for p in found] == sorted((p.n_features for p in found), reverse=True)
    first, second = (p.T_cam_world[:3, 3] for p in found[:2])
    assert np.linalg.norm(first - second) > 0.3, "what agrees with one has no say in the next"


def test_features_are_counted_once_and_keyframes_by_their_matches() -> None:
    assert _n_places(np.array([[1.0, 2.0], [1.2, 1.9], [5.0, 2.0]])) == 2
    assert _by_count(np.array([3, 1, 1, 2, 1, 2])) == (1, 2, 3)


def test_an_answer_that_fits_elsewhere_as_well_is_not_trusted() -> None:
    evidence: Any = SimpleNamespace(trust=0.7)
    answer = Localization(np.eye(4), np.eye(6), evidence, "", (), 0, 0, np.zeros(0, np.int64), np.zeros((0, 2)), 2.0)
    assert (answer.trust, replace(answer, is_ambiguous=True).trust) == (0.7, 0.0)
    for T, component, is_near in (
        (at(x=0.59), 0, True), (at(x=0.61), 0, False), (at(turn=(0.0, 44.9, 0.0)), 0, True),
        (at(turn=(0.0, 45.1, 0.0)), 0, False), (at(), 1, False),
    ):  # fmt: skip
        assert answer.is_near(T, component) == is_near


# -- maps that look alike


def test_the_most_alike_keyframes_of_two_maps_say_how_alike_they_are() -> None:
    """Map 0 has two keyframes; map 1 three, of which two look like the first of map 0 by 0.9 and 0.8, and one like the
    second by 0.95."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 256), dtype=np.uint8)

    def view(code: Array, n_bits: int) -> Array:
        bits = np.unpackbits(code)
        bits[:n_bits] ^= 1
        return np.packbits(bits)

    # a likeness of 0.9 is a twentieth of 2048 bits
    codes = np.stack([a, b, view(a, 102), view(a, 205), view(b, 51)])
    index = MapIndex(codes, np.array([0, 0, 1, 1, 1]))
    found = alike_maps(index, 5, 0.5, 2)
    assert found.maps.tolist() == [[0, 1]]
    np.testing.assert_allclose(found.strength, [2 * (1 - 2 * 51 / 2048 + 1 - 2 * 102 / 2048)])
    assert len(alike_maps(index, 5, 0.5, 3).maps) == 0, "map 0 has two"
    assert len(alike_maps(index, 5, 0.91, 2).maps) == 0, "of each map one alone is so much alike"


# -- features on disk


def features(seed: int, n: int = 3) -> PlainFeatures:
    rng = np.random.default_rng(seed)
    return PlainFeatures(rng.random((n, 2)), rng.integers(0, 256, (n, 128), dtype=np.uint8))


def test_features_are_kept_bit_for_bit_while_there_is_room() -> None:
    """Three features take 3 x 144 bytes."""
    file = FeatureFile(2 * 432)
    for k in range(3):
        file.put(k, features(k))
    file.put(0, features(9))
    assert len(file) == 2
    assert file.get(2) is None
    for k in (1, 0):
        found = file.get(k)
        assert found is not None
        np.testing.assert_array_equal(found.pixels, features(k).pixels)
        np.testing.assert_array_equal(found.descriptors, features(k).descriptors)


def test_a_full_disk_ends_the_keeping_and_leaves_what_is_there() -> None:
    file = FeatureFile()
    file.put(0, features(0))

    class Full:
        def seek(self, at: int) -> None: ...

        def write(self, data: bytes) -> None:
            raise OSError(28, "no space")

    opened, file._file = file._file, Full()  # type: ignore[assignment]
    file.put(1, features(1))
    file._file = opened
    file.put(2, features(2))
    assert len(file) == 1
    assert file.get(0) is not None
