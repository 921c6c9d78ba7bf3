"""Which keyframes and maps are looked at, how often, and which answers agree: limits worked out by hand."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hand_map import at, hand_map

from vgslam.frontend.features import FeatureConfig
from vgslam.frontend.matching import PlainFeatures
from vgslam.map.slam_map import SlamMap
from vgslam.reloc import late_joins as joins_module
from vgslam.reloc.asked_proposer import Backoff
from vgslam.reloc.late_joins import _agreeing, _next, _spread, join_components
from vgslam.reloc.localization import Localization
from vgslam.reloc.loops import LoopConfig
from vgslam.reloc.map_index import MapIndex, alike_maps
from vgslam.reloc.places import FeatureFile
from vgslam.reloc.relocalizer import spaced
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
