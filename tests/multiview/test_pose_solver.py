"""The solver read-out against scenes made up with exact truth."""

from dataclasses import replace

import pytest
import torch

from vgslam.multiview.pose_solver import (
    CellMatches,
    SolverConfig,
    cell_centres,
    solve_cells,
    solve_poses,
)

ROWS, COLS, FOCAL_PX = 12, 16, 62.0
FREE = SolverConfig(translation_damping=0.0, iterations=30)


def exp(xi):
    out = torch.zeros(*xi.shape[:-1], 4, 4, dtype=torch.float64)
    w = xi[..., :3]
    out[..., 0, 1], out[..., 0, 2], out[..., 1, 2] = -w[..., 2], w[..., 1], -w[..., 0]
    out = out - out.mT
    out[..., :3, 3] = xi[..., 3:]
    return torch.linalg.matrix_exp(out)


def angle_deg(R):
    skew = R - R.mT
    sine = 0.5 * torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], -1).norm(dim=-1)
    cosine = 0.5 * (R.diagonal(dim1=-2, dim2=-1).sum(-1) - 1)
    return torch.rad2deg(torch.atan2(sine, cosine))


def scene(b=2, s=4, seed=0, turn_deg=6.0, travel=0.15, scale=3.0):
    """Depth, exact flow and poses of b windows: rough surfaces about `scale` away."""
    g = torch.Generator().manual_seed(seed)
    K = torch.tensor([[FOCAL_PX, 0, 31.5], [0, FOCAL_PX, 23.5], [0, 0, 1]], dtype=torch.float64).repeat(b, 1, 1)
    depth = scale * torch.exp(0.35 * torch.randn(b, s, ROWS, COLS, generator=g, dtype=torch.float64))
    xi = torch.randn(b, s, 6, generator=g, dtype=torch.float64)
    xi = xi * torch.tensor([turn_deg / 57.3] * 3 + [travel * scale] * 3, dtype=torch.float64)
    xi[:, 0] = 0
    T_0_i = exp(xi)
    cells = cell_centres(ROWS, COLS)
    ray = torch.cat([(cells - K[0, :2, 2]) / FOCAL_PX, torch.ones(len(cells), 1, dtype=torch.float64)], -1)
    points = ray * depth.flatten(2)[..., None]
    world = points @ T_0_i[..., :3, :3].mT + T_0_i[..., None, :3, 3]
    before = torch.cat([T_0_i[:, :1], T_0_i[:, :-1]], 1)
    previous = (world - before[..., None, :3, 3]) @ before[..., :3, :3]
    seen = torch.stack([world, previous], 2)
    px = seen[..., :2] / seen[..., 2:] * FOCAL_PX + K[0, :2, 2]
    flow = (px - cells).unflatten(3, (ROWS, COLS))
    weight = (seen[..., 2] > 0.2 * scale).double().unflatten(3, (ROWS, COLS))
    return depth, flow, weight, K, torch.linalg.inv(T_0_i)


def errors(result, T_cam_world):
    """Rotation in deg, translation as a length, (B,S)."""
    difference = result.T_cam_world @ torch.linalg.inv(T_cam_world)
    return angle_deg(difference[..., :3, :3]), difference[..., :3, 3].norm(dim=-1)


def test_centres_of_cells_are_half_pixel_exact():
    cells = cell_centres(2, 3)
    assert cells.tolist() == [[1.5, 1.5], [5.5, 1.5], [9.5, 1.5], [1.5, 5.5], [5.5, 5.5], [9.5, 5.5]]


@pytest.mark.parametrize("s", [2, 3, 8])
def test_exact_flow_gives_the_exact_poses(s):
    depth, flow, weight, K, truth = scene(3, s, seed=s)
    result = solve_poses(depth, flow, weight, K, config=FREE)
    assert result.is_valid.all()
    turn, shift = errors(result, truth)
    assert turn.max() < 1e-5
    assert shift.max() < 1e-6
    assert result.residual_px.max() < 1e-5
    assert (result.T_cam_world[:, 0] == torch.eye(4)).all()


def test_the_default_prior_does_not_disturb_exact_flow():
    depth, flow, weight, K, truth = scene(4, 4, seed=3)
    turn, shift = errors(solve_poses(depth, flow, weight, K), truth)
    assert turn.max() < 0.01
    assert shift.max() < 0.01


def test_either_reference_alone_is_enough():
    depth, flow, weight, K, truth = scene(2, 4, seed=5)
    for reference in range(2):
        alone = weight.clone()
        alone[:, :, 1 - reference] = 0
        result = solve_poses(depth, flow, alone, K, config=FREE)
        assert result.is_valid.all()
        assert errors(result, truth)[0].max() < 1e-4


