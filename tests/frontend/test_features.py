"""Corners at known places and their optical flow under known shifts."""

import cv2
import numpy as np
import pytest
from synthetic import smooth_texture

from vgslam.frontend.features import FeatureConfig, detect_corners, track_flow

CONFIG = FeatureConfig()
NONE = np.zeros((0, 2), np.float32)


def blobs(places: np.ndarray, shape: tuple[int, int] = (240, 320)) -> np.ndarray:
    """Grey image with a small round bright spot, symmetric about its place, at each sub-pixel place (N,2)."""
    v, u = np.indices(shape, np.float64)
    image = np.full(shape, 60.0)
    for x, y in places:
        image += 150.0 * np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * 2.0**2))
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def scattered_places(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(30, 300, 40), np.arange(30, 220, 40)), axis=-1).reshape(-1, 2)
    return grid + rng.uniform(-6, 6, grid.shape)


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a[:, None] - b[None], axis=2)


def textured(u_shift: float = 0.0, v_shift: float = 0.0, seed: int = 3) -> np.ndarray:
    """A view of a fixed texture, moved by (u, v) px exactly (the texture is drawn four times finer)."""
    fine = smooth_texture(2048, seed, finest_px=6.0).astype(np.float32)
    v, u = np.indices((240, 320)).astype(np.float32)
    moved = cv2.remap(fine, (u - u_shift) * 4 + 300, (v - v_shift) * 4 + 300, cv2.INTER_CUBIC)
    return np.clip(np.round(moved), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
def test_corners_are_found_to_a_fraction_of_a_pixel(seed: int) -> None:
    places = scattered_places(seed)
    found = detect_corners(blobs(places), NONE, 500, CONFIG)
    assert found.dtype == np.float32
    gap = distances(places, found).min(axis=1)
    assert gap.max() < 0.2
    offset = found[distances(places, found).argmin(axis=1)] - places
    assert np.sqrt((offset**2).mean()) < 0.08
    assert np.abs(offset.mean(axis=0)).max() < 0.03  # the pixel's centre is its coordinate: no half-pixel shift


def test_strongest_corners_come_first() -> None:
    weak = blobs(np.array([[60.0, 60.0], [60.0, 180.0]])).astype(np.float64) - 60
    strong = blobs(np.array([[200.0, 60.0], [200.0, 180.0]])).astype(np.float64) - 60
    image = np.round(60 + 0.5 * weak + strong).astype(np.uint8)
    found = detect_corners(image, NONE, 2, CONFIG)
    assert len(found) == 2
    assert (found[:, 0] > 150).all()


@pytest.mark.parametrize("distance", [8, 14, 25])
def test_corners_keep_apart_and_off_the_border(distance: int) -> None:
    config = FeatureConfig(min_distance_px=distance)
    found = detect_corners(textured(), NONE, 500, config)
    assert len(found) > 0.15 * (320 * 240) / distance**2
    between = distances(found, found) + 1e9 * np.eye(len(found))
    assert between.min() > 0.7 * distance - 1.0
    assert found.min() >= 7.5
    assert (found.max(axis=0) <= [312.5, 232.5]).all()


def test_corners_keep_the_promised_distance() -> None:
    found = detect_corners(textured(), NONE, 500, CONFIG)
    between = distances(found, found) + 1e9 * np.eye(len(found))
    assert between.min() > CONFIG.min_distance_px - 1.0


def test_corners_keep_away_from_existing_ones() -> None:
    gray = textured()
    first = detect_corners(gray, NONE, 80, CONFIG)
    more = detect_corners(gray, first, 500, CONFIG)
    assert len(first) == 80
    assert len(more) > 0
    assert distances(more, first).min() > CONFIG.min_distance_px - 1.5


@pytest.mark.parametrize("wanted", [-3, 0, 1, 17])
def test_no_more_corners_than_wanted(wanted: int) -> None:
    assert len(detect_corners(textured(), NONE, wanted, CONFIG)) == max(wanted, 0)


@pytest.mark.parametrize("shape", [(240, 320), (20, 20), (9, 200)])
def test_an_even_image_has_no_corners(shape: tuple[int, int]) -> None:
    assert detect_corners(np.full(shape, 100, np.uint8), NONE, 100, CONFIG).shape == (0, 2)
    assert detect_corners(np.zeros(shape, np.uint8), NONE, 100, CONFIG).shape == (0, 2)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (2.3, -1.7), (-7.4, 5.25)])
