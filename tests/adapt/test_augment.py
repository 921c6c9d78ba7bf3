"""Mirrored windows are windows of the mirrored world."""

import numpy as np
import torch

from vgslam.adapt.bundle import SparseGeometry
from vgslam.adapt.trainer import in_other_light, mirrored, mirrored_geometry
from vgslam.adapt.windows import PointMatches, Window
from vgslam.geometry import se3


def test_points_of_a_mirrored_window_project_to_mirrored_pixels() -> None:
    """G14: flip, updated K and mirrored pose belong together."""
    rng = np.random.default_rng(0)
    K = np.array([[60.0, 0, 30.0], [0, 61.0, 23.0], [0, 0, 1]])
    T = np.stack([np.eye(4), se3.exp(np.array([0.02, 0.05, -0.03, 0.4, -0.1, 0.2]))])
    z, px = rng.uniform(3, 8, 20), rng.uniform(5, 40, (20, 2))
    seen = _project(T[1], px, z, K)
    window = Window((0, 1), torch.rand(2, 3, 48, 64), torch.from_numpy(K).float(), (PointMatches(1, px, px, seen),))
    geometry = SparseGeometry(T, np.zeros(20, np.int64), px, z, np.ones(20), 0.0)
    flipped, lesson = mirrored(window), mirrored_geometry(geometry, 64)
    again = _project(lesson.T_cam_first[1], lesson.px, lesson.depth, flipped.K.double().numpy())
    np.testing.assert_allclose(again, flipped.matches[0].other_px, atol=1e-4)
    torch.testing.assert_close(mirrored(flipped).images, window.images)
    np.testing.assert_allclose(np.linalg.det(lesson.T_cam_first[1, :3, :3]), 1.0)


def _project(T: np.ndarray, px: np.ndarray, z: np.ndarray, K: np.ndarray) -> np.ndarray:
    X = np.column_stack([(px - K[:2, 2]) / K[(0, 1), (0, 1)], np.ones(len(px))]) * z[:, None]
    Y = X @ T[:3, :3].T + T[:3, 3]
    return Y[:, :2] / Y[:, 2:] * K[(0, 1), (0, 1)] + K[:2, 2]


def test_light_is_the_same_for_all_frames() -> None:
    images = torch.rand(1, 3, 8, 8).expand(4, 3, 8, 8)
    other = in_other_light(images, np.random.default_rng(1), 1.0)
    assert not torch.equal(other, images)
    assert all(torch.equal(other[0], x) for x in other)
    assert 0 <= float(other.min()) <= float(other.max()) <= 1
    assert in_other_light(images, np.random.default_rng(1), 0.0) is images