def test_a_frame_that_only_its_successor_saw():
    depth, flow, weight, K, truth = scene(1, 4, seed=6)
    weight[:, 2] = 0
    result = solve_poses(depth, flow, weight, K, config=FREE)
    assert result.is_valid.all()
    assert errors(result, truth)[0].max() < 1e-4


def test_noise_costs_what_it_should():
    depth, flow, weight, K, truth = scene(16, 4, seed=1)
    noise = torch.randn(flow.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    turn, _ = errors(solve_poses(depth, flow + noise, weight, K, config=FREE), truth)
    # One pixel is 0.92 deg, of 192 cells twice: rotation and translation are entangled, a factor of a few.
    assert turn[:, 1:].median() < 0.3
    assert turn[:, 1:].median() > 0.92 / 384**0.5 / 3
    half, _ = errors(solve_poses(depth, flow + 0.5 * noise, weight, K, config=FREE), truth)
    assert half[:, 1:].median() / turn[:, 1:].median() == pytest.approx(0.5, abs=0.1)


def test_thirty_percent_outliers():
    depth, flow, weight, K, truth = scene(8, 4, seed=2)
    g = torch.Generator().manual_seed(1)
    wrong = torch.rand(flow.shape[:-1], generator=g) < 0.3
    bad = torch.where(wrong[..., None], 12 * torch.randn(flow.shape, generator=g, dtype=torch.float64), flow)
    bad = bad + 0.1 * torch.randn(flow.shape, generator=g, dtype=torch.float64)
    result = solve_poses(depth, bad, weight, K, config=FREE)
    turn, shift = errors(result, truth)
    assert result.is_valid.all()
    assert turn.median() < 0.3
    assert turn.max() < 0.5
    assert shift.max() < 0.1
    # The loss is what does it: with all cells trusted the answer is far off.
    trusting = replace(FREE, tuning=1e6)
    assert errors(solve_poses(depth, bad, weight, K, config=trusting), truth)[0].median() > 3 * turn.median()


def test_weights_silence_outliers_beyond_half():
    depth, flow, weight, K, truth = scene(4, 3, seed=4)
    wrong = torch.rand(flow.shape[:-1], generator=torch.Generator().manual_seed(1)) < 0.7
    bad = torch.where(wrong[..., None], flow + 9.0, flow)
    result = solve_poses(depth, bad, torch.where(wrong, 0.0, weight), K, config=FREE)
    assert errors(result, truth)[0].max() < 1e-4


def test_the_unit_of_the_weights_does_not_matter():
    depth, flow, weight, K, _ = scene(2, 4, seed=8)
    flow = flow + 0.3 * torch.randn(flow.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    once, other = solve_poses(depth, flow, weight, K), solve_poses(depth, flow, 2.0**-14 * weight, K)
    torch.testing.assert_close(once.T_cam_world, other.T_cam_world, atol=1e-9, rtol=0)


def test_the_unit_of_the_depth_only_scales_translations():
    depth, flow, weight, K, _ = scene(2, 4, seed=9)
    flow = flow + 0.3 * torch.randn(flow.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    once, other = solve_poses(depth, flow, weight, K), solve_poses(1e3 * depth, flow, weight, K)
    torch.testing.assert_close(once.T_cam_world[..., :3, :3], other.T_cam_world[..., :3, :3], atol=1e-9, rtol=0)
    torch.testing.assert_close(
        1e3 * once.T_cam_world[..., :3, 3], other.T_cam_world[..., :3, 3], atol=1e-7, rtol=1e-7
    )  # fmt: skip


def test_pure_rotation():
    depth, flow, weight, K, truth = scene(8, 4, seed=7, travel=0.0)
    g = torch.Generator().manual_seed(0)
    flow = flow + 0.3 * torch.randn(flow.shape, generator=g, dtype=torch.float64)
    turn, shift = errors(solve_poses(depth, flow, weight, K), truth)
    assert turn.median() < 0.15
    assert shift.median() < 0.02 * 3.0
    # The prior pulls what is only noise towards zero, and a large one removes it.
    heavy = solve_poses(depth, flow, weight, K, config=SolverConfig(translation_damping=1e9))
    assert heavy.T_cam_world[..., :3, 3].abs().max() < 1e-4
    assert errors(heavy, truth)[0].median() <= turn.median()


def test_no_motion_at_all():
    depth, flow, weight, K, _ = scene(2, 4)
    result = solve_poses(depth, torch.zeros_like(flow), torch.ones_like(weight), K)
    assert result.is_valid.all()
    torch.testing.assert_close(result.T_cam_world, torch.eye(4, dtype=torch.float64).expand(2, 4, 4, 4))


def test_nothing_to_go_by_falls_back():
    depth, flow, weight, K, truth = scene(3, 4, seed=1)
    weight[1] = 0
    result = solve_poses(depth, flow, weight, K)
    assert result.is_valid.tolist() == [True, False, True]
    assert (result.T_cam_world[1] == torch.eye(4)).all()
    started = solve_poses(depth, flow, weight, K, truth)
    assert torch.equal(started.T_cam_world[1], truth[1])
    assert errors(result, truth)[0][[0, 2]].max() < 0.01


@pytest.mark.parametrize("what", ["one_point", "five_cells", "no_depth", "nan_depth", "nan_flow", "nan_K", "huge_flow"])
def test_never_a_number_that_is_not_finite(what):
    depth, flow, weight, K, _ = scene(2, 3, seed=1)
    expected = False
    if what == "one_point":
        keep = torch.zeros_like(weight)
        keep[..., 3, 4] = 1
        weight = keep
    elif what == "five_cells":
        weight[..., 1:, :] = 0
        weight[..., 5:] = 0
        weight[:, :, 1] = 0
    elif what == "no_depth":
        depth = torch.zeros_like(depth)
    elif what == "nan_depth":
        depth = depth * torch.nan
    elif what == "nan_flow":
        flow[..., :6, :, :] = torch.nan
        expected = True
    elif what == "nan_K":
        K = K * torch.nan
    else:
        flow = flow * 1e12
        expected = None
    result = solve_poses(depth, flow, weight, K)
    assert torch.isfinite(result.T_cam_world).all()
    assert torch.isfinite(result.residual_px).all()
    if expected is not None:
        assert (result.is_valid == expected).all()
    R = result.T_cam_world[..., :3, :3]
    torch.testing.assert_close(R @ R.mT, torch.eye(3, dtype=torch.float64).expand_as(R), atol=1e-9, rtol=0)


def test_a_start_that_is_not_finite_is_the_identity():
    depth, flow, weight, K, truth = scene(2, 3)
    result = solve_poses(depth, flow, weight, K, truth * torch.nan)
    assert result.is_valid.all()
    assert errors(result, truth)[0].max() < 0.01


def test_a_batch_equals_its_windows_one_by_one():
    depth, flow, weight, K, _ = scene(5, 4, seed=11)
    g = torch.Generator().manual_seed(0)
    flow = flow + 0.5 * torch.randn(flow.shape, generator=g, dtype=torch.float64)
    weight = weight * torch.rand(weight.shape, generator=g, dtype=torch.float64)
    together = solve_poses(depth, flow, weight, K)
    for i in range(5):
        alone = solve_poses(*(x[i : i + 1] for x in (depth, flow, weight, K)))
        torch.testing.assert_close(alone.T_cam_world[0], together.T_cam_world[i], atol=1e-8, rtol=0)


def test_the_order_of_the_cells_does_not_matter():
    depth, flow, weight, K, _ = scene(2, 4, seed=12)
    g = torch.Generator().manual_seed(0)
    flow = flow + 0.5 * torch.randn(flow.shape, generator=g, dtype=torch.float64)
    cells = cell_centres(ROWS, COLS)
    order = torch.randperm(len(cells), generator=g)
    flat = CellMatches(cells, depth.flatten(2), flow.flatten(3, 4), weight.flatten(3, 4))
    mixed = CellMatches(cells[order], flat.depth[..., order], flat.flow[..., order, :], flat.weight[..., order])
    torch.testing.assert_close(
        solve_cells(flat, K).T_cam_world, solve_cells(mixed, K).T_cam_world, atol=1e-8, rtol=0
    )  # fmt: skip
    assert torch.equal(solve_cells(flat, K).T_cam_world, solve_poses(depth, flow, weight, K).T_cam_world)


def test_single_precision_and_gradients():
    """A network's own float32 outputs, still attached to its graph, are taken as they are."""
    depth, flow, weight, K, truth = scene(2, 4, seed=13)
    depth = depth.float().requires_grad_()
    result = solve_poses(depth, flow.float(), weight.float(), K.float())
    assert result.T_cam_world.dtype == torch.float64
    assert not result.T_cam_world.requires_grad
    assert errors(result, truth)[0].max() < 0.01


def test_one_frame_needs_no_solving():
    depth, flow, weight, K, _ = scene(2, 1)
    result = solve_poses(depth, flow, weight, K)
    assert torch.equal(result.T_cam_world, torch.eye(4, dtype=torch.float64).expand(2, 1, 4, 4))


def test_bad_arguments_are_named():
    depth, flow, weight, K, _ = scene(2, 3)
    with pytest.raises(ValueError, match="disagree"):
        solve_poses(depth, flow[:, :, :1], weight, K)
    with pytest.raises(ValueError, match="does not fit"):
        solve_poses(depth, flow, weight, K[:1])
    with pytest.raises(ValueError, match="iterations"):
        SolverConfig(iterations=0)
    with pytest.raises(ValueError, match="translation_damping"):
        SolverConfig(translation_damping=-1.0)
