"""Training losses: their minimum is at the truth, and errors cost more the larger they are."""

import math

import pytest
import torch

from vgslam.network.config import MatchingConfig
from vgslam.network.matching import Flow, ReferenceMatches
from vgslam.network.pose_encoding import encode_pose, rotation_from_quaternion
from vgslam_train.data.truth import Truth, truth_of
from vgslam_train.data.windows import WindowBatch
from vgslam_train.training.losses import (
    camera_terms,
    depth_terms,
    flow_loss,
    masked_mean,
    matching_loss,
    patch_flow,
    points_loss,
    rotation_vector,
    scale_loss,
    solver_weights,
    tracks_loss,
    window_median,
)


def turn(angle_deg: float, axis: tuple[float, float, float] = (0.0, 1.0, 0.0)) -> torch.Tensor:
    half = math.radians(angle_deg) / 2
    a = torch.tensor(axis, dtype=torch.float64) / torch.tensor(axis, dtype=torch.float64).norm()
    return rotation_from_quaternion(torch.cat([a * math.sin(half), torch.tensor([math.cos(half)])]).double())


def window(scale: float = 1.0) -> WindowBatch:
    """Two frames of a plane 2 m away, the second 0.3 m to the right and turned by 5 degrees."""
    T = torch.eye(4, dtype=torch.float64).repeat(1, 2, 1, 1)
    T[0, 1, :3, :3] = turn(5.0)
    T[0, 1, 0, 3] = 0.3 * scale
    K = torch.tensor([[[30.0, 0, 15.5], [0, 30.0, 11.5], [0, 0, 1]]], dtype=torch.float64)
    return WindowBatch(torch.zeros(1, 2, 3, 24, 32), torch.full((1, 2, 24, 32), 2.0 * scale), T, K)


def encoding_of(truth: Truth) -> torch.Tensor:
    g = encode_pose(truth.T_cam_world, torch.eye(3).expand(1, 2, 3, 3), (24, 32))
    g[..., 7:] = truth.fov
    return g


def test_truth_does_not_depend_on_the_metre() -> None:
    near, far = truth_of(window()), truth_of(window(7.0))
    torch.testing.assert_close(near.T_cam_world, far.T_cam_world)
    torch.testing.assert_close(near.depth, far.depth)
    torch.testing.assert_close(far.scale, 7 * near.scale)
    distance = near.points.norm(dim=-1)
    assert float(distance.mean()) == pytest.approx(1.0, abs=1e-5)


def test_truth_points_lie_in_the_first_camera() -> None:
    """A point of the second view, unprojected there and moved by its true pose."""
    batch = window()
    truth = truth_of(batch)
    K, T = batch.K[0], batch.T_world_cam[0, 1]
    ray = torch.linalg.inv(K) @ torch.tensor([20.0, 5.0, 1.0], dtype=torch.float64)
    expected = (T[:3, :3] @ (2.0 * ray) + T[:3, 3]) / truth.scale[0]
    torch.testing.assert_close(truth.points[0, 1, 5, 20].double(), expected, atol=1e-5, rtol=0)


def test_camera_terms_vanish_at_the_truth_and_grow() -> None:
    truth = truth_of(window())
    g = encoding_of(truth)
    at_truth = camera_terms([g, g], truth, 0.8)
    assert float(at_truth.rotation) < 1e-6
    assert float(at_truth.translation) < 1e-6
    assert float(at_truth.field_of_view) < 1e-12
    costs = []
    for angle in (1.0, 5.0, 20.0, 80.0, 120.0, 170.0):
        wrong = g.clone()
        R = turn(angle, (1.0, 2.0, 0.5)).float() @ truth.T_cam_world[0, 1, :3, :3]
        pose = truth.T_cam_world.clone()
        pose[0, 1, :3, :3] = R
        wrong[..., :7] = encode_pose(pose, torch.eye(3).expand(1, 2, 3, 3), (24, 32))[..., :7]
        costs.append(float(camera_terms([wrong], truth, 0.8).rotation))
    assert costs[0] > 0
    assert costs[3] > costs[2] > costs[1] > costs[0]


def test_rotation_gradient_points_home_even_from_far() -> None:
    truth = truth_of(window())
    for angle in (3.0, 60.0, 120.0):
        half = math.radians(angle) / 2
        g = encoding_of(truth)
        q = torch.tensor([0.0, math.sin(half), 0.0, math.cos(half)])
        g[0, 1, 3:7] = q
        g.requires_grad_(True)
        (grad,) = torch.autograd.grad(camera_terms([g], truth, 0.8).rotation, g)
        moved = g.detach() - 1e-3 * grad
        before = float(camera_terms([g], truth, 0.8).rotation.detach())
        assert float(camera_terms([moved], truth, 0.8).rotation) < before


def test_later_iterations_count_more() -> None:
    truth = truth_of(window())
    good, bad = encoding_of(truth), encoding_of(truth)
    bad[..., 0] += 1.0
    early, late = camera_terms([bad, good], truth, 0.5), camera_terms([good, bad], truth, 0.5)
    assert float(late.translation) == pytest.approx(2 * float(early.translation), rel=1e-5)


