"""Frames between keyframes that move after the frames were tracked."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from synthetic import CAMERA, pose

from vgslam.frontend.frame_poses import FramePoses
from vgslam.frontend.tracker import TrackerConfig
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Keyframe, PoseEstimate, Status

EVERY, N = 6, 31
BLANK = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)


def true_pose(i: int) -> Array:
    return pose((0.0, 1.0 * i, 0.3 * i), (0.04 * i, 0.01 * np.sin(i), 0.02 * i))


def tracked(noise_px: float = 0.0, with_observations: bool = True) -> FramePoses:
    """A run whose tracking drifts by a little in every frame, and whose keyframes are where they truly are: adjusted,
    after their frames were tracked."""
    rng = np.random.default_rng(7)
    m = SlamMap()
    poses = FramePoses(m, CAMERA, TrackerConfig())
    points = rng.uniform([-4, -3, 4], [6, 3, 9], (400, 3))
    drift = pose((0.1, -0.12, 0.08), (0.004, -0.003, 0.005))
    T_tracked = np.eye(4)
    for i in range(N):
        if i:
            T_tracked = T_tracked @ se3.inverse(true_pose(i - 1)) @ true_pose(i) @ drift
        local = se3.transform(se3.inverse(true_pose(i)), points)
        pixels = CAMERA.project(np.where(local[:, 2:] > 0.1, local, [0.0, 0.0, 1.0]))
        is_inside = (pixels > 0).all(1) & (pixels < [CAMERA.width, CAMERA.height]).all(1)
        ids = np.flatnonzero(is_inside & (local[:, 2] > 0.1))
        pixels = pixels + noise_px * rng.normal(size=pixels.shape)
        k = len(m.keyframes)
        estimate = PoseEstimate(i, 0.1 * i, Status.TRACKED, max(k - 1, 0), T_tracked, 1e-6 * np.eye(6), 50, 1.0, 0)
        if i % EVERY == 0:
            m.add_keyframe(
                Keyframe(k, i, 0.1 * i, BLANK, CAMERA, Sim3.from_T(true_pose(i)), 0), np.zeros(0, np.int64),
                np.zeros((0, 2)),
            )  # fmt: skip
            if k == 0:
                m.landmarks.add(0, points, np.full(len(points), 0.003), np.zeros((len(points), 3), np.uint8))
            poses.link(k, estimate)
            estimate = PoseEstimate(i, 0.1 * i, Status.TRACKED, k, np.eye(4), 1e-6 * np.eye(6), 50, 1.0, 0)
            T_tracked = np.eye(4)
        m.frames.append(estimate)
        if with_observations:
            poses.seen.add(i, ids, pixels[ids])
    return poses


def steps(m: SlamMap) -> Array:
    """(N-1,): how far the motion from each frame to the next is from the true one."""
    T = m.trajectory().T_world_cam
    true = np.stack([true_pose(i) for i in range(N)])
    E = se3.inverse(se3.inverse(true[:-1]) @ true[1:]) @ se3.inverse(T[:-1]) @ T[1:]
    return np.linalg.norm(E[:, :3, 3], axis=1)


def test_frames_that_saw_the_landmarks_are_where_they_were() -> None:
    poses = tracked()
    assert steps(poses.map).max() > 0.03  # the sawtooth
    assert poses.finish() == N - 6
    assert steps(poses.map).max() < 1e-4
    refs = poses.map.frames.column("ref_id")
    np.testing.assert_array_equal(refs[:7], [0, 0, 0, 0, 1, 1, 1])  # relative to the nearer keyframe


def test_noise_in_the_pixels_makes_no_jump_at_keyframes() -> None:
    poses = tracked(noise_px=0.3)
    before = steps(poses.map)
    poses.finish()
    after = steps(poses.map)
    at_keyframes = after[EVERY - 1 :: EVERY]
    assert at_keyframes.max() < 0.25 * before[EVERY - 1 :: EVERY].max()
    assert np.sqrt((after**2).mean()) < 0.4 * np.sqrt((before**2).mean())


def test_without_observations_the_drift_is_spread_evenly() -> None:
    poses = tracked(with_observations=False)
    before = steps(poses.map)
    assert poses.finish() == 0
    after = steps(poses.map)
    assert after.max() < 0.3 * before.max()
    C = [poses.map.covariance_of(poses.map.frames[i]) for i in range(1, EVERY)]
    assert all(c is not None and np.trace(c) > 6e-6 for c in C)  # less sure than while tracking


def test_a_map_that_contradicts_the_observations_is_not_followed() -> None:
    poses = tracked(noise_px=0.3)
    rng = np.random.default_rng(1)
    m = poses.map
    for k in range(1, len(m.keyframes)):  # keyframes that their own observations put elsewhere
        S = m.keyframes[k].S_world_keyframe
        m.set_pose(k, S @ Sim3.from_T(pose(rng.normal(0, 1, 3), rng.normal(0, 0.05, 3))))
    assert poses.finish() == 0


@pytest.mark.parametrize("with_observations", [False, True])
def test_a_similarity_of_all_keyframes_moves_all_frames_by_it(with_observations: bool) -> None:
    poses = tracked(0.3, with_observations)
    other = copy.deepcopy(poses)
    S = Sim3(se3.so3_exp(np.array([0.5, -1.0, 0.3])), np.array([2.0, -1.0, 4.0]), 2.5)
    for k, keyframe in enumerate(other.map.keyframes):
        other.map.set_pose(k, S @ keyframe.S_world_keyframe)
    poses.finish()
    other.finish()
    for a, b in zip(poses.map.frames, other.map.frames, strict=True):
        T_a, T_b = poses.map.pose_of(a), other.map.pose_of(b)
        assert T_a is not None
        assert T_b is not None
        np.testing.assert_allclose(S.compose_pose(T_a), T_b, atol=2e-5)


def test_a_frame_after_the_last_keyframe_and_a_lost_one_are_left_whole() -> None:
    poses = tracked()
    m = poses.map
    lost = PoseEstimate(N, 0.1 * N, Status.LOST)
    m.frames.append(lost)
    T = se3.inverse(true_pose(N - 1)) @ true_pose(N + 1)
    m.frames.append(PoseEstimate(N + 1, 0.1 * (N + 1), Status.TRACKED, len(m.keyframes) - 1, T, None, 50, 1.0, 0))
    poses.finish()
    assert m.frames[N] == lost
    T_after = m.pose_of(m.frames[N + 1])
    assert T_after is not None
    np.testing.assert_allclose(T_after, true_pose(N + 1), atol=1e-9)


@pytest.mark.parametrize("with_observations", [False, True])
def test_a_second_finish_changes_nothing(with_observations: bool) -> None:
    poses = tracked(0.0, with_observations)
    poses.finish()
    first = poses.map.trajectory().T_world_cam
    poses.finish()
    np.testing.assert_allclose(poses.map.trajectory().T_world_cam, first, atol=1e-5)


def test_a_frame_with_a_rotation_only_stays_as_it_is() -> None:
    poses = tracked()
    m = poses.map
    m.frames[3] = replace(m.frames[3], rotation_only=True)
    before = m.frames[3]
    poses.finish()
    np.testing.assert_array_equal(m.frames[3].T_ref_cam, before.T_ref_cam)
    assert m.frames[3].ref_id == before.ref_id
    assert m.frames[3].rotation_only


def test_a_rotation_only_becomes_a_pose_where_depth_was_measured_later() -> None:
    poses = tracked()
    m = poses.map
    m.frames[3] = replace(m.frames[3], rotation_only=True)
    m.landmarks.is_triangulated[:] = True
    poses.finish()
    assert not m.frames[3].rotation_only
    T = m.pose_of(m.frames[3])
    assert T is not None
    np.testing.assert_allclose(T, true_pose(3), atol=1e-4)
