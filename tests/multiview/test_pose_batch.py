"""Many poses at once, against their truth and against the solver for one."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import CAMERA, pose, pose_error

from vgslam.geometry import se3
from vgslam.multiview.pnp import PosePoints, refine_pose
from vgslam.multiview.pose_batch import PoseBatch, adjust_poses, camera_poses
from vgslam.types import Array

F, N = 12, 120


def scene(noise_px: float, outliers: float = 0.0, rel_sigma: float = 0.003) -> tuple[PoseBatch, Array]:
    """A batch whose starts are off by a degree and 0.05, and its true T_world_cam; landmarks are 3 to 8 away."""
    rng = np.random.default_rng(5)
    truth = np.stack([pose(rng.normal(0, 8, 3), rng.normal(0, 0.4, 3)) for _ in range(F)])
    start = np.stack([T @ pose(rng.normal(0, 0.6, 3), rng.normal(0, 0.03, 3)) for T in truth])
    pixels = rng.uniform([0, 0], [CAMERA.width, CAMERA.height], (F, N, 2))
    local = np.stack([CAMERA.rays(px) for px in pixels]) * rng.uniform(3, 8, (F, N, 1))
    landmarks = np.stack([se3.transform(T, X) for T, X in zip(truth, local, strict=True)])
    wrong = rng.random((F, N)) < outliers
    landmarks = landmarks * np.exp(rel_sigma * rng.normal(size=(F, N, 1)))  # hosts are at the origin
    pixels = pixels + noise_px * rng.normal(size=pixels.shape) + wrong[:, :, None] * rng.uniform(20, 60, pixels.shape)
    batch = PoseBatch(
        se3.inverse(start), np.full((F, 2), [CAMERA.fx, CAMERA.fy]), np.full((F, 2), [CAMERA.cx, CAMERA.cy]),
        landmarks, landmarks, np.full((F, N), rel_sigma), pixels, np.ones((F, N), bool),
    )  # fmt: skip
    return batch, truth


@pytest.mark.parametrize("outliers", [0.0, 0.2])
def test_poses_are_found_among_outliers(outliers: float) -> None:
    batch, truth = scene(0.5, outliers)
    fit = adjust_poses(batch, 0.7, 3.5)
    errors = np.array([pose_error(a, b) for a, b in zip(camera_poses(fit.T_cam_world), truth, strict=True)])
    assert np.median(errors[:, 0]) < 0.1
    assert np.median(errors[:, 1]) < 0.01
    assert errors[:, 0].max() < 0.2
    assert abs(fit.is_inlier.mean() - (1.0 - outliers)) < 0.05
    sigma = np.sqrt(np.trace(fit.covariance[:, 3:, 3:], axis1=1, axis2=2))
    assert 0.3 < np.median(errors[:, 1] / sigma) < 2.0  # as sure as it is right


def test_it_agrees_with_the_solver_of_one_pose() -> None:
    batch, _ = scene(0.5, 0.1, rel_sigma=0.1)
    fit = adjust_poses(batch, 0.7, 3.5, iterations=10)
    for i in range(F):
        points = PosePoints(batch.landmarks[i], batch.pixels[i], batch.direction[i], batch.rel_sigma[i])
        one = refine_pose(CAMERA, batch.T_cam_world[i], points, 0.7, iterations=20, gate=3.5)
        degrees, apart = pose_error(se3.inverse(one.T_cam_world), camera_poses(fit.T_cam_world)[i])
        sigma = np.sqrt(np.diag(one.covariance))
        assert np.radians(degrees) < 0.2 * np.linalg.norm(sigma[:3])
        assert apart < 0.2 * np.linalg.norm(sigma[3:])


def test_few_observations_stay_near_the_start_and_none_at_it() -> None:
    batch, _ = scene(0.5)
    seen = np.zeros((F, N), bool)
    seen[::2, :2] = True  # two points leave a pose open
    fit = adjust_poses(replace(batch, is_seen=seen), 0.7, 3.5)
    np.testing.assert_allclose(fit.T_cam_world[1::2], batch.T_cam_world[1::2], atol=1e-12)
    assert np.isfinite(fit.T_cam_world).all()
    for before, after in zip(batch.T_cam_world[::2], fit.T_cam_world[::2], strict=True):
        degrees, apart = pose_error(se3.inverse(before), se3.inverse(after))
        assert degrees < 4.0
        assert apart < 0.4


def test_points_behind_the_camera_do_no_harm() -> None:
    batch, truth = scene(0.0)
    landmarks = batch.landmarks.copy()
    landmarks[:, :10] = -landmarks[:, :10]
    fit = adjust_poses(replace(batch, landmarks=landmarks), 0.7, 3.5)
    assert not fit.is_inlier[:, :10].any()
    errors = [pose_error(a, b)[1] for a, b in zip(camera_poses(fit.T_cam_world), truth, strict=True)]
    assert np.median(errors) < 0.01
