"""Means of rotations and of points: exact on exact data, indifferent to signs and to outliers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgslam.geometry import se3
from vgslam.geometry.rotation_mean import angles_deg, mean_rotation, robust_mean_rotation
from vgslam.multiview.reference_lift import geometric_median, student_t_mean


def noisy(center: np.ndarray, n: int, sigma_deg: float, rng: np.random.Generator) -> np.ndarray:
    return np.stack([se3.so3_exp(np.radians(rng.normal(0, sigma_deg, 3))) @ center for _ in range(n)])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), angle_deg=st.floats(0, 180))
def test_mean_near_half_a_turn(seed: int, angle_deg: float) -> None:
    """Ten rotations with 0.6 deg of noise; with w >= 0 their quaternions flip sign around 180 deg."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    center = se3.so3_exp(np.radians(angle_deg) * axis / np.linalg.norm(axis))
    assert se3.angle_deg(mean_rotation(noisy(center, 10, 0.6, rng)) @ center.T) < 1.0


def test_plain_median_of_quaternions_fails_there() -> None:
    """The hazard that the mean avoids: the component-wise median of w >= 0 quaternions around 180 deg."""
    center = se3.so3_exp(np.array([0.0, np.pi, 0.0]))
    worst_median = worst_mean = 0.0
    for seed in range(30):
        R = noisy(center, 10, 0.6, np.random.default_rng(seed))
        median = np.median([se3.quaternion_from_rotation(r) for r in R], axis=0)
        worst_median = max(worst_median, se3.angle_deg(se3.rotation_from_quaternion(median) @ center.T))
        worst_mean = max(worst_mean, se3.angle_deg(mean_rotation(R) @ center.T))
    assert worst_median > 60
    assert worst_mean < 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n_bad=st.integers(0, 3))
def test_robust_mean_leaves_out_a_minority(seed: int, n_bad: int) -> None:
    rng = np.random.default_rng(seed)
    center = se3.so3_exp(rng.normal(0, 1, 3))
    R = noisy(center, 8, 0.3, rng)
    for k in range(n_bad):
        R[k] = R[k] @ se3.so3_exp(np.radians(rng.uniform(20, 160)) * np.eye(3)[k])
    mean, used = robust_mean_rotation(R)
    assert se3.angle_deg(mean @ center.T) < 1.0
    assert used.tolist() == [k >= n_bad for k in range(8)]


def test_the_mean_of_two_is_halfway() -> None:
    R = np.stack([np.eye(3), se3.so3_exp(np.array([0, 0, 0.2]))])
    half = se3.so3_exp(np.array([0, 0, 0.1]))
    np.testing.assert_allclose(mean_rotation(R), half, atol=1e-12)
    np.testing.assert_allclose(angles_deg(R @ half.T), np.degrees([0.1, 0.1]), atol=1e-9)


@pytest.mark.parametrize("call", [mean_rotation, robust_mean_rotation, student_t_mean])
def test_mean_of_nothing_is_refused(call) -> None:
    with pytest.raises(ValueError, match="mean of no"):
        call(np.zeros((0, 3, 3)))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([1e-3, 1.0, 3.7, 1e4]))
def test_student_mean_moves_with_the_points(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(7, 3)) * [1, 2, 0.5]
    R, t = se3.so3_exp(rng.normal(size=3)), rng.normal(size=3)
    mean, weights = student_t_mean(points)
    moved, moved_weights = student_t_mean(scale * points @ R.T + t)
    np.testing.assert_allclose(moved, scale * R @ mean + t, atol=1e-6 * scale, rtol=1e-6)
    np.testing.assert_allclose(moved_weights, weights, atol=1e-6)
    assert weights.sum() == pytest.approx(1)


def test_student_mean_is_barely_moved_by_an_outlier() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(0, 0.01, (8, 3))
    points[0] = [5, 0, 0]
    mean, weights = student_t_mean(points)
    assert np.linalg.norm(mean) < 0.02 < np.linalg.norm(points.mean(axis=0))
    assert weights[0] == weights.min()
    assert np.linalg.norm(geometric_median(points)) < 0.02


def test_student_mean_of_equal_points_is_that_point() -> None:
    mean, weights = student_t_mean(np.tile([1.0, -2.0, 3.0], (4, 1)))
    np.testing.assert_allclose(mean, [1, -2, 3], atol=1e-14)
    np.testing.assert_allclose(weights, 0.25)


def test_which_rotations_are_left_out_by_hand() -> None:
    """Turns about one axis. From the middle one at 0 they are 0, 1, 1, 2, 2, 3, 3, 5.6 and 5.8 degrees away: the median
    is 2, and that of the deviations from it 1, so that the limit is 2 + 2.5 * 1.4826 = 5.71."""
    degrees = np.array([0.0, 1, -1, 2, -2, 3, -3, 5.6, -5.8])
    R = np.stack([se3.so3_exp(np.array([0, 0, np.radians(d)])) for d in degrees])
    mean, used = robust_mean_rotation(R)
    assert used.tolist() == [True] * 8 + [False]
    assert se3.angle_deg(mean @ se3.so3_exp(np.array([0, 0, -np.radians(0.7)]))) < 0.01
    assert robust_mean_rotation(R, floor_deg=5.9)[1].all()
