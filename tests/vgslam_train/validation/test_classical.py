"""Tracked corners and the essential matrix on rendered windows with exact truth."""

import cv2
import numpy as np
import pytest
import torch

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam_train.data.windows import WindowBatch
from vgslam_train.validation.classical import classical_poses, tracked, two_view_pose
from vgslam_train.validation.pose_measures import identity_poses, pose_score
from vgslam_train.worlds.sequences import render_sequence
from vgslam_train.worlds.textures import TextureBank

CAMERA = Camera.from_fov(160, 120, 70.0)


@pytest.fixture(scope="module")
def batch():
    """Four windows of 3 frames, 160x120, a tenth of a second apart."""
    bank = TextureBank(4, 64)
    windows = [render_sequence("clutter", "orbit", 7, seed, CAMERA, bank=bank) for seed in range(4)]
    images = np.stack([s.images[::3] for s in windows]).transpose(0, 1, 4, 2, 3).astype(np.float32) / 255
    depth = np.stack([s.depth[::3] for s in windows])
    T = np.stack([s.T_world_cam[::3] for s in windows])
    T = se3.inverse(T[:, :1]) @ T
    arrays = (images, np.where(np.isfinite(depth), depth, 0).astype(np.float32), T, np.tile(CAMERA.K, (4, 1, 1)))
    return WindowBatch(*(torch.from_numpy(a) for a in arrays))


def test_rendered_motion_is_found(batch):
    found = classical_poses(batch)
    assert found.is_found.all()
    assert (found.T_first_cam[:, 0] == torch.eye(4)).all()
    score, still = pose_score([batch], [found.T_first_cam]), pose_score([batch], [identity_poses(batch)])
    assert still.rotation_deg.median > 2
    assert score.rotation_deg.median < 0.2 * still.rotation_deg.median
    assert score.direction_deg.median < 20
    lengths = found.T_first_cam[:, 1:, :3, 3].norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


def test_the_same_images_give_the_same_poses(batch):
    assert torch.equal(classical_poses(batch).T_first_cam, classical_poses(batch).T_first_cam)


def test_nothing_to_track_is_the_identity():
    grey = torch.full((2, 3, 3, 48, 64), 0.5)
    K = torch.from_numpy(Camera.from_fov(64, 48, 70.0).K).repeat(2, 1, 1)
    found = classical_poses(WindowBatch(grey, torch.ones(2, 3, 48, 64), torch.eye(4).repeat(2, 3, 1, 1), K))
    assert found.is_found.tolist() == [[True, False, False]] * 2
    assert (found.T_first_cam == torch.eye(4)).all()


def test_pose_of_exact_matches():
    rng = np.random.default_rng(0)
    T = se3.from_rt(se3.so3_exp(np.array([0.02, -0.05, 0.03])), np.array([0.6, 0.0, 0.8]))
    points = rng.uniform((-2, -2, 3), (2, 2, 8), (60, 3))
    other, first = CAMERA.project(points), CAMERA.project(se3.transform(T, points))
    pose = two_view_pose(first, other, CAMERA.K)
    assert pose is not None
    np.testing.assert_allclose(pose, T, atol=1e-4)
    assert two_view_pose(first[:7], other[:7], CAMERA.K) is None


def test_corners_follow_a_shift_and_unreliable_ones_are_dropped():
    rng = np.random.default_rng(1)
    first = cv2.GaussianBlur(rng.integers(0, 255, (60, 80), dtype=np.uint8), (0, 0), 1.5)
    other = np.roll(first, (2, 3), axis=(0, 1))
    other[:, 50:] = 128  # the right part is covered
    corners = np.stack(np.meshgrid(np.arange(10, 75, 8.0), np.arange(10, 50, 8.0)), -1).reshape(-1, 2)
    before, after = tracked(first, other, corners)
    left = before[:, 0] < 35
    assert left.sum() >= 15
    np.testing.assert_allclose((after - before)[left], np.tile([3.0, 2.0], (left.sum(), 1)), atol=0.1)
    assert (before[:, 0] < 60).all()
    assert len(tracked(first, other, np.zeros((0, 2)))[0]) == 0
