import numpy as np
import pytest

from vgslam.evaluation import relative
from vgslam.evaluation.evaluate import evaluate
from vgslam.evaluation.scores import end_to_start_percent
from vgslam.geometry import se3
from vgslam.geometry.rotation_mean import angles_deg
from vgslam.types import Trajectory


def straight(n, step=1.0):
    T = np.tile(np.eye(4), (n, 1, 1))
    T[:, 2, 3] = step * np.arange(n)
    return T


def test_kitti_of_a_scaled_straight_line_is_the_scale_error():
    T = straight(901)
    T_est = straight(901, 1.03)
    error = relative.kitti_error(T, T_est)
    assert error.translation_percent == pytest.approx(3.0)
    assert error.rotation_deg_per_100m == pytest.approx(0.0, abs=1e-9)
    # starts at 0, 10, ... 800 for 100 m, ..., 0 to 100 for 800 m
    assert error.n_segments == sum(len(range(0, 901 - length, 10)) for length in range(100, 801, 100))


def test_kitti_of_a_turning_estimate_is_its_rotation_rate():
    T = straight(301)
    T_est = T.copy()
    for i in range(301):  # 0.5 deg per 100 m
        T_est[i, :3, :3] = se3.so3_exp(np.array([0, 0, np.radians(0.005) * i]))
    assert relative.kitti_error(T, T_est).rotation_deg_per_100m == pytest.approx(0.5, rel=1e-6)


def test_kitti_needs_a_hundred_metres():
    assert relative.kitti_error(straight(100), straight(100)) is None
    assert relative.kitti_error(straight(101), straight(101)).n_segments == 1


def test_kitti_in_the_evaluation_is_after_scaling():
    T, t = straight(301), 0.1 * np.arange(301)
    T[:, 0, 3] = 20 * np.sin(np.arange(301) / 40)
    scaled = T.copy()
    scaled[:, :3, 3] *= 0.2
    score = evaluate(Trajectory(t, scaled), Trajectory(t, T)).headline
    assert score.kitti.translation_percent < 1e-6


def test_rotation_angles_near_zero_and_near_pi():
    angles = np.array([0.0, 1e-7, 0.5, 3.1, np.pi])
    R = np.array([se3.so3_exp(a * np.array([0.6, 0.0, 0.8])) for a in angles])
    assert np.allclose(angles_deg(R), np.degrees(angles), rtol=1e-6, atol=1e-10)


def test_consecutive_pairs_do_not_bridge_a_gap():
    t = np.array([0.0, 0.1, 0.2, 0.9, 1.0])
    assert relative.consecutive_pairs(t).tolist() == [[0, 1], [1, 2], [3, 4]]


def test_pairs_over_time_end_nearest_to_the_delta():
    t = np.array([0.0, 0.5, 0.96, 1.02, 1.5, 3.9])
    assert relative.pairs_over_time(t, 1.0).tolist() == [[0, 3], [1, 4]]
    assert len(relative.pairs_over_time(1.6 * np.arange(9), 1.0)) == 0  # nothing near a second
    assert relative.pairs_over_time(t[:1], 1.0).shape == (0, 2)


def test_end_to_start_in_percent_of_the_path():
    T = straight(11)
    T[6:, 2, 3] = 5 - np.arange(1, 6) * 0.8  # back to 1.0 m after 9 m of path
    t = np.arange(11.0)
    assert end_to_start_percent(Trajectory(t, T)) == pytest.approx(100 / 9)
    components = np.array([1] * 6 + [0] * 5)  # the larger piece goes 5 m away and stays
    assert end_to_start_percent(Trajectory(t, T, np.arange(11), components)) == pytest.approx(100.0)
    assert end_to_start_percent(Trajectory(t[:1], T[:1])) is None
    assert end_to_start_percent(Trajectory(t, np.tile(np.eye(4), (11, 1, 1)))) is None
