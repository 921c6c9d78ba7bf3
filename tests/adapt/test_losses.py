"""The losses on a rendered scene with exact depth and poses."""

from dataclasses import replace

import pytest
import torch
from adapt_scene import Scene, make_scene, se3_exp
from torch import Tensor

from vgslam.adapt import losses as losses_module
from vgslam.adapt.losses import LossConfig, geometric_cost, kept_pixels, pair_costs, scale_anchor, warp, window_loss

CONFIG = LossConfig()
OPEN = replace(CONFIG, hidden_gate=9.0)


@pytest.fixture(scope="module")
def plane() -> Scene:
    return make_scene(with_square=False)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make_scene()


def cost(s: Scene, config: LossConfig = CONFIG, depth: Tensor | None = None, T: Tensor | None = None) -> tuple:
    c = pair_costs(
        s.images, s.depth if depth is None else depth, s.T_cam_world if T is None else T, s.K, [0], config
    )  # fmt: skip
    return float(c.joint.amin(1)[c.seen.any(1)].mean()), float(c.joint[c.seen].mean())


def moved(s: Scene, axis: int, by: float) -> Tensor:
    xi = torch.zeros(6, dtype=torch.float64)
    xi[axis] = by
    return torch.cat([s.T_cam_world[:1], se3_exp(xi) @ s.T_cam_world[1:]])


def test_g1_zero_at_the_truth(plane: Scene) -> None:
    assert cost(plane)[0] < 5e-5


def test_g2_minimum_is_blind_to_occlusion(scene: Scene) -> None:
    least, mean = cost(scene)[0], cost(scene, OPEN)[1]
    assert least < 5e-4
    assert mean > 10 * least


@pytest.mark.parametrize("axis", [0, 2, 4])
def test_g3_grows_with_the_pose_error(plane: Scene, axis: int) -> None:
    costs = [cost(plane, T=moved(plane, axis, by))[0] for by in (0, 0.002, 0.01, 0.05)]
    assert costs == sorted(costs)
    assert costs[1] > 5 * costs[0]


def test_g4_grows_with_the_scale_of_one_depth(plane: Scene) -> None:
    factor = torch.ones(4, 1, 1, dtype=torch.float64)
    costs = []
    for k in (1, 1.01, 1.03, 1.1):
        factor[0] = k
        costs.append(cost(plane, depth=plane.depth * factor)[0])
    assert costs == sorted(costs)
    assert costs[1] > 100 * costs[0]


def test_g5_joint_scale_is_seen_by_the_anchor_alone(scene: Scene) -> None:
    T = scene.T_cam_world.clone()
    T[:, :3, 3] *= 3
    a, b = cost(scene)[0], cost(scene, depth=3 * scene.depth, T=T)[0]
    assert abs(a - b) < 1e-6 * a
    reference = scene.depth.median().log()
    assert float(scale_anchor(scene.depth, reference)) == 0
    assert float(scale_anchor(3 * scene.depth, reference)) == pytest.approx(torch.tensor(3.0).log().item() ** 2)