def test_rotation_vector_of_small_turns() -> None:
    v = rotation_vector(turn(0.5, (1.0, -2.0, 0.3)))
    assert float(v.norm()) == pytest.approx(math.radians(0.5), rel=1e-4)
    assert float(v[1]) < 0 < float(v[0])


def test_depth_terms_ignore_unknown_pixels_and_reward_honest_confidence() -> None:
    torch.manual_seed(0)
    truth = torch.rand(1, 2, 16, 16) + 0.5
    truth[:, :, :4] = 0
    depth = truth.clone()
    depth[:, :, :4] = 123.0
    one = torch.ones_like(depth)
    value, gradient = depth_terms(depth, one, truth, 0.2)
    assert float(value) == 0
    assert float(gradient) == 0
    wrong = depth * 1.5
    assert float(depth_terms(wrong, one, truth, 0.2)[0]) == pytest.approx(math.log(1.5), rel=1e-4)
    assert float(depth_terms(wrong, one, truth, 0.2)[1]) < 1e-5, "a wrong scale has no gradient"
    sure = depth_terms(depth, 5 * one, truth, 0.2)[0]
    assert float(sure) < float(depth_terms(depth, one, truth, 0.2)[0]), "confidence where it is right pays"
    assert float(depth_terms(wrong, 5 * one, truth, 0.2)[0]) > float(depth_terms(wrong, one, truth, 0.2)[0])
    assert masked_mean(one, torch.zeros_like(one, dtype=torch.bool)) == 0


def test_matching_loss_is_least_at_the_true_displacement() -> None:
    config = MatchingConfig(features=8, radius=3)
    flow = torch.zeros(1, 2, 2, 4, 5, 2)
    flow[..., 0], flow[..., 1] = 6.0, -4.0  # 1.5 and -1 cells
    visible = torch.ones(1, 2, 2, 4, 5, dtype=torch.bool)

    def loss(at: dict[int, float]) -> float:
        logits = torch.full((1, 2, 2, 4, 5, 49), -30.0)
        for k, p in at.items():
            logits[..., k] = math.log(p)
        return float(matching_loss(ReferenceMatches(logits, flow, flow[..., 0]), flow, visible, config.stride))

    row = (3 - 1) * 7
    right = {row + 4: 0.5, row + 5: 0.5}
    assert loss(right) == pytest.approx(math.log(2), rel=1e-4)
    assert loss(right) < loss({row + 4: 0.9, row + 5: 0.1})
    assert loss({row + 4 + 7: 0.5, row + 5 + 7: 0.5}) > 10
    beyond = flow.clone()
    beyond[..., 0] = 100.0
    blind = ReferenceMatches(torch.zeros(1, 2, 2, 4, 5, 49), flow, flow[..., 0])
    assert float(matching_loss(blind, beyond, visible, config.stride)) == 0


def test_flow_loss_is_a_likelihood() -> None:
    truth = torch.rand(1, 2, 2, 4, 5, 2)
    visible = torch.ones(1, 2, 2, 4, 5, dtype=torch.bool)
    off = truth + torch.tensor([3.0, 4.0])  # 5 px

    def cost(scale_px: float) -> float:
        log_scale = torch.full(visible.shape, math.log(scale_px))
        return float(flow_loss(Flow(off, log_scale), truth, visible))

    assert cost(5.0) < min(cost(2.5), cost(10.0))
    truth[0, 0, 0, 0, 0] = float("nan")
    visible[0, 0, 0, 0, 0] = False
    assert math.isfinite(cost(5.0))


def test_points_and_tracks() -> None:
    truth = truth_of(window())
    one = torch.ones_like(truth.depth)
    assert float(points_loss(truth.points, one, truth, 0.2)) == 0
    assert float(points_loss(truth.points + 0.1, one, truth, 0.2)) == pytest.approx(0.1 * 3**0.5, rel=1e-3)
    px = torch.rand(1, 2, 6, 2) * 20
    seen = torch.ones(1, 2, 6, dtype=torch.bool)
    seen[0, 1, 3] = False
    off = px.clone()
    off[0, 1, 3] += 50
    sure = torch.where(seen, 1.0, 0.0)
    assert float(tracks_loss([px, px], sure, px, seen, 0.8)) < 1e-3
    assert float(tracks_loss([off], sure, px, seen, 0.8)) < 1e-3, "what is not seen does not count"
    assert float(tracks_loss([px + 1], sure, px, seen, 0.8)) == pytest.approx(2.0, abs=1e-2)
    assert float(tracks_loss([px], 1 - sure, px, seen, 0.8)) > 1.0


def test_depth_likelihood_is_least_at_the_true_deviation() -> None:
    """With alpha 1 the best confidence is the inverse of the mean absolute error: 1 / 0.25 here."""
    error = torch.tensor([0.1, -0.2, 0.3, -0.4]).repeat(24, 8).view(1, 1, 24, 32)
    truth = torch.full_like(error, 2.0)
    depth = truth * error.exp()

    def cost(c: float) -> float:
        return float(depth_terms(depth, torch.full_like(depth, c), truth, 1.0)[0])

    assert cost(4.0) == pytest.approx(1 - math.log(4.0), abs=1e-5)
    assert cost(4.0) < min(cost(3.6), cost(4.4))


