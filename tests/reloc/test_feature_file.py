"""Features in a temporary file: bit for bit those that are computed, computed once, and not needed to go on."""

import cv2
import numpy as np
import pytest

from vgslam.frontend.matching import PlainFeatures, describe_quick, plain_features
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.reloc import places as places_module
from vgslam.reloc.places import FeatureFile, Places
from vgslam.types import Keyframe


def picture(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (240, 320), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2.5)


def of(seed: int, n: int) -> PlainFeatures:
    rng = np.random.default_rng(seed)
    return PlainFeatures(rng.normal(0, 100, (n, 2)), rng.integers(0, 256, (n, 128), dtype=np.uint8))


def same(a: PlainFeatures | None, b: PlainFeatures) -> bool:
    return a is not None and np.array_equal(a.pixels, b.pixels) and np.array_equal(a.descriptors, b.descriptors)


def test_what_is_put_comes_back_in_any_order() -> None:
    file, kept = FeatureFile(), {k: of(k, n) for k, n in ((7, 30), (2, 0), (9, 500))}
    for k, features in kept.items():
        file.put(k, features)
    assert file.get(3) is None
    assert all(same(file.get(k), kept[k]) for k in (9, 2, 7, 9))
    file.put(11, of(11, 4))
    assert same(file.get(11), of(11, 4))
    assert same(file.get(7), kept[7])


def test_beyond_its_size_nothing_is_kept() -> None:
    file = FeatureFile(most_bytes=144 * 10)
    file.put(0, of(0, 8))
    file.put(1, of(1, 8))
    file.put(2, of(2, 2))
    assert file.get(1) is None
    assert same(file.get(0), of(0, 8))
    assert same(file.get(2), of(2, 2))


def test_a_full_disk_is_borne(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    file = FeatureFile()
    file.put(0, of(0, 3))
    assert file.get(0) is None
    assert len(file) == 0


def test_plain_features_hold_all_of_what_is_computed() -> None:
    """OpenCV's descriptors are whole numbers below 256: nothing is lost as bytes, and the roots are the same bits."""
    found = cv2.SIFT.create().detectAndCompute(picture(1), None)[1]
    assert np.array_equal(found, found.astype(np.uint8))
    plain, quick = plain_features(picture(1)), describe_quick(picture(1))
    assert len(plain.pixels) > 100
    np.testing.assert_array_equal(plain.rooted().descriptors, quick.descriptors)
    np.testing.assert_array_equal(plain.pixels, quick.pixels)
    np.testing.assert_allclose((quick.descriptors**2).sum(1), 1.0, atol=1e-5)


def test_features_of_a_keyframe_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    slam_map = SlamMap()
    for k in range(5):
        image = cv2.cvtColor(picture(k), cv2.COLOR_GRAY2RGB)
        keyframe = Keyframe(k, k, k / 30, image, Camera.from_fov(320, 240, 70.0), Sim3.identity())
        slam_map.add_keyframe(keyframe, np.zeros(0), np.zeros((0, 2)))
    made: list[int] = []

    def counted(gray: np.ndarray, n: int) -> PlainFeatures:
        made.append(len(made))
        return plain_features(gray, n)

    monkeypatch.setattr(places_module, "plain_features", counted)
    places = Places(slam_map, kept=2)
    for k in (0, 1, 2, 3, 4, 0, 3, 1, 4, 2):
        expected = describe_quick(picture(k))
        np.testing.assert_array_equal(places.features(k).descriptors, expected.descriptors)
        np.testing.assert_array_equal(places.features(k).pixels, expected.pixels)
    assert len(made) == 5
