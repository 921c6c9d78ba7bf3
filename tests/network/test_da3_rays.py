"""Cameras from rays: exact ones are found exactly, wrong ones among them do no harm."""

import numpy as np
import pytest

from vgslam.geometry import se3
from vgslam.network.da3.ray_cameras import cameras_from_rays

SIZE = (42, 56)
GRID = (24, 32)


def rays_of(T_world_cam: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Exact rays (n_y,n_x,6) of the centres of the grid's cells."""
    x = (np.arange(GRID[1]) + 0.5) * SIZE[1] / GRID[1]
    y = (np.arange(GRID[0]) + 0.5) * SIZE[0] / GRID[0]
    p = np.stack([*np.meshgrid(x, y), np.ones(GRID)], axis=-1)
    directions = p @ np.linalg.inv(K).T @ T_world_cam[:3, :3].T
    return np.concatenate([directions, np.broadcast_to(T_world_cam[:3, 3], directions.shape)], axis=-1)


@pytest.fixture
def truth() -> tuple[np.ndarray, np.ndarray]:
    """T_world_cam (3,4,4) and K, whose principal point is beside the centre."""
    stream = np.random.default_rng(0)
    T = np.stack([se3.exp(np.concatenate([0.2 * stream.standard_normal(3), stream.standard_normal(3)])) for _ in "abc"])
    return T, np.array([[50.0, 0, 30.5], [0, 47.0, 19.0], [0, 0, 1]])


def test_exact_rays_give_the_camera_with_any_principal_point(truth) -> None:
    T, K = truth
    rays = np.stack([rays_of(t, K) for t in T])
    found = cameras_from_rays(rays, np.ones(rays.shape[:3]), SIZE)
    np.testing.assert_allclose(found.T_cam_world, se3.inverse(T), atol=1e-9)
    np.testing.assert_allclose(found.K, np.tile(K, (3, 1, 1)), atol=1e-8)


def test_the_original_decomposition_is_right_for_a_centred_principal_point_alone(truth) -> None:
    T, K = truth
    centred = K.copy()
    centred[:2, 2] = SIZE[1] / 2, SIZE[0] / 2
    for intrinsics, is_right in ((centred, True), (K, False)):
        rays = rays_of(T[0], intrinsics)[None]
        found = cameras_from_rays(rays, np.ones(rays.shape[:3]), SIZE, is_ql=True)
        turn = np.linalg.norm(found.T_cam_world[0, :3, :3] @ T[0, :3, :3] - np.eye(3))
        assert bool(turn < 1e-9) is is_right


def test_a_third_of_wrong_rays_and_unusable_ones_change_nothing(truth) -> None:
    T, K = truth
    rays, confidence = rays_of(T[0], K)[None], np.ones((1, *GRID))
    rays[0, :8, :, :2] += 3.0
    rays[0, 8, 3:6, 2] = 0.0
    confidence[0, :8] = 0.5
    found = cameras_from_rays(rays, confidence, SIZE)
    np.testing.assert_allclose(found.T_cam_world[0], se3.inverse(T[0]), atol=1e-9)
    np.testing.assert_allclose(found.K[0], K, atol=1e-8)


def test_rays_that_agree_on_nothing_give_nan(truth) -> None:
    rays = np.zeros((1, *GRID, 6))  # no direction at all
    found = cameras_from_rays(rays, np.ones((1, *GRID)), SIZE)
    assert np.isnan(found.T_cam_world).all()