def _free_poses(mixed: float) -> tuple[float, Tensor, Tensor]:
    """<grad, offset> at the start, and each source's error before and after (rotation rad, translation)."""
    s = make_scene(0.4)
    d = torch.randn(3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    d[:, :3] *= 0.041 / d[:, :3].norm(dim=1, keepdim=True)
    d[:, 3:] *= 0.01414 / d[:, 3:].norm(dim=1, keepdim=True)
    xi = d.clone().requires_grad_(True)
    adam = torch.optim.Adam([xi], lr=3e-3)
    config = replace(CONFIG, mixed=mixed, mask_margin=None, smoothness=0)
    downhill = 0.0
    for step in range(110):
        T = torch.cat([s.T_cam_world[:1], se3_exp(xi) @ s.T_cam_world[1:]])
        adam.zero_grad()
        window_loss(s.images, s.depth, T, s.K, [0], config).total.backward()
        assert xi.grad is not None
        if step == 0:
            downhill = float((xi.grad * d).sum())
        adam.step()

    def errors(x: Tensor) -> Tensor:
        return torch.stack([x[:, 3:].norm(dim=1), x[:, :3].norm(dim=1)], 1)

    return downhill, errors(d), errors(xi.detach())


def test_g6_the_mixed_term_keeps_losing_sources_alive() -> None:
    downhill_hard, _, hard = _free_poses(0.0)
    downhill, start, mixed = _free_poses(CONFIG.mixed)
    assert downhill_hard > 0
    assert downhill > 0
    assert (mixed.amax(0) <= start.amax(0)).all()
    assert hard[:, 0].max() >= 2 * mixed[:, 0].max()


def test_g7_another_pixel_convention_is_noticed(plane: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(u: Tensor, v: Tensor, size: tuple[int, int]) -> Tensor:
        return torch.stack([2 * u / (size[1] - 1) - 1, 2 * v / (size[0] - 1) - 1], dim=-1)

    right = cost(plane)[0]
    monkeypatch.setattr(losses_module, "sampling_grid", wrong)
    assert cost(plane)[0] > 20 * right


def test_g8_a_static_camera_teaches_nothing() -> None:
    s = make_scene(0.5, is_static=True)
    depth, T = s.depth.clone().requires_grad_(True), s.T_cam_world.clone().requires_grad_(True)
    loss = window_loss(s.images, depth, T, s.K, [0, 1], CONFIG)
    loss.total.backward()
    assert (loss.total.item(), loss.kept, loss.n_targets) == (0.0, 0.0, 0)
    assert depth.grad is not None
    assert T.grad is not None
    assert not depth.grad.any()
    assert not T.grad.any()


def test_g9_pixels_hidden_in_every_source_pass_no_gradient(scene: Scene) -> None:
    """Seen from cameras that see the square elsewhere: a wall in front of them hides part of the target in all."""
    depth = scene.depth.clone()
    depth[1:] = 2.0  # every source sees something near, everywhere
    depth[1:, :, 100:] = scene.depth[1:, :, 100:]
    depth.requires_grad_(True)
    config = replace(CONFIG, smoothness=0, mask_margin=None)
    c = pair_costs(scene.images, depth, scene.T_cam_world, scene.K, [0], config)
    hidden = ~c.seen.any(1)[0]
    assert 0.2 < float(hidden.double().mean()) < 0.9
    window_loss(scene.images, depth, scene.T_cam_world, scene.K, [0], config).total.backward()
    assert depth.grad is not None
    assert not depth.grad[0][hidden].any()
    assert depth.grad[0][~hidden].any()
    partly = ~c.seen.all(1)[0] & ~hidden
    winner = c.joint.argmin(1)[0]
    assert c.seen[0].gather(0, winner[None])[0][partly].all()


def test_g10_what_is_not_sampled_does_not_matter(scene: Scene) -> None:
    def joint(images: Tensor) -> Tensor:
        T = scene.T_cam_world.clone()
        T[1, 0, 3] -= 1.5  # the left part of the target is out of view of source 1
        T[2] = se3_exp(torch.tensor([0, 0, 0, 0, 3.1, 0], dtype=torch.float64))  # source 2 looks the other way
        return pair_costs(images, scene.depth, T, scene.K, [0], OPEN).joint

    u, _, _ = losses_module.project(scene.depth[:1], joint_pose(scene), scene.K)
    right = int(u.max().ceil()) + 1
    assert right < 150
    changed = scene.images.clone()
    changed[1, :, :, right:] = 0.5
    changed[2] = 0.1
    a, b = joint(scene.images), joint(changed)
    assert torch.equal(a, b)
    assert torch.isinf(a[0, 1]).all()


def joint_pose(s: Scene) -> Tensor:
    T = s.T_cam_world[1:2].clone()
    T[0, 0, 3] -= 1.5
    return T


def test_g11_order_and_bad_sources(scene: Scene) -> None:
    order = [0, 3, 1, 2]
    a = window_loss(scene.images, scene.depth, scene.T_cam_world, scene.K, [0], CONFIG)
    b = window_loss(scene.images[order], scene.depth[order], scene.T_cam_world[order], scene.K, [0], CONFIG)
    assert abs(float(a.total - b.total)) < 1e-12
    noise = torch.rand(1, 3, 120, 160, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    more = [torch.cat([scene.images, noise]), *(torch.cat([x, x[1:2]]) for x in (scene.depth, scene.T_cam_world))]
    before = pair_costs(scene.images, scene.depth, scene.T_cam_world, scene.K, [0], CONFIG).joint.amin(1)
    after = pair_costs(*more, scene.K, [0], CONFIG).joint.amin(1)
    assert (after <= before).all()


def test_g12_geometric_cost() -> None:
    g = torch.Generator().manual_seed(1)
    a, b = (torch.rand(1000, generator=g, dtype=torch.float64) * 9 + 0.01 for _ in range(2))
    c = geometric_cost(a, b)
    assert torch.equal(c, geometric_cost(b, a))
    assert float(c.min()) >= 0
    assert float(c.max()) <= 1
    assert (((a - b) / (a + b)) < 0).any()  # the printed, signed form would be rejected by the line above


def test_g13_gradients_of_the_warp() -> None:
    g = torch.Generator().manual_seed(2)
    images = torch.rand(1, 3, 5, 6, generator=g, dtype=torch.float64)
    source = 2 + torch.rand(1, 5, 6, generator=g, dtype=torch.float64)
    depth = (2 + torch.rand(1, 5, 6, generator=g, dtype=torch.float64)).requires_grad_(True)
    xi = torch.tensor([[0.05, 0.03, 0.02, 0.01, 0.02, -0.03]], dtype=torch.float64, requires_grad=True)
    k = torch.tensor([6.0, 6.1, 2.4, 2.1], dtype=torch.float64, requires_grad=True)

    def run(depth: Tensor, xi: Tensor, k: Tensor) -> tuple[Tensor, ...]:
        o, i = torch.zeros_like(k[0]), torch.ones_like(k[0])
        K = torch.stack([k[0], o, k[2], o, k[1], k[3], o, o, i]).view(3, 3)
        w = warp(images, source, depth, se3_exp(xi), K)
        return w.image, w.depth_computed, w.depth_projected

    assert torch.autograd.gradcheck(run, (depth, xi, k))


def test_g14_mirrored(scene: Scene) -> None:
    M = torch.diag(torch.tensor([-1.0, 1, 1, 1], dtype=torch.float64))
    K = scene.K.clone()
    K[0, 2] = 159 - K[0, 2] + 0.0
    a = window_loss(scene.images, scene.depth, scene.T_cam_world, scene.K, [0, 2], CONFIG)
    b = window_loss(scene.images.flip(-1), scene.depth.flip(-1), M @ scene.T_cam_world @ M, K, [0, 2], CONFIG)
    assert abs(float(a.total - b.total)) < 1e-6 * float(a.total)


def test_g15_an_object_that_moves_with_the_camera_is_masked() -> None:
    """The square keeps its place in the images of frames that move sideways only."""
    still = make_scene(half_size=0.35)
    moving = make_scene(half_size=0.35)
    on = moving.is_square[0]
    images = moving.images.clone()
    depth = moving.depth.clone()
    for i in (1, 2, 3):
        images[i] = torch.where(on, moving.images[0], make_scene(with_square=False).images[i])
        depth[i] = torch.where(on, moving.depth[0], make_scene(with_square=False).depth[i])
    costs = pair_costs(images, depth, still.T_cam_world, still.K, [0], CONFIG)
    kept = kept_pixels(costs, CONFIG)[0]
    inner = -torch.nn.functional.max_pool2d(-on[None].double(), 5, 1, 2)[0] > 0
    assert not kept[inner].any()
    far = torch.nn.functional.max_pool2d(on[None].double(), 51, 1, 25)[0] == 0
    reference = pair_costs(still.images, still.depth, still.T_cam_world, still.K, [0], CONFIG).joint.amin(1)[0]
    both = far & torch.isfinite(reference) & torch.isfinite(costs.joint.amin(1)[0])
    assert float(both.double().mean()) > 0.1
    assert float(costs.joint.amin(1)[0][both].mean()) == pytest.approx(float(reference[both].mean()), rel=0.2)
