"""Scores of small trajectories worked out by hand."""

import numpy as np
import pytest

from vgslam.evaluation.evaluate import EvaluationOptions, evaluate
from vgslam.evaluation.scores import ErrorStatistics
from vgslam.types import Trajectory


def test_statistics() -> None:
    """Squares 1, 9, 16, 0, 4: a mean of 6."""
    s = ErrorStatistics.of(np.array([1.0, 3.0, 4.0, 0.0, 2.0]))
    assert (s.rmse, s.mean, s.median, s.max) == pytest.approx((np.sqrt(6), 2.0, 2.0, 4.0))


def trajectory(x: list[float], y: list[float]) -> Trajectory:
    T = np.tile(np.eye(4), (len(x), 1, 1))
    T[:, 0, 3], T[:, 1, 3] = x, y
    return Trajectory(np.arange(len(x)) * 0.1, T)


def test_the_share_of_the_path_is_that_of_the_root_mean_square() -> None:
    """Along a straight way of 8, one pose in nine is 0.9 aside, which no similarity takes out but for its mean and its
    slope; the middle one, so that there is no slope. Left are 0.9 - 0.1 once and 0.1 eight times: squares of 0.64 and
    0.08, together 0.72, a root mean square of sqrt(0.08) = 0.2828; the mean would be 1.6 / 9 = 0.1778. Scale may take
    some of it."""
    x = [float(i) for i in range(9)]
    truth, estimate = trajectory(x, [0.0] * 9), trajectory(x, [0, 0, 0, 0, 0.9, 0, 0, 0, 0])
    score = evaluate(estimate, truth, EvaluationOptions()).headline
    assert score.path_length_m == pytest.approx(8.0)
    assert score.ate_se3_m.rmse == pytest.approx(np.sqrt(0.08), rel=1e-6)
    assert score.ate_se3_m.mean == pytest.approx(1.6 / 9, rel=1e-6)
    assert score.ate_se3_m.max == pytest.approx(0.8, rel=1e-6)
    assert score.ate_sim3_m is not None
    # scale: <ref, est> / <est, est> of the centred positions: 60 / (60 + 0.72)
    s = 60 / 60.72
    squares = (1 - s) ** 2 * 60 + s**2 * 0.72
    assert score.scale == pytest.approx(s)
    assert score.ate_sim3_m.rmse == pytest.approx(np.sqrt(squares / 9), rel=1e-6)
    assert score.ate_percent_of_path == pytest.approx(100 * np.sqrt(squares / 9) / 8, rel=1e-6)
    assert score.ate_m is score.ate_sim3_m
