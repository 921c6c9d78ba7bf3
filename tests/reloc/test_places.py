"""Recognising a place: codes, their index, and the keyframes of a map."""

import cv2
import numpy as np
import pytest
from synthetic import CAMERA, pose, render, room, smooth_texture

from vgslam.frontend.matching import ImageFeatures, MatcherConfig, describe_quick, match
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import PlaceCodes, SlamMap
from vgslam.reloc.places import PlaceIndex, Places
from vgslam.reloc.vocabulary import N_BITS, shipped_vocabulary
from vgslam.types import Image, Keyframe


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    return 1.0 - 2.0 * float(np.unpackbits(a ^ b).sum()) / N_BITS


def view(x: float, yaw_deg: float = 0.0) -> Image:
    return render(room(), CAMERA, pose((0, yaw_deg, 0), (x, 0, 0)))[0]


def elsewhere(i: int) -> Image:
    return np.repeat(smooth_texture(320, seed=60 + i)[:240, :, None], 3, axis=2)


@pytest.fixture(scope="module")
def known() -> SlamMap:
    """Keyframe 4 looks at the room, the others elsewhere."""
    m = SlamMap()
    for k in range(9):
        image = view(0.0) if k == 4 else elsewhere(k)
        m.add_keyframe(Keyframe(k, k, k / 30, image, CAMERA, Sim3.identity()), np.zeros(0), np.zeros((0, 2)))
    return m


def test_a_known_place_is_recognised_from_aside(known: SlamMap) -> None:
    places = Places(known)
    places.catch_up()
    ids, like = places.index.search(places.code(view(0.4, 5.0)), 3)
    assert ids[0] == 4
    assert like[0] > like[1] + 0.05


def test_a_keyframe_is_most_like_itself_and_features_are_kept_within_bounds(known: SlamMap) -> None:
    places = Places(known, kept=3)
    for k in range(9):
        ids, like = places.like_keyframe(k, 2)
        assert ids[0] == k
        assert like[0] == 1.0
        assert len(places._features) <= 3


def test_the_index_orders_by_hamming_distance() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (500, N_BITS // 8), dtype=np.uint8)
    index = PlaceIndex()
    index.add(codes[:200])
    index.add(codes[200:])
    noisy = codes[321] ^ np.packbits(rng.random(N_BITS) < 0.2)
    ids, like = index.search(noisy, 500)
    expected = [likeness(noisy, codes[i]) for i in ids]
    assert ids[0] == 321
    np.testing.assert_allclose(like, expected)
    assert (np.diff(like) <= 0).all()


def test_an_empty_index_finds_nothing() -> None:
    ids, like = PlaceIndex().search(np.zeros(N_BITS // 8, np.uint8), 5)
    assert len(ids) == len(like) == 0


def test_an_image_without_features_has_a_code() -> None:
    black = describe_quick(np.zeros((240, 320), np.uint8))
    assert len(black.pixels) == 0
    assert shipped_vocabulary().bits(black.descriptors).shape == (N_BITS // 8,)


def test_quick_features_lie_on_the_full_image() -> None:
    """Twice the size, the same places. Without the pixel centres' half pixel the mean would be 0.6 px off."""
    small = cv2.cvtColor(view(0.0), cv2.COLOR_RGB2GRAY)
    large = cv2.resize(small, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    a, b = describe_quick(small), describe_quick(large)
    ia, ib = match(a, b, MatcherConfig())
    assert len(ia) > 100
    offset = b.pixels[ib] - ((a.pixels[ia] + 0.5) * 2 - 0.5)
    right = np.linalg.norm(offset, axis=1) < 4
    assert right.mean() > 0.75
    assert np.abs(offset[right].mean(axis=0)).max() < 0.5


def test_codes_that_came_with_the_map_are_not_made_again(known: SlamMap, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Places(known)
    first.catch_up()
    expected = first.index.search(known.place_codes.codes.view[4], 9)
    monkeypatch.setattr(Places, "code", lambda *_: pytest.fail("made again"))
    again = Places(known)
    again.catch_up()
    for a, b in zip(again.index.search(known.place_codes.codes.view[4], 9), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_codes_of_another_vocabulary_are_made_anew(known: SlamMap) -> None:
    Places(known).catch_up()
    right = known.place_codes.codes.view.copy()
    known.place_codes.vocabulary = np.zeros(8, np.uint8)
    known.place_codes.codes.view[:] = 0
    places = Places(known)
    places.catch_up()
    np.testing.assert_array_equal(known.place_codes.codes.view, right)
    assert len(places.index) == len(known.keyframes)


def test_a_place_that_is_passed_over_is_found_by_none_until_it_is_asked_for(known: SlamMap) -> None:
    known.place_codes = PlaceCodes()
    places = Places(known)
    places.pass_over(4)
    places.pass_over(5)
    assert 4 not in places.like_keyframe(3, 9)[0]
    assert not known.place_codes.codes.view[4].any()
    ids, like = places.like_keyframe(4, 9)
    assert ids[0] == 4
    assert like[0] == 1.0
    assert sorted(ids) == [0, 1, 2, 3, 4, 6, 7, 8]
    again = Places(known)
    assert 5 not in again.like_keyframe(3, 9)[0], "nor where the map was saved and opened meanwhile"
    again.catch_up()
    assert again.like_keyframe(5, 9)[0][0] == 5
    assert known.place_codes.codes.view.any(1).all()


def test_a_map_that_grows_while_places_are_described_loses_none(
    known: SlamMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown = SlamMap()
    grown.add_keyframe(known.keyframes[0], np.zeros(0), np.zeros((0, 2)))
    places, features = Places(grown), Places.features

    def grow(self: Places, k: int) -> ImageFeatures:
        if len(grown.keyframes) < 3:
            grown.add_keyframe(known.keyframes[len(grown.keyframes)], np.zeros(0), np.zeros((0, 2)))
        return features(self, k)

    monkeypatch.setattr(Places, "features", grow)
    for k in (0, 1, 2):
        assert places.like_keyframe(k, 1)[0] == [k]
