"""Plots over time of one run have each time in one place, so that they can be read below one another."""

import numpy as np
import pytest

from vgslam.types import Status
from vgslam.viewer.plots import ErrorCurve, error_over_time, status_over_time, time_span_s


def test_errors_and_statuses_have_one_time_axis() -> None:
    """Tracking begins at the third of ten frames: the errors begin there, and not at the left."""
    times = 100.0 + 0.5 * np.arange(10)
    tracked = times[2:]
    curve = ErrorCurve(0, tracked, np.ones(8), np.ones(8))
    errors = error_over_time([curve], span_s=time_span_s(times))
    statuses = status_over_time(times, [Status.INITIALIZING] * 2 + [Status.TRACKED] * 8, np.zeros(10, np.int64))
    (upper, lower), (bars,) = errors.axes, statuses.axes
    assert time_span_s(times) == (100.0, 105.0)
    assert errors.get_figwidth() == statuses.get_figwidth()
    for axes in (upper, lower):
        assert axes.get_xlim() == pytest.approx(bars.get_xlim())
        assert axes.get_position().intervalx == pytest.approx(bars.get_position().intervalx)
    assert lower.lines[0].get_xdata()[0] == pytest.approx(1.0)
