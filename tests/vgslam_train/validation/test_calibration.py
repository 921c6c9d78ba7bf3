"""Whether stated deviations fit errors: numbers whose answer is known by hand."""

import numpy as np
import pytest
import torch

from vgslam_train.validation.calibration import LEVELS, calibration, log_depth_errors


def test_errors_of_the_stated_distribution_are_calibrated() -> None:
    rng = np.random.default_rng(3)
    scales = rng.uniform(0.02, 0.5, 200_000)
    errors = rng.laplace(0.0, scales)
    found = calibration(errors, scales)
    assert found.expected_error < 0.006
    assert found.surer_half == pytest.approx(scales[scales < np.median(scales)].mean() / scales.mean(), rel=0.02)
    assert found.count == 200_000


def test_scales_that_are_too_small_by_half() -> None:
    """The share below the stated quantile b ln(1/(1-p)), when b is half the true scale, is 1 - sqrt(1 - p)."""
    rng = np.random.default_rng(4)
    errors = rng.laplace(0.0, 0.2, 400_000)
    expected = np.abs(1 - np.sqrt(1 - LEVELS) - LEVELS).mean()
    assert expected == pytest.approx(0.1783, abs=1e-4)
    assert calibration(errors, np.full(400_000, 0.1)).expected_error == pytest.approx(expected, abs=0.003)


def test_deviations_that_are_right_only_in_the_mean() -> None:
    """Errors of scale 0.2 throughout, stated as 0.1 for one half and as 0.4 for the other: the shares below the stated
    quantiles are 1 - (1 - p)^(1/2) and 1 - (1 - p)^2."""
    rng = np.random.default_rng(6)
    errors = rng.laplace(0.0, 0.2, 400_000)
    stated = np.repeat([0.1, 0.4], 200_000)
    low, high = np.abs(1 - np.sqrt(1 - LEVELS) - LEVELS).mean(), np.abs(1 - (1 - LEVELS) ** 2 - LEVELS).mean()
    assert calibration(errors, stated).expected_error == pytest.approx((low + high) / 2, abs=0.003)


def test_three_errors_by_hand() -> None:
    """With b = 1 the errors -ln 0.75 and -ln 0.35 lie at levels 0.25 and 0.65, and no number beyond all: the shares
    below 0.1 ... 0.9 are 0 0 1/3 1/3 1/3 1/3 2/3 2/3 2/3."""
    errors = np.array([np.log(0.75), -np.log(0.35), np.nan])
    shares = np.array([0, 0, 1, 1, 1, 1, 2, 2, 2]) / 3
    found = calibration(errors, np.ones(3))
    assert found.expected_error == pytest.approx(np.abs(shares - LEVELS).mean(), abs=1e-9)
    assert np.isnan(found.surer_half), "the mean error is not finite"


def test_a_deviation_that_says_nothing() -> None:
    rng = np.random.default_rng(5)
    errors = rng.laplace(0.0, 0.1, 100_000)
    assert calibration(errors, rng.uniform(0.1, 0.2, 100_000)).surer_half == pytest.approx(1, abs=0.02)
    assert calibration(np.zeros(0), np.zeros(0)).count == 0


def test_log_depth_errors_are_free_of_a_window_s_scale() -> None:
    truth = torch.tensor([1.0, 2.0, 4.0, 0.0]).view(1, 1, 2, 2).repeat(2, 1, 1, 1)
    guess = truth.clamp(min=1.0) * torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    guess[1, 0, 0, 0] *= 2
    errors = log_depth_errors(truth, guess)
    np.testing.assert_allclose(errors, [0, 0, 0, np.log(2), 0, 0], atol=1e-6)
