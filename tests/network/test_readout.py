"""Poses solved from a network's flow and depth, inside the backbone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vgslam.errors import ConfigError
from vgslam.geometry.camera import Camera
from vgslam.network.config import VGGT_TINY
from vgslam.network.licence import RANDOM
from vgslam.network.matching import Flow
from vgslam.network.pose_encoding import decode_pose, encode_pose
from vgslam.network.readout import (
    Readout,
    cell_depth,
    inverse_variance,
    relative_to_first,
    solved_poses,
    with_solved_poses,
)
from vgslam.network.vggt import Head, VggtOutput, build
from vgslam.network.vggt_backbone import RunOptions, VggtBackbone
from vgslam.network.weights import LoadedVggt
from vgslam.network.weights_info import WeightsInfo
from vgslam_train.data.truth import truth_of
from vgslam_train.data.windows import WindowBatch, true_flow
from vgslam_train.presets import VGGT_S

POSE = frozenset({Head.POSE})


def window() -> WindowBatch:
    """Three views of a slanted wall, from the side and turned."""
    T = torch.eye(4, dtype=torch.float64).repeat(1, 3, 1, 1)
    for i in (1, 2):
        angle = 0.06 * i
        T[0, i, :3, :3] = torch.tensor(
            [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
        )
        T[0, i, :3, 3] = torch.tensor([0.15 * i, -0.05, 0.02 * i])
    K = torch.tensor([[[50.0, 0, 31.5], [0, 50.0, 23.5], [0, 0, 1]]], dtype=torch.float64)
    v, u = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    rays = torch.stack([(u - 31.5) / 50, (v - 23.5) / 50, torch.ones_like(u)], -1).double()
    normal, offset = torch.tensor([0.3, 0.2, 1.0], dtype=torch.float64), 2.5
    depth = torch.stack(
        [(offset - normal @ T[0, i, :3, 3]) / ((rays @ T[0, i, :3, :3].T) @ normal) for i in range(3)]
    )
    return WindowBatch(torch.zeros(1, 3, 3, 48, 64), depth[None].float(), T, K)


def perfect_output(batch: WindowBatch, start: torch.Tensor) -> VggtOutput:
    """What a network would say that knows flow and depth but has the poses `start` (T_cam_world)."""
    flows = torch.stack([true_flow(batch, r)[0] for r in ("first", "previous")], dim=2)
    encoding = encode_pose(start, batch.K[:, None].expand(1, 3, 3, 3), (48, 64)).float()
    flow = Flow(flows.float(), torch.zeros(flows.shape[:-1]))
    return VggtOutput([encoding], batch.depth, torch.full_like(batch.depth, 2.0), flow=flow)


def test_poses_follow_from_flow_and_depth() -> None:
    batch = window()
    out = perfect_output(batch, torch.eye(4, dtype=torch.float64).repeat(1, 3, 1, 1))
    truth = truth_of(batch)
    solved = solved_poses(out, batch.K)
    torch.testing.assert_close(solved[..., :3, :3], truth.T_cam_world[..., :3, :3].double(), atol=2e-3, rtol=0)
    expected = truth.T_cam_world[..., :3, 3].double() * truth.scale[0].double()
    torch.testing.assert_close(solved[..., :3, 3], expected, atol=5e-3, rtol=0)
    encoding = with_solved_poses(out, batch.K).pose_encoding
    assert encoding is not None
    torch.testing.assert_close(decode_pose(encoding.double()), solved, atol=1e-5, rtol=0)


def test_weights_are_inverse_variances() -> None:
    """Expected errors of 1/2, 1 and 2 px."""
    flow = Flow(torch.zeros(3, 2), torch.tensor([0.5, 1.0, 2.0]).log())
    torch.testing.assert_close(inverse_variance(flow), torch.tensor([4.0, 1.0, 0.25]))


def test_the_cells_that_are_certain_decide() -> None:
    """Three cells in four say that the camera stands still, and may be 50 px off; the others know the truth."""
    batch = window()
    out = perfect_output(batch, torch.eye(4, dtype=torch.float64).repeat(1, 3, 1, 1))
    assert out.flow is not None
    displacement, log_scale = out.flow.displacement.clone(), out.flow.log_scale.clone()
    is_wrong = torch.ones(log_scale.shape[-2:], dtype=torch.bool)
    is_wrong[::2, ::2] = False
    displacement[..., is_wrong, :], log_scale[..., is_wrong] = 0.0, float(np.log(50.0))
    log_scale[..., ~is_wrong] = float(np.log(0.1))
    truth = truth_of(batch)
    solved = solved_poses(replace(out, flow=Flow(displacement, log_scale)), batch.K)
    torch.testing.assert_close(solved[..., :3, :3], truth.T_cam_world[..., :3, :3].double(), atol=5e-3, rtol=0)
    expected = truth.T_cam_world[..., :3, 3].double() * truth.scale[0].double()
    torch.testing.assert_close(solved[..., :3, 3], expected, atol=1e-2, rtol=0)


def test_cell_depth_is_exact_on_planes() -> None:
    v, u = torch.meshgrid(torch.arange(16.0), torch.arange(24.0), indexing="ij")
    inverse = 0.3 + 0.01 * u - 0.004 * v
    cells = cell_depth(1 / inverse)
    expected = 0.3 + 0.01 * (torch.arange(6) * 4 + 1.5) - 0.004 * (torch.arange(4)[:, None] * 4 + 1.5)
    torch.testing.assert_close(1 / cells, expected)


def test_cells_of_depth_near_nothing_keep_their_depth() -> None:
    torch.testing.assert_close(cell_depth(torch.full((8, 8), 0.01)), torch.full((2, 2), 0.01))
    assert torch.isfinite(cell_depth(torch.zeros(8, 8))).all()


def test_the_field_of_view_stays_that_of_the_head() -> None:
    batch = window()
    out = perfect_output(batch, torch.eye(4, dtype=torch.float64).repeat(1, 3, 1, 1))
    solved = with_solved_poses(out, batch.K)
    assert out.pose_encoding is not None
    assert solved.pose_encoding is not None
    assert torch.equal(solved.pose_encoding[..., 7:], out.pose_encoding[..., 7:])
    assert len(solved.pose_encodings or ()) == len(out.pose_encodings or ()) + 1


@pytest.mark.parametrize("lacks", ["pose_encodings", "depth", "flow"])
def test_without_pose_depth_or_flow_nothing_is_solved(lacks: str) -> None:
    batch = window()
    out = perfect_output(batch, torch.eye(4, dtype=torch.float64).repeat(1, 3, 1, 1))
    for solve in (solved_poses, with_solved_poses):
        with pytest.raises(ValueError, match="the solver needs pose, depth and flow"):
            solve(replace(out, **{lacks: None}), batch.K)


def test_first_camera_becomes_the_world() -> None:
    batch = window()
    shifted = torch.linalg.inv(batch.T_world_cam) @ batch.T_world_cam[:, 1:2]
    relative = relative_to_first(shifted)
    torch.testing.assert_close(relative[:, 0], torch.eye(4, dtype=torch.float64)[None], atol=1e-12, rtol=0)
    torch.testing.assert_close(relative, torch.linalg.inv(batch.T_world_cam), atol=1e-12, rtol=0)


def backbone(config: object, readout: Readout) -> VggtBackbone:
    model = build(config, 0)  # type: ignore[arg-type]
    info = WeightsInfo("random", "", RANDOM, 1, is_random=True)
    return VggtBackbone(LoadedVggt(model, info), RunOptions(readout=readout))


def test_backbone_says_where_poses_come_from() -> None:
    assert backbone(VGGT_S, Readout.AUTO).spec.poses_from == "solver"
    assert backbone(VGGT_S, Readout.HEAD).spec.poses_from == "head"
    assert backbone(VGGT_TINY, Readout.AUTO).spec.poses_from == "head"
    with pytest.raises(ConfigError, match="no flow"):
        backbone(VGGT_TINY, Readout.SOLVER)


def test_backbone_solves_with_the_known_camera() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (120, 160, 3)).astype(np.uint8) for _ in range(3)]
    solver, head = backbone(VGGT_S, Readout.SOLVER), backbone(VGGT_S, Readout.HEAD)
    scenes = []
    for b in (solver, head):
        prepared = b.prepare(images)
        assert prepared.size == (48, 64)
        tokens = b.encode(prepared, POSE)
        scenes.append(b.decode(tokens, prepared, POSE, known_cameras=[Camera.from_fov(160, 120, 60.0)] * 3))
    assert scenes[0].T_cam_world is not None
    assert scenes[1].T_cam_world is not None
    np.testing.assert_allclose(scenes[0].T_cam_world[0], np.eye(4), atol=1e-6)
    assert np.abs(scenes[0].T_cam_world - scenes[1].T_cam_world).max() > 1e-4
    guessed = solver.decode(solver.encode(solver.prepare(images), POSE), solver.prepare(images), POSE)
    assert np.isfinite(guessed.T_cam_world).all()