def test_flow_follows_a_sub_pixel_shift(shift: tuple[float, float]) -> None:
    before, after = textured(), textured(*shift)
    px = detect_corners(before, NONE, 300, CONFIG)
    found, ok = track_flow(before, after, px, px, CONFIG)
    assert ok.mean() > 0.85
    error = np.linalg.norm(found - px - np.array(shift), axis=1)[ok]
    assert np.median(error) < 0.05
    assert np.percentile(error, 95) < 0.2


def test_flow_starts_where_it_is_told() -> None:
    """Far beyond the pyramid's reach without a guess, found with one."""
    shift = (70.0, 30.0)
    before, after = textured(), textured(*shift)
    px = detect_corners(before, NONE, 300, CONFIG)
    px = px[((px + shift) < [300, 220]).all(axis=1)]
    _, blind = track_flow(before, after, px, px, CONFIG)
    found, ok = track_flow(before, after, px, px + np.float32(shift) + 2.0, CONFIG)
    assert ok.mean() > 0.9
    assert np.abs(found[ok] - px[ok] - shift).max() < 0.5
    assert blind.mean() < 0.5


def test_flow_rejects_what_is_covered() -> None:
    before, after = textured(), textured(3.0, 1.0)
    after[60:180, 100:220] = textured(seed=9)[60:180, 100:220]
    px = detect_corners(before, NONE, 300, CONFIG)
    found, ok = track_flow(before, after, px, px, CONFIG)
    target = px + np.float32([3.0, 1.0])
    covered = ((target > [110, 70]) & (target < [210, 170])).all(axis=1)
    free = ((target < [85, 45]) | (target > [235, 195])).any(axis=1)
    assert covered.sum() > 8
    assert ok[covered].mean() < 0.3
    # what is left of the covered ones did not slip through as good flow by chance
    assert ok[free].mean() > 0.8
    assert np.abs(found[free & ok] - target[free & ok]).max() < 1.0


def test_flow_rejects_what_leaves_the_image() -> None:
    before, after = textured(), textured(-60.0, 0.0)
    px = detect_corners(before, NONE, 300, CONFIG)
    found, ok = track_flow(before, after, px, px - np.float32([60.0, 0.0]), CONFIG)
    gone = px[:, 0] < 60
    assert gone.sum() > 10
    assert not ok[gone].any()
    assert ok[px[:, 0] > 75].mean() > 0.9
    assert found[ok].min() > 2


def test_a_stricter_check_backwards_keeps_fewer() -> None:
    before, after = textured(), textured(4.0, -3.0)
    noise = np.random.default_rng(4).normal(0, 25, after.shape)
    after = np.clip(after + noise, 0, 255).astype(np.uint8)
    px = detect_corners(before, NONE, 300, CONFIG)
    loose = track_flow(before, after, px, px, CONFIG)[1]
    strict = track_flow(before, after, px, px, FeatureConfig(max_back_error_px=0.02))[1]
    assert not (strict & ~loose).any()
    assert strict.sum() < 0.7 * loose.sum()


def test_flow_into_blackness_is_lost() -> None:
    before = textured()
    px = detect_corners(before, NONE, 100, CONFIG)
    _, ok = track_flow(before, np.zeros_like(before), px, px, CONFIG)
    assert not ok.any()


def test_nothing_to_follow() -> None:
    found, ok = track_flow(textured(), textured(), NONE, NONE, CONFIG)
    assert found.shape == (0, 2)
    assert ok.shape == (0,)


def test_the_guess_is_left_as_it_was() -> None:
    before = textured()
    px = detect_corners(before, NONE, 50, CONFIG)
    guess = px + np.float32(1.0)
    kept_px, kept_guess = px.copy(), guess.copy()
    track_flow(before, textured(2.0, 0.0), px, guess, CONFIG)
    np.testing.assert_array_equal(px, kept_px)
    np.testing.assert_array_equal(guess, kept_guess)


def test_a_large_image_on_its_side_has_the_same_corners() -> None:
    """Whichever side is long, it is searched at half size: a spot of few pixels is as weak there as everywhere."""
    rng = np.random.default_rng(2)
    places = np.stack(np.meshgrid(np.arange(40.0, 980.0, 60.0), [30.0, 90.0]), axis=-1).reshape(-1, 2)
    image = blobs(places + rng.uniform(-9, 9, places.shape), (120, 1000))
    lying, upright = (detect_corners(x, NONE, 500, CONFIG) for x in (image, np.ascontiguousarray(image.T)))
    assert len(lying) == len(upright) >= len(places)
    assert distances(lying, upright[:, ::-1]).min(axis=1).max() < 0.01
