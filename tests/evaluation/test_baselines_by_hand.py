"""Drift of scale, lines and returns of small paths, worked out by hand."""

import numpy as np
import pytest

from vgslam.evaluation.scores import end_to_start_percent, line_ate, scale_drift
from vgslam.types import Array, Trajectory


def along_x(x: Array) -> Array:
    return np.stack([x, np.zeros(len(x)), np.zeros(len(x))], axis=1)


def test_growth_is_that_from_the_first_three_of_twelve_poses_to_the_last_three() -> None:
    """The estimate is half as long to begin with and as long in the end; in between it is anything."""
    x = np.arange(12.0)
    estimate = np.concatenate([0.5 * x[:3], [7.0, 7.0, 7.0, 1.0, 1.0, 1.0], x[9:]])
    assert scale_drift(along_x(x), along_x(estimate)) == pytest.approx(2.0)
    assert scale_drift(along_x(x[:11]), along_x(estimate[:11])) is None
    longer = np.concatenate([0.5 * x[:3], [9.0] * 7, x[9:]])  # 13 poses: a quarter is still three
    assert scale_drift(along_x(np.arange(13.0)), along_x(longer)) == pytest.approx(2.0)


@pytest.mark.parametrize(("step", "is_defined"), [(0.1, True), (0.02, False)])
def test_a_quarter_that_hardly_moves_has_no_scale(step: float, is_defined: bool) -> None:
    """Twelve poses at 0 to 11, the first three of which are drawn together: the spread of all is about 3.5, and that
    of the three 0.82 steps; a hundredth is 0.035."""
    x = np.arange(12.0)
    x[:3] = 2.0 + step * (x[:3] - 2.0)
    found = scale_drift(along_x(x), along_x(2.0 * x))
    assert found == (pytest.approx(1.0) if is_defined else None)
    assert (scale_drift(along_x(-x[::-1]), along_x(-x[::-1])) is not None) is is_defined, "the last quarter likewise"


def test_what_is_beside_a_line_counts_in_both_directions() -> None:
    """Far along x; 3 aside in y and 1 in z, to either side: sqrt(9 + 1)."""
    points = np.array([[s * 100.0, t * 3.0, u * 1.0] for s in (-1, 1) for t in (-1, 1) for u in (-1, 1)])
    assert line_ate(points) == pytest.approx(10.0**0.5)


def test_the_component_with_most_poses_comes_back_to_its_start() -> None:
    """Three of component 5 there and half way back: a path of 6 ends 2 from where it began; two poses of another."""
    T = np.tile(np.eye(4), (5, 1, 1))
    T[:, 0, 3] = [1.0, 5.0, 3.0, 0.0, 9.0]
    trajectory = Trajectory(np.arange(5.0), T, np.arange(5), np.array([5, 5, 5, 2, 2]))
    assert end_to_start_percent(trajectory) == pytest.approx(100 * 2 / 6)
    two = Trajectory(np.arange(2.0), T[:2])
    assert end_to_start_percent(two) == pytest.approx(100.0)
    assert end_to_start_percent(Trajectory(np.arange(1.0), T[:1])) is None
    assert end_to_start_percent(Trajectory(np.arange(2.0), T[[0, 0]])) is None
