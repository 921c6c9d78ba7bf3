"""A pose agrees with matches exactly where their epipolar geometry is its own."""

import numpy as np
import pytest

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.reloc.epipolar_check import (
    Matched,
    Support,
    contradicted,
    epipolar_agreement,
    speaks_against,
    speaks_against_new,
)
from vgslam.types import Keyframe

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


def test_of_all_matches_three_in_four_have_to_agree_with_a_new_pose() -> None:
    """(90 + 30) / 160 = 0.75 is enough, (90 + 30.5) / 161 is not. Most of the keyframes have to agree too."""
    assert not speaks_against_new([0.9, 0.5], [100, 60])
    assert speaks_against_new([0.9, 0.5], [100, 61])
    assert speaks_against_new([0.1, 0.2, 0.95], [40, 40, 2000])
    assert not speaks_against_new([], [])


def seen_from(T_view_keyframe: np.ndarray, n: int, n_wrong: int = 0) -> tuple[Keyframe, np.ndarray, np.ndarray]:
    """A keyframe at the origin with n matches of a view, n_wrong of them of another motion."""
    m = matched(T_view_keyframe)
    other = matched(se3.exp(np.array([0.3, 0.2, 0.0, 0.0, 1.0, 0.0])))
    px = m.px_view.copy()
    px[:n_wrong] = other.px_view[:n_wrong]
    keyframe = Keyframe(0, 0, 0.0, np.zeros((2, 2, 3), np.uint8), CAMERA, Sim3.from_T(np.eye(4)))
    return keyframe, m.px_keyframe[:n], px[:n]


MOTION = se3.exp(np.array([0.0, 0.1, 0.0, 1.0, 0.0, 0.0]))


@pytest.mark.parametrize(("n_wrong", "is_new", "is_contradicted"), [
    (0, True, False), (20, True, False), (70, True, True), (70, False, False), (140, False, True),
])  # fmt: skip
def test_a_new_pose_needs_the_agreement_of_more_matches_than_one_that_was_followed(
    n_wrong: int, is_new: bool, is_contradicted: bool
) -> None:
    pairs = [seen_from(MOTION, 150, n_wrong)]
    assert contradicted(pairs, CAMERA, se3.inverse(MOTION), is_new) == is_contradicted


def test_forty_matches_may_speak_and_thirty_nine_say_nothing() -> None:
    wrong = se3.inverse(se3.exp(np.array([0.25, 0.1, 0.1, 0, 0, 0])) @ MOTION)
    for is_new in (False, True):
        assert contradicted([seen_from(MOTION, 40)], CAMERA, wrong, is_new)
        assert not contradicted([seen_from(MOTION, 39)], CAMERA, wrong, is_new)
