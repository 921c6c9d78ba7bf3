"""Exposures that change between two frames of a known shift: optical flow has to find the shift all the same."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from synthetic import smooth_texture

from vgslam.frontend.exposure import LEAST_POINTS, _curve, _is_known, _line, _surroundings, exposed_as, track_exposed
from vgslam.frontend.features import FeatureConfig, detect_corners

SHIFT = np.array([3.4, -2.2], np.float32)
CONFIG = FeatureConfig(min_distance_px=9)
NONE = np.zeros((0, 2), np.float32)


def scene(shift: np.ndarray, seed: int = 3) -> np.ndarray:
    """A bright room (240,320), float32 grey values from 90 to 200, moved by `shift` px exactly."""
    fine = smooth_texture(2048, seed, finest_px=6.0).astype(np.float32)
    v, u = np.indices((240, 320)).astype(np.float32)
    moved = cv2.remap(fine, (u - shift[0]) * 4 + 300, (v - shift[1]) * 4 + 300, cv2.INTER_CUBIC)
    return np.asarray(90.0 + 110.0 * np.clip(moved, 0, 255) / 255.0, np.float32)


def as_image(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


BEFORE = as_image(scene(np.zeros(2, np.float32)))
CORNERS = detect_corners(BEFORE, NONE, 300, CONFIG)
Change = Callable[[np.ndarray], np.ndarray]
GAINS: dict[str, Change] = {
    "the same": lambda x: x,
    "a tenth darker": lambda x: 0.9 * x,
    "a tenth brighter": lambda x: 1.1 * x,
    "one stop darker": lambda x: 0.5 * x,
    "two stops darker": lambda x: 0.25 * x,
}
CURVES: dict[str, Change] = {
    "another tone curve": lambda x: 255.0 * (x / 255.0) ** 1.5,
}


def followed(change: Change) -> tuple[float, np.ndarray]:
    """Share of the corners that are followed, and how far from the truth these end, in px."""
    found, ok = track_exposed(BEFORE, as_image(change(scene(SHIFT))), CORNERS, CORNERS, CONFIG)
    return float(ok.mean()), np.linalg.norm(found - CORNERS - SHIFT, axis=1)[ok]


@pytest.mark.parametrize("name", GAINS)
def test_corners_are_followed_across_a_change_of_exposure(name: str) -> None:
    share, error = followed(GAINS[name])
    assert len(CORNERS) > 200
    assert share > 0.85
    assert (error < 0.3).mean() > 0.95


@pytest.mark.parametrize("name", CURVES)
def test_corners_are_followed_across_other_changes_of_brightness(name: str) -> None:
    """Only near: a line is no tone curve."""
    share, error = followed(CURVES[name])
    assert share > 0.85
    assert (error < 1.0).mean() > 0.95


@pytest.mark.parametrize("gain", [0.3, 0.8, 0.97, 1.03, 1.2])
def test_a_gain_is_found_to_a_grey_value(gain: float) -> None:
    wanted = gain * BEFORE.astype(np.float64)
    found = exposed_as(BEFORE, as_image(gain * scene(SHIFT)), CORNERS, CORNERS + SHIFT)
    assert np.abs(found - wanted).max() < 2.0


def test_a_veil_is_a_line() -> None:
    """Light that scatters in a lens adds the same to all grey values."""
    found = exposed_as(BEFORE, as_image(0.5 * scene(SHIFT) + 80.0), CORNERS, CORNERS + SHIFT)
    assert np.abs(found - (0.5 * BEFORE.astype(np.float64) + 80.0)).max() < 3.0


def test_an_image_of_the_same_exposure_is_left_alone() -> None:
    assert exposed_as(BEFORE, as_image(scene(SHIFT)), CORNERS, CORNERS + SHIFT) is BEFORE
    noise = np.random.default_rng(0).normal(0.0, 4.0, BEFORE.shape)
    assert exposed_as(BEFORE, as_image(scene(SHIFT) + noise), CORNERS, CORNERS + SHIFT) is BEFORE


@pytest.mark.parametrize("sigma", [6.0, 15.0, 30.0])
def test_noise_is_no_change_of_exposure(sigma: float) -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        first, second = (as_image(x + rng.normal(0.0, sigma, BEFORE.shape)) for x in (scene(SHIFT * 0), scene(SHIFT)))
        assert exposed_as(first, second, CORNERS, CORNERS + SHIFT) is first


def test_a_change_is_known_by_more_than_its_errors() -> None:
    """Thirty values that scatter by a tenth tell 14 % (four errors of 1.86 x 0.1 / sqrt(30)) and not 2 %."""
    before = np.linspace(5.0, 120.0, 30)
    scatter = np.exp(0.1 * (-1.0) ** np.arange(30))
    for gain, is_known in ((1.02, False), (1.1, False), (1.2, True), (0.8, True)):
        assert _is_known(before, gain * before, gain * before * scatter) is is_known


def test_what_flow_does_not_notice_is_left_alone() -> None:
    assert exposed_as(BEFORE, as_image(0.998 * BEFORE), CORNERS, CORNERS) is BEFORE
    assert exposed_as(BEFORE, as_image(0.98 * BEFORE), CORNERS, CORNERS) is not BEFORE


def test_what_is_seen_elsewhere_is_no_change_of_exposure() -> None:
    """Corners expected at wrong places differ a lot, each in its own way."""
    rng = np.random.default_rng(1)
    wrong = rng.uniform((10, 10), (310, 230), CORNERS.shape).astype(np.float32)
    assert exposed_as(BEFORE, BEFORE, wrong, wrong[rng.permutation(len(wrong))]) is BEFORE


def test_a_brighter_part_of_the_scene_is_no_change_of_exposure() -> None:
    """All corners are expected in the bright half of a room, and were in the dark one."""
    room = BEFORE.copy()
    room[:, :160] //= 2
    dark = CORNERS[(CORNERS[:, 0] > 10) & (CORNERS[:, 0] < 150)]
    assert len(dark) > LEAST_POINTS
    assert exposed_as(room, room, dark, dark + np.array([160.0, 0.0], np.float32)) is room


@pytest.mark.parametrize("off_px", [4.0, 8.0, 12.0])
def test_guesses_beside_are_no_small_change_of_exposure(off_px: float) -> None:
    rng = np.random.default_rng(3)
    for angle in rng.uniform(0, 2 * np.pi, 12):
        beside = CORNERS + np.float32(off_px) * np.array([np.cos(angle), np.sin(angle)], np.float32)
        assert exposed_as(BEFORE, BEFORE, CORNERS, beside) is BEFORE


def test_little_is_too_little() -> None:
    darker = as_image(0.8 * scene(SHIFT))
    few, enough = CORNERS[:29], CORNERS[:30]
    assert exposed_as(BEFORE, darker, few, few + SHIFT) is BEFORE
    assert exposed_as(BEFORE, darker, enough, enough + SHIFT) is not BEFORE


@pytest.mark.parametrize("other", [0, 255])
def test_black_and_white_frames_are_no_exposure(other: int) -> None:
    assert exposed_as(BEFORE, np.full_like(BEFORE, other), CORNERS, CORNERS) is BEFORE


def test_what_is_cut_off_says_nothing() -> None:
    """Two stops up, most of a room is white; the dark part that is left has the gain."""
    dark = BEFORE.copy()
    dark[:, :160] //= 4
    found = exposed_as(dark, as_image(3.0 * dark), CORNERS, CORNERS)
    assert np.abs(found[:, :150] - 3.0 * dark[:, :150]).max() < 3.0


def test_corners_beside_the_image_are_taken_at_its_edge() -> None:
    outside = CORNERS + np.array([1000.0, -1000.0], np.float32)
    assert exposed_as(BEFORE, as_image(0.5 * BEFORE), outside, outside).shape == BEFORE.shape


# -- by hand


def test_surroundings_are_nine_pixels_five_apart() -> None:
    image = np.zeros((60, 100), np.uint8)
    image[[25, 25, 25, 30, 30, 30, 35, 35, 35], [45, 50, 55] * 3] = np.arange(10, 100, 10)
    image[31, 51] = image[30, 46] = 200  # beside them
    at = np.array([[50.0, 30.0], [50.4, 29.6], [0.0, 0.0], [99.0, 59.0], [60.0, 35.0]], np.float32)
    assert _surroundings(image, at).tolist() == [50.0, 50.0, 0.0, 0.0, (60.0 + 90.0) / 9.0]
    slope = np.tile(np.arange(100, dtype=np.uint8), (60, 1))
    assert _surroundings(slope, at).tolist() == [50.0, 50.0, 5.0, 94.0, 60.0], "at the border those inside"
    down = np.tile(np.arange(60, dtype=np.uint8)[:, None], (1, 100))
    assert _surroundings(down, at).tolist() == [30.0, 30.0, 5.0, 54.0, 35.0]


def test_a_curve_is_a_line_cut_off_at_black_and_white() -> None:
    assert _curve(2.0, -10.0)[[0, 5, 6, 132, 133, 255]].tolist() == [0, 0, 2, 254, 255, 255]
    assert _curve(0.5, 3.0)[[0, 1, 2, 255]].tolist() == [3, 4, 4, 130]  # halves go to the even number


def test_a_line_goes_through_the_quantiles_where_it_explains_more() -> None:
    before = np.linspace(10.0, 110.0, 101)
    assert _line(before, 0.5 * before + 40.0, 0.9, 0.0) == pytest.approx((0.5, 40.0))
    assert _line(before, 2.0 * before, 2.0, 0.0) == (2.0, 0.0), "what explains all is left"
    for spread, has_line in ((28.5, False), (28.7, True)):  # of which .7 lie between the quantiles: 19.95 and 20.09
        narrow = np.linspace(50.0, 50.0 + spread, 101)
        assert (_line(narrow, 0.5 * narrow + 40.0, 0.9, 0.0) != (0.9, 0.0)) is has_line


@pytest.mark.parametrize(("off", "has_line"), [(3.8, False), (4.2, True)])
def test_a_line_has_to_leave_less_than_three_quarters(off: float, has_line: bool) -> None:
    """It leaves 3; an offset that is wrong by `off` leaves that."""
    before = np.repeat(np.arange(0.0, 200.0, 10.0), 2)
    after = before + 3.0 * (-1.0) ** np.arange(len(before))
    assert (_line(before, after, 1.0, -off) != (1.0, -off)) is has_line


PATTERN, ACROSS = np.tile([1.0, 1.0, -1.0, -1.0], 2500), np.tile([1.0, -1.0], 5000)


def correlated(expected: np.ndarray, r: float) -> np.ndarray:
    """Values of the same spread that correlate by r with `expected`, which follows PATTERN around 100."""
    return 100.0 + 20.0 * (r * PATTERN + np.sqrt(1.0 - r * r) * ACROSS) + 0.0 * expected


@pytest.mark.parametrize(("r", "gain", "is_known"), [
    (0.69, 2.0, False), (0.71, 2.0, True),  # the least correlation is .7
    (0.8, 1.08, False), (0.8, 1.11, True), (0.8, 1 / 1.08, False), (0.8, 1 / 1.12, True),  # log 1.09 = .45 x .2
])  # fmt: skip
def test_a_change_is_known_by_the_correlation(r: float, gain: float, is_known: bool) -> None:
    expected = 100.0 + 20.0 * PATTERN
    assert _is_known(expected / gain, expected, correlated(expected, r)) is is_known


@pytest.mark.parametrize(("change", "is_known"), [(0.49, False), (0.51, True), (-0.49, False), (-0.51, True)])
def test_half_a_grey_value_is_the_least_change(change: float, is_known: bool) -> None:
    before = np.arange(100.0)
    assert _is_known(before, before + change, before + change) is is_known


def test_black_is_a_grey_value_too() -> None:
    before = np.concatenate([np.zeros(60), np.linspace(10.0, 120.0, 40)])
    expected = 1.5 * before + 3.0
    assert _is_known(before, expected, expected)
    assert _is_known(expected, before - 2.0, np.maximum(before - 2.0, 0.0)), "expected below 0"


@pytest.mark.parametrize(("gain", "is_known"), [(1.1, False), (1.2, True), (1.3, True)])
def test_dark_values_change_by_more_than_their_noise(gain: float, is_known: bool) -> None:
    """With 1 added to each, the noise explains .120: log (1.1 x 7 + 1) / 8 is .084, of 1.2 .161."""
    before = np.linspace(2.0, 12.0, 30)
    scatter = np.exp(0.1 * (-1.0) ** np.arange(30))
    assert _is_known(before, gain * before, gain * before * scatter) is is_known


@pytest.mark.parametrize(("gain", "is_exposure"), [(0.08, False), (0.12, True), (9.0, True), (11.0, False)])
def test_no_exposure_changes_tenfold(gain: float, is_exposure: bool) -> None:
    first = BEFORE if gain < 1 else BEFORE // 12
    second = as_image(gain * (first + 1.0) - 1.0)
    assert (exposed_as(first, second, CORNERS, CORNERS) is not first) is is_exposure


@pytest.mark.parametrize(("veil", "black"), [(3.0, 0), (40.0, 40)])
def test_a_line_is_looked_for_where_a_gain_leaves_two_grey_values(veil: float, black: int) -> None:
    """Half the light and a veil of 3 are a gain of about .52 to one grey value: black stays black."""
    first = BEFORE.copy()
    first[0, 0] = 0
    found = exposed_as(first, as_image(0.5 * first + veil), CORNERS, CORNERS)
    assert abs(int(found[0, 0]) - black) <= 1


def test_a_line_that_adds_what_it_takes_away_is_known() -> None:
    """1.3 x + 42 is far from x at 60 to 150, and 1.3 x - 42 is nearer."""
    first = as_image(60.0 + 0.8 * (BEFORE - 90.0))
    found = exposed_as(first, as_image(1.3 * first + 42.0), CORNERS, CORNERS)
    assert np.abs(found - (1.3 * first + 42.0)).max() < 3.0


def test_the_middle_of_a_line_is_the_median() -> None:
    """The darkest eight of a hundred are cut off; the line goes through those that are not."""
    before = np.arange(100.0)
    after = 0.5 * before + 40.0
    after[:8] = 0.0
    assert _line(before, after, 0.9, 0.0) == pytest.approx((0.5, 40.0))