def test_aligned_depth_leaves_the_windows_scale_to_its_own_term() -> None:
    error = torch.tensor([0.1, -0.2, 0.3, -0.4, 0.0]).repeat(2, 20).view(2, 1, 5, 20)
    truth = torch.full_like(error, 2.0)
    truth[0, 0, 0] = 0
    ones = torch.full_like(error, 2.0)
    flat, off = (depth_terms(truth.clamp(min=1) * (error + d).exp(), ones, truth, 1.0, True)[0] for d in (0.0, 0.7))
    assert float(flat) == pytest.approx(float(off), abs=1e-5)
    assert float(scale_loss(2.0 * truth.clamp(min=1), truth)) == pytest.approx(math.log(2) - 0.05, abs=1e-5)
    assert float(scale_loss(truth.clamp(min=1), truth)) == pytest.approx(0, abs=1e-9)


def test_no_gradient_goes_through_the_median() -> None:
    """Errors 1, 2 and 6 have the median 2, and the gradient of |e - m| is the sign of each."""
    values = torch.tensor([[1.0, 2.0, 6.0, 99.0]], requires_grad=True)
    known = torch.tensor([[True, True, True, False]])
    median = window_median(values, known)
    assert median.tolist() == [[2.0]]
    assert not median.requires_grad
    ((values - median).abs() * known).sum().backward()
    assert values.grad is not None
    assert values.grad[0, [0, 2]].tolist() == [-1.0, 1.0]


def _flow_of_two_cells(big_px: float) -> tuple[Flow, torch.Tensor, torch.Tensor]:
    """A frame of 4 cells seen, 3 that are 1 px off and one that is big_px off, all of deviation e^0."""
    truth = torch.zeros(1, 1, 2, 2, 2, 2)
    displacement = truth.clone()
    displacement[..., 0] = 1.0
    displacement[..., 0, 0, 0] = big_px
    scale = torch.zeros(1, 1, 2, 2, 2)
    return Flow(displacement.requires_grad_(), scale.requires_grad_()), truth, torch.ones_like(scale).bool()


def test_solver_weights_are_those_of_the_solver() -> None:
    """Errors (1,0) px three times and (9,0): half of all components are 0, so the robust scale is its floor, 0.01 px;
    Cauchy's weight 1 / (1 + (e / 0.6 s)^2) is then as e^-2, the big one's 1/81 of the others'."""
    flow, truth, visible = _flow_of_two_cells(9.0)
    weight = solver_weights(flow.displacement - truth, flow, visible)[0, 0, 0].flatten()
    assert weight.mean() == pytest.approx(1, abs=1e-5)
    assert float(weight[0] / weight[1]) == pytest.approx(1 / 81, rel=1e-3)
    half = visible.clone()
    half[..., 0, :] = False
    assert solver_weights(flow.displacement - truth, flow, half)[0, 0, 0].flatten().tolist() == [0, 0, 1, 1]
    nothing = solver_weights(flow.displacement - truth, flow, torch.zeros_like(visible))
    assert (nothing == 0).all()


def test_flow_loss_stops_the_gradient_at_the_weights() -> None:
    """With the weights w held, d/de of w |e| is w: as that of the loss with the weights as numbers."""
    flow, truth, visible = _flow_of_two_cells(3.0)
    weight = solver_weights(flow.displacement - truth, flow, visible)
    assert not weight.requires_grad
    flow_loss(flow, truth, visible, 1.0).backward()
    assert flow.displacement.grad is not None
    assert flow.log_scale.grad is not None
    torch.testing.assert_close(flow.displacement.grad[..., 0], weight / 8)
    size = flow.displacement.detach().norm(dim=-1)
    torch.testing.assert_close(flow.log_scale.grad, weight * (1 - size) / 8)


def test_the_best_flow_deviation_does_not_depend_on_the_share() -> None:
    flow, truth, visible = _flow_of_two_cells(3.0)
    exact = Flow(flow.displacement.detach(), flow.displacement.detach().norm(dim=-1).log().requires_grad_())
    flow_loss(exact, truth, visible, 0.5).backward()
    assert exact.log_scale.grad is not None
    assert float(exact.log_scale.grad.abs().max()) < 1e-6


def test_flow_of_patches_is_the_mean_of_their_cells() -> None:
    flow = torch.arange(24.0).view(1, 1, 1, 2, 6, 2)
    visible = torch.ones(1, 1, 1, 2, 6, dtype=torch.bool)
    visible[..., 1, 3] = False
    mean, seen = patch_flow(flow, visible, 2)
    assert mean[0, 0, 0, 0, 0].tolist() == [7.0, 8.0]  # cells 0, 1, 6 and 7: x 0, 2, 12, 14
    assert seen[0, 0, 0].tolist() == [[True, False, True]]
