"""Poses that repeat one to the last bit while the reference moves are told."""

import numpy as np

from vgslam.evaluation.conventions import convention_note, same_pose_note
from vgslam.geometry import se3
from vgslam.types import Array


def walk(n: int = 30) -> Array:
    T = np.tile(np.eye(4), (n, 1, 1))
    T[:, :3, 3] = [(np.sin(0.2 * i), 0.4 * np.cos(0.3 * i), 0.1 * i) for i in range(n)]
    T[:, :3, :3] = [se3.so3_exp(np.array([0.02 * i, 0.3 * np.sin(0.2 * i), 0.1])) for i in range(n)]
    return T


def test_the_identity_and_the_last_pose_are_told_apart() -> None:
    reference, estimate = walk(), walk()
    assert same_pose_note(reference, estimate) is None
    estimate[10:14] = np.eye(4)
    assert "4 of 30 poses of the estimate are the identity to the last bit" in str(same_pose_note(reference, estimate))
    estimate[10:14] = estimate[9]
    assert "5 of 30 poses of the estimate are one pose" in str(same_pose_note(reference, estimate))
    estimate = walk()
    estimate[11] = estimate[10]
    assert same_pose_note(reference, estimate) is None  # two alike are chance


def test_a_camera_that_rests_may_repeat_its_pose() -> None:
    reference = walk()
    reference[:8, :3, 3] = reference[0, :3, 3]
    estimate = reference.copy()
    estimate[:8] = reference[0]
    assert same_pose_note(reference, estimate) is None
    assert same_pose_note(walk(), np.tile(np.eye(4), (30, 1, 1))) is None  # the score says it


def test_a_mirror_is_named_by_its_axis() -> None:
    """Each axis by itself: mirrored in another one the cameras would be turned by 180 degrees. The path is nearly flat,
    so that positions alone agree with its mirror image."""
    T = walk()
    T[:, 1, 3] *= 0.01
    for axis, name in enumerate("xyz"):
        mirror = np.eye(4)
        mirror[axis, axis] = -1.0
        assert f"mirrored in {name}" in str(convention_note(mirror @ T @ mirror, T))


def test_three_alike_are_told_while_the_reference_moves_by_a_fiftieth() -> None:
    """A straight way of 120 steps, whose spread is 34.6 steps: three poses on it, a step apart, spread over 0.82; so
    they do over 0.0236 of it, and at 0.8 steps apart over 0.0189."""
    reference = np.tile(np.eye(4), (120, 1, 1))
    reference[:, 0, 3] = np.arange(120)
    estimate = reference.copy()
    estimate[10:13] = estimate[10]
    assert "3 of 120 poses" in str(same_pose_note(reference, estimate))
    reference[10:13, 0, 3] = [10.2, 11.0, 11.8]
    assert same_pose_note(reference, estimate) is None
