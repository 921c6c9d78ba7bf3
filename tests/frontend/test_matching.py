"""Descriptor matches between an image and its rotated and scaled copy."""

import cv2
import numpy as np
import pytest
from synthetic import smooth_texture

from vgslam.frontend.matching import ImageFeatures, MatcherConfig, describe, match

CONFIG = MatcherConfig(n_features=600)
IMAGE = smooth_texture(320, seed=5, finest_px=2.0)


def turned(angle_deg: float, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """The image turned and scaled about its middle, and the 2x3 matrix that does it."""
    M = cv2.getRotationMatrix2D((159.5, 159.5), angle_deg, scale)
    return cv2.warpAffine(IMAGE, M, (320, 320), flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), M


@pytest.mark.parametrize(("angle_deg", "scale"), [(0, 1.0), (25, 1.0), (-60, 0.8), (170, 1.3)])
def test_matches_follow_a_turned_and_scaled_image(angle_deg: float, scale: float) -> None:
    other, M = turned(angle_deg, scale)
    a, b = describe(IMAGE, CONFIG), describe(other, CONFIG)
    ia, ib = match(a, b, CONFIG)
    expected = a.pixels[ia] @ M[:, :2].T + M[:, 2]
    error = np.linalg.norm(b.pixels[ib] - expected, axis=1)
    assert len(ia) > 60
    assert (error < 2.0).mean() > 0.9
    assert np.median(error) < 1.0


def test_keypoints_lie_where_the_image_has_them() -> None:
    """Round spots at known places; the middle of the first pixel is (0, 0)."""
    rng = np.random.default_rng(6)
    places = np.stack(np.meshgrid(np.arange(30, 300, 40), np.arange(30, 220, 40)), axis=-1).reshape(-1, 2)
    places = places + rng.uniform(-6, 6, places.shape)
    v, u = np.indices((240, 320), np.float64)
    image = 60 + sum(150 * np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * 2.5**2)) for x, y in places)
    found = describe(np.round(image).astype(np.uint8), CONFIG).pixels
    distance = np.linalg.norm(places[:, None] - found[None], axis=2)
    offset = found[distance.argmin(axis=1)] - places
    assert np.abs(offset).max() < 1.0
    assert np.abs(offset.mean(axis=0)).max() < 0.05


def test_each_place_matches_once() -> None:
    other, _ = turned(20, 1.0)
    a, b = describe(IMAGE, CONFIG), describe(other, CONFIG)
    ia, ib = match(a, b, CONFIG)
    assert len(np.unique(a.pixels[ia].round(1), axis=0)) == len(ia)
    assert len(np.unique(b.pixels[ib].round(1), axis=0)) == len(ib)


def test_a_place_with_two_orientations_in_the_other_image_matches_once() -> None:
    """SIFT describes one place twice when two directions are strong; two places cannot both be there."""
    a = features([[1, 0, 0], [0, 1, 0]])
    b = features([[1, 0, 0], [0, 1, 0]])
    b.pixels[1] = b.pixels[0]
    ia, ib = match(a, b, CONFIG)
    assert len(ia) == len(ib) == 1
    ia, ib = match(b, a, CONFIG)
    assert len(ia) == len(ib) == 1


def test_unrelated_images_hardly_match() -> None:
    a, b = describe(IMAGE, CONFIG), describe(smooth_texture(320, seed=77, finest_px=2.0), CONFIG)
    ia, _ = match(a, b, CONFIG)
    other, _ = turned(20, 1.0)
    related, _ = match(a, describe(other, CONFIG), CONFIG)
    assert len(ia) < 0.15 * len(related)


def features(rows: list[list[float]]) -> ImageFeatures:
    """Unit descriptors with the given leading entries, at places 10 px apart."""
    d = np.zeros((len(rows), 128), np.float32)
    for i, row in enumerate(rows):
        d[i, : len(row)] = row
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    return ImageFeatures(np.stack([10.0 * np.arange(len(rows)), np.zeros(len(rows))], axis=1), d)


def test_ambiguous_matches_are_dropped() -> None:
    a = features([[1, 0, 0], [0, 1, 0]])
    b = features([[1, 0.1, 0], [1, 0.12, 0], [0, 1, 0.1]])  # the first of a fits two of b alike
    ia, ib = match(a, b, CONFIG)
    assert list(zip(ia.tolist(), ib.tolist())) == [(1, 2)]
    ia, _ = match(a, b, MatcherConfig(ratio=0.99))
    assert 0 in ia


def test_matches_are_mutual() -> None:
    a = features([[1, 0, 0], [1, 0.3, 0]])  # both nearest to b's first, which is nearer to the second of a
    b = features([[1, 0.25, 0], [0, 0, 1]])
    ia, ib = match(a, b, CONFIG)
    assert list(zip(ia.tolist(), ib.tolist())) == [(1, 0)]


def test_descriptors_are_root_sift() -> None:
    d = describe(IMAGE, CONFIG).descriptors
    np.testing.assert_allclose(np.linalg.norm(d, axis=1), 1.0, atol=1e-3)
    assert (d >= 0).all()


@pytest.mark.parametrize("value", [0, 200])
def test_an_even_image_has_nothing_to_match(value: int) -> None:
    nothing = describe(np.full((120, 160), value, np.uint8), CONFIG)
    assert nothing.pixels.shape == (0, 2)
    ia, ib = match(nothing, describe(IMAGE, CONFIG), CONFIG)
    assert len(ia) == len(ib) == 0
