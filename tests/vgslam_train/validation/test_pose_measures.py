"""Measures of poses and depth against cases whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vgslam.geometry import se3
from vgslam_train.data.windows import WindowBatch
from vgslam_train.validation.pose_measures import (
    UNKNOWN_DEPTH_M,
    as_numbers,
    constant_depth,
    depth_errors,
    depth_score,
    direction_errors_deg,
    forward_poses,
    identity_poses,
    is_forward,
    pose_score,
    rotation_errors_deg,
    statistics,
    window_median_depth_m,
)


def poses(*translations, turns_deg=None):
    """(1,S,4,4): the identity, then these translations with turns about y."""
    T = np.tile(np.eye(4), (1, 1 + len(translations), 1, 1))
    for i, t in enumerate(translations, 1):
        turn = 0.0 if turns_deg is None else turns_deg[i - 1]
        T[0, i] = se3.from_rt(se3.so3_exp(np.radians([0, turn, 0])), np.array(t, float))
    return torch.from_numpy(T)


def batch_of(T, depth=2.0):
    b, s = T.shape[:2]
    d = torch.full((b, s, 4, 6), depth, dtype=torch.float32)
    return WindowBatch(torch.zeros(b, s, 3, 4, 6), d, T, torch.eye(3, dtype=torch.float64).repeat(b, 1, 1))


@pytest.mark.parametrize("n_frames", [2, 3, 8])
@pytest.mark.parametrize("angle_deg", [0.0, 1e-5, 0.7, 90.0, 179.9])
def test_rotation_error_is_the_angle_between(n_frames, angle_deg):
    rng = np.random.default_rng(0)
    T = np.tile(np.eye(4), (2, n_frames, 1, 1))
    guess = T.copy()
    for b in range(2):
        for i in range(1, n_frames):
            axis = rng.normal(size=3)
            T[b, i] = se3.exp(rng.normal(size=6))
            guess[b, i] = T[b, i] @ se3.from_rt(se3.so3_exp(np.radians(angle_deg) * axis / np.linalg.norm(axis)), axis)
    errors = rotation_errors_deg(torch.from_numpy(T), torch.from_numpy(guess))
    assert errors.shape == (2, n_frames - 1)
    np.testing.assert_allclose(errors, angle_deg, atol=1e-6)


def test_direction_error_is_the_angle_between_whatever_the_length():
    true, guess = poses((0, 0, 1), (1, 0, 0), (0, 1, 0)), poses((0, 1, 1), (-0.1, 0, 0), (0, 7, 0))
    np.testing.assert_allclose(direction_errors_deg(true, guess, np.array([2.0])), [[45, 180, 0]], atol=1e-6)


def test_short_motions_have_no_direction():
    true = poses((0, 0, 0.039), (0, 0, 0.041))
    errors = direction_errors_deg(true, poses((0, 0, 1), (0, 0, 1)), np.array([2.0]))
    assert np.isnan(errors[0, 0])
    assert errors[0, 1] == 0


def test_a_guess_without_translation_errs_by_a_right_angle():
    assert direction_errors_deg(poses((0, 0, 1)), poses((0, 0, 0)), np.array([2.0])) == 90


def test_a_guess_that_is_not_finite_is_the_worst():
    true, bad = poses((0, 0, 1)), poses((0, 0, 1)) * torch.nan
    assert rotation_errors_deg(true, bad) == 180
    assert direction_errors_deg(true, bad, np.array([2.0])) == 180
    assert np.isinf(depth_errors(torch.ones(1, 2, 3, 3), torch.full((1, 2, 3, 3), torch.nan)))[0]


def test_forward_is_within_45_deg_and_not_backward():
    T = poses((0, 0, 1), (0.99, 0, 1), (1.01, 0, 1), (0, 0, -1), (0, 1, 0))
    assert is_forward(T).tolist() == [[True, True, False, False, False]]


def test_depth_error_ignores_scale_and_unknown_pixels():
    true = torch.tensor([[[[1.0, 2.0, 4.0, 0.0]]]])
    assert depth_errors(true, 3 * true + torch.tensor([0, 0, 0, 9.0])) == pytest.approx(0, abs=1e-7)
    # Constant 1 -> median 2: errors 1/1, 0/2, 2/4.
    assert depth_errors(true, torch.ones_like(true)) == pytest.approx(0.5)
    assert np.isnan(depth_errors(torch.zeros_like(true), true)).all()
    assert np.isinf(depth_errors(true, torch.tensor([[[[0.0, 1, 1, 1]]]]))).all()


def test_depth_is_scaled_once_a_window_not_once_a_frame():
    true = torch.ones(1, 2, 2, 2)
    guess = torch.ones(1, 2, 2, 2)
    guess[0, 1] = 3.0
    assert depth_errors(true, guess) > 0.3
    assert depth_errors(true, 5 * torch.ones_like(true)) == 0


def test_median_depth_of_a_window():
    depth = torch.tensor([[[[0.0, 1.0], [2.0, 9.0]]], [[[0.0, 0.0], [0.0, 0.0]]]])
    assert window_median_depth_m(depth).tolist() == [2.0, UNKNOWN_DEPTH_M]


def test_baselines_score_what_they_must():
    T = poses((0, 0, 1), (1, 0, 0), (0, 0, -1), turns_deg=(2, 4, 6))
    batch = batch_of(T)
    still = pose_score([batch], [identity_poses(batch)])
    assert still.rotation_deg.median == pytest.approx(4)
    assert still.rotation_deg.mean == pytest.approx(4)
    assert still.direction_deg.median == 90
    ahead = pose_score([batch], [forward_poses(batch)])
    assert ahead.direction_deg.mean == pytest.approx((0 + 90 + 180) / 3)
    assert (ahead.direction_sideways_deg.mean, ahead.direction_sideways_deg.count) == (pytest.approx(135), 2)
    perfect = pose_score([batch, batch], [T, T])
    assert perfect.rotation_deg.count == 6
    assert perfect.rotation_deg.median == pytest.approx(0, abs=1e-6)
    assert perfect.direction_sideways_deg.mean == pytest.approx(0, abs=1e-6)


def test_constant_depth_is_each_windows_own():
    g = torch.Generator().manual_seed(0)
    identity = torch.eye(4, dtype=torch.float64).repeat(3, 2, 1, 1)
    depth = torch.rand(3, 2, 4, 6, generator=g) + torch.tensor([1.0, 10.0, 100.0])[:, None, None, None]
    batch = replace(batch_of(identity), depth=depth)
    guess = constant_depth(batch)
    assert guess.shape == depth.shape
    expected = [np.mean(np.abs(d - np.median(d)) / d) for d in depth.numpy().reshape(3, -1).astype(float)]
    score = depth_score([batch], [guess])
    assert (score.mean, score.count) == (pytest.approx(np.mean(expected), rel=1e-5), 3)


def test_statistics_leave_out_what_is_undefined():
    s = statistics(np.array([3.0, np.nan, 1.0, 11.0]))
    assert (s.median, s.mean, s.count) == (3.0, 5.0, 3)
    nothing = statistics(np.array([np.nan]))
    assert nothing.count == 0
    assert as_numbers(nothing) == {"median": None, "mean": None, "count": 0}
