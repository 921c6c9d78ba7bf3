"""Sparse geometry of matched points, and what is taught of it."""

import numpy as np
import pytest
import torch

from vgslam.adapt.bundle import SparseGeometry, reconstruct
from vgslam.adapt.losses import at_points, flow_match_loss, pose_loss, sparse_depth_loss
from vgslam.adapt.windows import PointMatches
from vgslam.geometry import se3
from vgslam.network.matching import Flow

K = np.array([[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]])
STEPS = np.array(
    [[0.01, 0.02, -0.01, 0.3, 0.02, 0.05], [0.02, 0.03, 0.0, 0.6, -0.05, 0.1], [0, 0.05, 0.02, 0.8, 0.1, 0]]
)


def scene(noise_px: float = 0.0, seed: int = 0) -> tuple[list[PointMatches], np.ndarray, np.ndarray]:
    """Matches of 80 points between depth 3 and 8, poses T_cam_first (4,4,4), depth (80,)."""
    rng = np.random.default_rng(seed)
    px = rng.uniform((4, 4), (60, 44), (80, 2))
    z = rng.uniform(3, 8, 80)
    X = np.column_stack([(px - K[:2, 2]) / K[(0, 1), (0, 1)], np.ones(80)]) * z[:, None]
    T = np.stack([np.eye(4), *(se3.exp(x) for x in STEPS)])
    seen = []
    for pose in T:
        Y = X @ pose[:3, :3].T + pose[:3, 3]
        seen.append(Y[:, :2] / Y[:, 2:] * K[(0, 1), (0, 1)] + K[:2, 2] + rng.normal(0, noise_px, (80, 2)))
    seen[0] = px
    return [PointMatches(i, px, seen[i - 1], seen[i]) for i in (1, 2, 3)], T, z


def start_poses(T: np.ndarray) -> np.ndarray:
    off = np.stack([np.eye(4), *(se3.exp(0.05 * np.array([1, -1, 0.5, 2, 1, -1.0])) for _ in range(3))])
    return off @ T


@pytest.mark.parametrize("noise_px", [0.0, 0.1])
def test_poses_and_depth_are_found_from_matches(noise_px: float) -> None:
    """Started 5 deg off, with a flat guess of depth: the truth up to scale, which is the guess's."""
    matches, T, z = scene(noise_px)
    found = reconstruct(matches, np.full((48, 64), 10.0), start_poses(T), K, 0.1)
    assert found is not None
    scale = float(np.median(found.depth[found.frame == 0] / z))
    assert 1.2 < scale < 3.0  # median depth 5.5, guessed 10
    for i in (1, 2, 3):
        assert se3.angle_deg(found.T_cam_first[i, :3, :3].T @ T[i, :3, :3]) < 0.1 + 10 * noise_px
        np.testing.assert_allclose(found.T_cam_first[i, :3, 3] / scale, T[i, :3, 3], atol=0.05 + noise_px)
    first = found.frame == 0
    assert (
        np.median(np.abs(found.depth[first] / scale - np.take(z, _order(matches, found.px[first]))) / 5)
        < 0.06 + noise_px
    )
    assert found.trust[first].min() >= 0
    assert found.trust[first].mean() > 0.8


def _order(matches: list[PointMatches], px: np.ndarray) -> np.ndarray:
    return np.linalg.norm(matches[0].first_px[None] - px[:, None], axis=2).argmin(1)


def test_a_camera_that_turns_says_nothing_of_depth() -> None:
    matches, T, _ = scene()
    T = T.copy()
    T[:, :3, 3] = 0
    px = matches[0].first_px
    rays = np.column_stack([(px - K[:2, 2]) / K[(0, 1), (0, 1)], np.ones(len(px))])
    seen = [(r := rays @ t[:3, :3].T)[:, :2] / r[:, 2:] * K[(0, 1), (0, 1)] + K[:2, 2] for t in T]
    turning = [PointMatches(i, px, seen[i - 1], seen[i]) for i in (1, 2, 3)]
    found = reconstruct(turning, np.full((48, 64), 10.0), T, K, 0.1)
    assert found is not None
    assert found.trust.max() < 0.2


def test_matches_without_common_geometry_are_refused() -> None:
    matches, T, _ = scene()
    rng = np.random.default_rng(1)
    random = [PointMatches(m.frame, m.first_px, m.previous_px, rng.uniform(0, 48, m.other_px.shape)) for m in matches]
    assert reconstruct(random, np.full((48, 64), 10.0), T, K, 0.1) is None


def test_points_are_read_at_pixel_centres() -> None:
    v, u = torch.meshgrid(torch.arange(12.0), torch.arange(16.0), indexing="ij")
    px = torch.tensor([[3.0, 2.0], [7.25, 5.5]])
    torch.testing.assert_close(at_points(torch.stack([u, v]), px), px)
    cells = torch.stack([u * 4 + 1.5, v * 4 + 1.5])
    px = torch.tensor([[9.5, 17.5], [20.0, 21.0]])
    torch.testing.assert_close(at_points(cells, px, stride=4), px)


def test_losses_are_least_at_the_truth() -> None:
    matches, T, _ = scene()
    geometry = SparseGeometry(T, np.zeros(5, np.int64), np.full((5, 2), 20.0), np.full(5, 4.0), np.ones(5), 0.0)
    depth = torch.full((4, 48, 64), 4.0)
    assert float(sparse_depth_loss(depth, geometry)) == pytest.approx(0, abs=1e-6)
    assert float(sparse_depth_loss(1.1 * depth, geometry)) == pytest.approx(np.log(1.1), rel=1e-4)
    poses = torch.from_numpy(T)
    assert float(pose_loss(poses, geometry, 5.0)) < 1e-5
    assert float(pose_loss(poses + 0.01, geometry, 5.0)) > 0.01
    true = _flow(matches)
    good = flow_match_loss(true, matches, 4)
    assert good < flow_match_loss(Flow(true.displacement + 1.0, true.log_scale), matches, 4) - 1


def _flow(matches: list[PointMatches]) -> Flow:
    """The displacement of the nearest matched point in every cell."""
    v, u = np.meshgrid(np.arange(12) * 4 + 1.5, np.arange(16) * 4 + 1.5, indexing="ij")
    centres = np.stack([u, v], -1).reshape(-1, 1, 2)
    out = np.zeros((1, 4, 2, 12, 16, 2), np.float32)
    for m in matches:
        nearest = np.linalg.norm(centres - m.other_px, axis=2).argmin(1)
        for r, there in enumerate((m.first_px, m.previous_px)):
            out[0, m.frame, r] = (there - m.other_px)[nearest].reshape(12, 16, 2)
    return Flow(torch.from_numpy(out), torch.zeros(1, 4, 2, 12, 16))
