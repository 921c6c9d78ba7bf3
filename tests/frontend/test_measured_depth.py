"""The scale and the error of a network's depth, from landmarks of which one half is held out: worked out by hand."""

import numpy as np
import pytest

from vgslam.frontend.measured_depth import LEAST_REL_SIGMA, MIN_COMMON, depth_of, depth_scale
from vgslam.types import Camera, WindowPrediction

N = 60
IDS = np.arange(N) * 3


def test_the_scale_is_the_median_ratio_of_one_half() -> None:
    measured = np.full(N, 6.0)
    found = depth_scale(measured, np.full(N, 2.0), IDS)
    assert found is not None
    assert found.scale == pytest.approx(3.0)
    assert found.rel_sigma == LEAST_REL_SIGMA


def test_the_error_is_what_the_other_half_shows() -> None:
    """Half of the held-out landmarks are off by a factor e^0.1 and half by e^-0.1: 1.48 times the median is 0.148."""
    log = np.zeros(N)
    log[1::4], log[3::4] = 0.1, -0.1
    found = depth_scale(np.exp(log), np.ones(N), IDS)
    assert found is not None
    assert found.scale == pytest.approx(1.0)
    assert found.rel_sigma == pytest.approx(0.148)


@pytest.mark.parametrize("offset", [0.1, 0.2])
def test_halves_that_say_different_scales_are_refused(offset: float) -> None:
    log = np.zeros(N)
    log[1::2] = offset
    assert (depth_scale(np.exp(log), np.ones(N), IDS) is None) == (offset > 0.15)


def test_a_wide_scatter_is_refused() -> None:
    log = np.zeros(N)
    log[1::4], log[3::4] = 0.25, -0.25
    assert depth_scale(np.exp(log), np.ones(N), IDS) is None


def test_a_landmark_that_many_keyframes_see_is_one_landmark() -> None:
    few = np.repeat(np.arange(MIN_COMMON - 1), 5)
    assert depth_scale(np.ones(len(few)), np.ones(len(few)), few) is None
    enough = np.arange(MIN_COMMON)
    assert depth_scale(np.ones(MIN_COMMON), np.ones(MIN_COMMON), enough) is not None


def test_what_has_no_depth_is_left_out() -> None:
    predicted = np.ones(N)
    predicted[: N - MIN_COMMON + 1] = 0.0
    assert depth_scale(np.ones(N), predicted, IDS) is None
    assert depth_scale(np.zeros(0), np.zeros(0), np.zeros(0, np.int64)) is None


def test_depth_is_read_at_the_pixels_of_the_image() -> None:
    camera = Camera.from_fov(80, 40, 60.0)
    depth = np.zeros((2, 4, 8), np.float32)
    depth[1, 3, 7] = 5.0
    prediction = WindowPrediction(
        np.arange(2), np.stack([np.eye(4)] * 2), [camera.resized(8, 4)] * 2, depth, np.ones_like(depth)
    )
    at = depth_of(prediction, camera, np.array([1, 0, 1]), np.array([[79.0, 39.0], [79.0, 39.0], [0.0, 0.0]]))
    np.testing.assert_array_equal(at, [5.0, 0.0, 0.0])
