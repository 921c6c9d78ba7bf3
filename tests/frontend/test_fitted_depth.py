"""A network's depth laid onto landmarks: its scale, its bends, and how sure it is, against known truth."""

import numpy as np
import pytest

from vgslam.frontend.fitted_depth import BANDWIDTH, PRIOR, FittedDepth, _deviation, fit_depth
from vgslam.types import Array, Float32

H, W = 60, 80
ROWS, COLUMNS = np.meshgrid(np.arange(2, H, 5), np.arange(2, W, 5), indexing="ij")
CELLS = (ROWS.ravel(), COLUMNS.ravel())
IDS = np.random.default_rng(7).permutation(len(CELLS[0]))


def fitted(predicted: Array, truth: Array, error: Array | float = 0.0) -> FittedDepth | None:
    """The fit to landmarks every five cells, whose depths are off by factors exp(error (M,))."""
    return fit_depth(predicted.astype(np.float32), CELLS, truth[CELLS] * np.exp(error), IDS)


def worst(found: FittedDepth, truth: Array) -> float:
    return float(np.abs(found.depth / truth - 1).max())


def wall() -> Array:
    """Depth (H,W) of a wall at an angle."""
    return np.asarray(3.0 + np.zeros((H, 1)) + np.linspace(0.0, 2.0, W))


def bends() -> Array:
    """An error (H,W) of log depth as networks make it: a whole surface too far, another too near."""
    v, u = np.indices((H, W))
    return np.asarray(0.25 * np.sin(2 * np.pi * u / W) * np.cos(2 * np.pi * v / H))


def test_a_depth_of_another_scale_is_scaled_and_as_sure_as_it_gets() -> None:
    found = fitted(wall() / 7.0, wall())
    assert found is not None
    assert worst(found, wall()) < 1e-5
    np.testing.assert_allclose(found.confidence, 2 / 3, atol=1e-6)


def test_bends_are_taken_out() -> None:
    predicted = wall() * np.exp(bends())
    found = fitted(predicted, wall())
    assert found is not None
    off = np.abs(np.log(found.depth / wall()))
    assert np.median(off) < 0.2 * np.median(np.abs(bends()))
    assert found.confidence.min() > 0.6


def test_what_is_not_alike_at_neighbours_bends_nothing_and_says_how_sure_the_depth_is() -> None:
    """Errors of .15 that are independent: half sure, and the map is that of the scale alone."""
    noise = np.random.default_rng(2).normal(0.0, 0.15, len(IDS))
    found = fitted(wall() / 2.0, wall(), noise)
    assert found is not None
    ratio = found.depth / wall()
    assert float(ratio.std()) < 1e-6, "one scale"
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.05)
    assert float(np.ptp(found.confidence)) < 1e-6
    assert found.confidence[0, 0] == pytest.approx(0.5, abs=0.1)


def test_far_from_landmarks_a_depth_is_as_sure_as_its_scale() -> None:
    """Landmarks in the left half only, where the depth is bent."""
    left = CELLS[1] < W // 2
    cells = (CELLS[0][left], CELLS[1][left])
    found = fit_depth((wall() * np.exp(bends())).astype(np.float32), cells, wall()[cells], IDS[left])
    assert found is not None
    assert found.confidence[:, : W // 2].min() > 0.6
    assert found.confidence[:, W - 10 :].max() < 0.5
    flat = found.depth[:, W - 5 :] / (wall() * np.exp(bends()))[:, W - 5 :]
    assert float(np.ptp(flat)) < 1e-3, "and has that scale"


def test_one_landmark_alone_bends_by_what_the_prior_leaves_it() -> None:
    """Its own place: 1 / (1 + PRIOR) of its error; two bandwidths beside: exp(-2) / (exp(-2) + PRIOR) of it."""
    from vgslam.frontend.fitted_depth import _smoothed

    bend, known = _smoothed((H, W), np.array([30]), np.array([40]), np.array([0.3]))
    beside = 40 + round(2 * BANDWIDTH * W)
    assert bend[30, 40] == pytest.approx(0.3 / (1 + PRIOR))
    assert bend[30, beside] == pytest.approx(0.3 * np.exp(-2) / (np.exp(-2) + PRIOR))
    assert known[30, 40] == pytest.approx(1 / (1 + PRIOR))
    assert known[0, 0] < 1e-6


def test_landmarks_on_something_else_do_not_count() -> None:
    """One in ten has a third of the depth: something before the wall that the network does not see."""
    error = np.where(np.arange(len(IDS)) % 10 == 0, np.log(1 / 3), 0.0)
    predicted = wall() * np.exp(bends())
    found, clean = fitted(predicted, wall(), error), fitted(predicted, wall())
    assert found is not None
    assert clean is not None
    assert np.abs(np.log(found.depth / clean.depth)).max() < 0.1


@pytest.mark.parametrize("hole", [0.0, -1.0])
def test_where_the_network_says_nothing_nothing_is_known(hole: float) -> None:
    predicted: Float32 = wall().astype(np.float32)
    predicted[:10, :10] = hole
    found = fit_depth(predicted, CELLS, wall()[CELLS], IDS)
    assert found is not None
    assert (found.confidence[:10, :10] == 0).all()
    assert worst(FittedDepth(found.depth[:, 10:], found.confidence[:, 10:]), wall()[:, 10:]) < 1e-5


def test_another_scene_is_not_believed() -> None:
    wild = np.random.default_rng(3).normal(0.0, 0.6, len(IDS))
    assert fitted(wall(), wall(), wild) is None


def test_what_has_no_depth_says_nothing_and_makes_no_noise() -> None:
    """Depths of 0 and below, of landmarks and of the network."""
    measured, predicted = wall()[CELLS], wall()
    measured[::9], measured[1::9] = 0.0, -1.0
    predicted[CELLS[0][2::9], CELLS[1][2::9]] = 0.0
    with np.errstate(all="raise"):
        found = fit_depth(predicted.astype(np.float32), CELLS, measured, IDS)
    assert found is not None
    known = predicted > 0
    assert np.abs(found.depth / wall() - 1)[known].max() < 1e-5
    assert (found.confidence[~known] == 0).all()


def test_a_deviation_that_nothing_says_is_that_at_which_nothing_is_sure() -> None:
    assert _deviation(np.zeros(0)) == 0.3
    assert _deviation(np.array([0.1, -0.2, 0.15])) == pytest.approx(1.48 * 0.15)
