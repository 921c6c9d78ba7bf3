"""A pose agrees with matches exactly where their epipolar geometry is its own."""

import numpy as np
import pytest

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.reloc.epipolar_check import Matched, Support, epipolar_agreement, speaks_against

CAMERA = Camera.from_fov(640, 480, 65.0)


def matched(T: np.ndarray, seed: int = 0) -> Matched:
    rng = np.random.default_rng(seed)
    px = rng.uniform([20, 20], [620, 460], (150, 2))
    X = CAMERA.rays(px) * rng.uniform(2.0, 8.0, (150, 1))
    return Matched(px, CAMERA.project(se3.transform(T, X)) + rng.normal(0, 1.0, (150, 2)), CAMERA, CAMERA)


@pytest.mark.parametrize("xi", [[0, 0.1, 0, 1, 0, 0], [0.05, 0, 0.02, 0, 0, 1], [0.0, -0.2, 0, 0.3, 0.6, -0.2]])
def test_the_right_pose_agrees_at_any_scale_and_a_wrong_one_does_not(xi):
    T = se3.exp(np.array(xi, float))
    assert epipolar_agreement(matched(T), T) > 0.98
    longer = T.copy()
    longer[:3, 3] *= 3.0
    assert epipolar_agreement(matched(T), longer) > 0.98
    turned = se3.exp(np.array([0.25, 0.1, 0.1, 0, 0, 0])) @ T
    assert epipolar_agreement(matched(T), turned) < 0.3


def test_without_a_baseline_or_matches_nothing_is_said():
    m = matched(np.eye(4))
    assert epipolar_agreement(m, np.eye(4)) == 1.0
    assert not speaks_against([])
    assert speaks_against([0.1, 0.2, 0.9])
    assert not speaks_against([0.1, 0.9, 0.8])


def test_support_is_relative_to_the_poses_before():
    support = Support()
    assert not support.is_thin(5)
    support.counts.extend([300, 400, 250])
    assert support.is_thin(60)
    assert not support.is_thin(150)
    support.counts.extend([60] * 8)
    assert not support.is_thin(60)
