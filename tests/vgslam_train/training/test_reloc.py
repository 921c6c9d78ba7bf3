"""Training of relocalization: losses (R9), what is told (R8), windows, one step, the recipe."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reloc_cases import MATCHING, TINY, base_network, frames, poses
from torch import Tensor

from vgslam.config import read_yaml
from vgslam.errors import ConfigError
from vgslam.geometry import se3
from vgslam.network.pose_encoding import quaternion_from_rotation
from vgslam.network.reloc.config import MaskKind, RelocConfig
from vgslam.network.reloc.network import Stage, build_reloc
from vgslam_train.data.clips import ClipConfig, ClipSet, generate_clips
from vgslam_train.data.reloc_windows import FrameCount, RelocSampler
from vgslam_train.data.windows import WindowBatch, WindowConfig
from vgslam_train.training.recipe import Recipe
from vgslam_train.training.reloc_losses import RelocLossWeights, reloc_loss, rotation_angle
from vgslam_train.training.reloc_recipe import AdapterSettings, RelocPhase, RelocRecipe, stage_of
from vgslam_train.training.reloc_step import PoseNoise, RelocTrainingStep, told_poses

CLEAN = PoseNoise(dropout=0.0, rotation_deg=0.0, translation_share=0.0)
ROTATION_ALONE = RelocLossWeights(translation=0, quaternion=0, field_of_view=0, database=0, database_angle=0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def windows(n: int, seed: int = 0) -> WindowBatch:
    """Two windows of n frames."""
    T = torch.cat([poses(n, seed), poses(n, seed + 1)])
    T = torch.linalg.inv(T[:, :1]) @ T
    images = torch.cat([frames(n, seed), frames(n, seed + 1)])
    K = torch.tensor([[30.0, 0, 19.5], [0, 31.0, 15.5], [0, 0, 1]], dtype=torch.float64).expand(2, 3, 3)
    return WindowBatch(images, torch.full((2, n, *images.shape[-2:]), 4.0), T, K)


def truth(n: int = 4) -> tuple[Tensor, Tensor]:
    told = told_poses(windows(n), CLEAN, generator())
    return told.target, told.has_scale


def turned(target: Tensor, angle_deg: float, axis: np.ndarray | None = None) -> Tensor:
    """The target with the rotation of every frame turned by an angle."""
    from vgslam.network.pose_encoding import rotation_from_quaternion

    axis = np.array([0.36, 0.48, 0.8]) if axis is None else axis
    turn = torch.from_numpy(se3.so3_exp(np.radians(angle_deg) * axis))
    q = quaternion_from_rotation(turn @ rotation_from_quaternion(target[..., 3:7]))
    return torch.cat([target[..., :3], q, target[..., 7:]], dim=-1)


# ------------------------------------------------------------------------------------------------ R9


def test_loss_is_zero_at_the_truth() -> None:
    target, has_scale = truth()
    loss, parts = reloc_loss([target, target], target, has_scale, RelocLossWeights())
    assert loss.item() == pytest.approx(0, abs=2e-6)  # the small addition to quaternions
    assert all(value == pytest.approx(0, abs=2e-6) for value in parts.to_floats().values())


def test_sign_and_length_of_a_quaternion_do_not_matter() -> None:
    target, has_scale = truth()
    wrong = turned(target, 33.0)
    other = wrong.clone()
    other[..., 3:7] *= -2.5
    a, b = (reloc_loss([x], target, has_scale, RelocLossWeights())[0] for x in (wrong, other))
    assert a.item() == pytest.approx(b.item(), abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_loss_grows_with_the_angle(seed: int) -> None:
    target, has_scale = truth()
    axis = np.random.default_rng(seed).normal(size=3)
    axis /= np.linalg.norm(axis)
    angles = [0.0, 1e-3, 0.1, 1, 10, 45, 90, 135, 175]
    for weights in (RelocLossWeights(), ROTATION_ALONE):
        losses = [reloc_loss([turned(target, a, axis)], target, has_scale, weights)[0].item() for a in angles]
        assert losses == sorted(set(losses))


@pytest.mark.parametrize("angle_deg", [1e-4, 1.0, 90.0, 179.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_of_the_angle(angle_deg: float, dtype: torch.dtype) -> None:
    """Finite and of length 1 per radian everywhere, also where that of arccos vanishes or explodes."""
    angle = torch.tensor(np.radians(angle_deg), dtype=dtype, requires_grad=True)
    zero = torch.zeros((), dtype=dtype)
    R = torch.stack([angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero, zero, zero, zero + 1]).view(3, 3)
    found = rotation_angle(torch.eye(3, dtype=dtype), R)
    found.backward()
    assert float(found.detach()) == pytest.approx(np.radians(angle_deg), rel=1e-4)
    assert float(angle.grad) == pytest.approx(1.0, rel=1e-3)


def test_gradients_are_finite_at_the_truth_and_at_half_a_turn() -> None:
    target, has_scale = truth()
    for angle in (0.0, 1e-4, 179.9, 180.0):
        guess = turned(target, angle).requires_grad_()
        reloc_loss([guess], target, has_scale, RelocLossWeights())[0].backward()
        assert torch.isfinite(guess.grad).all()
        if angle in (1e-4, 179.9):
            assert guess.grad[:, -1, 3:7].abs().sum() > 1e-3


def test_translation_counts_only_where_there_is_a_scale() -> None:
    target, _ = truth()
    wrong = target.clone()
    wrong[..., 0] += 0.5
    one = torch.tensor([True, False])
    _, parts = reloc_loss([wrong], target, one, RelocLossWeights())
    assert parts.translation.item() == pytest.approx(0.5, abs=1e-6)  # the mean over windows that have one
    _, parts = reloc_loss([wrong], target, ~torch.ones(2, dtype=torch.bool), RelocLossWeights())
    assert parts.translation.item() == 0


def test_later_iterations_and_the_query_weigh_more() -> None:
    target, has_scale = truth()
    wrong = turned(target, 20.0)
    early, late = ([wrong, target], [target, wrong])
    a, b = (reloc_loss(x, target, has_scale, ROTATION_ALONE)[0].item() for x in (early, late))
    assert a == pytest.approx(0.6 * b, rel=1e-4)
    database = target.clone()
    database[:, :-1] = wrong[:, :-1]
    loss, parts = reloc_loss([database], target, has_scale, RelocLossWeights())
    assert parts.angle.item() < 1e-5 < parts.database.item()
    assert loss.item() == pytest.approx(parts.database.item(), abs=1e-5)


# ------------------------------------------------------------------------------------------------ R8


def test_query_pose_is_not_told() -> None:
    """Another true pose of the query changes the target and nothing that the network sees; nor does depth."""
    batch = windows(5)
    other = batch.T_world_cam.clone()
    other[:, -1] = poses(1, 77)[:, 0]
    noise = PoseNoise()
    a = told_poses(batch, noise, generator(3))
    b = told_poses(replace(batch, T_world_cam=other, depth=batch.depth * 1.5), noise, generator(3))
    for field in ("encoding", "has_pose", "scale"):
        assert torch.equal(getattr(a.known, field), getattr(b.known, field))
    assert not torch.allclose(a.target[:, -1], b.target[:, -1])
    assert torch.equal(a.target[:, :-1], b.target[:, :-1])


def test_without_noise_the_told_poses_are_the_target() -> None:
    told = told_poses(windows(5), CLEAN, generator())
    torch.testing.assert_close(told.known.encoding[..., 3:], told.target[:, :-1, 3:], rtol=0, atol=1e-12)
    torch.testing.assert_close(told.known.encoding[..., :3], told.target[:, :-1, :3].clamp(-8, 8), rtol=0, atol=1e-12)
    assert told.known.has_pose.all()


def test_size_of_the_noise() -> None:
    noise = PoseNoise(dropout=0.3, rotation_deg=1.0, translation_share=0.02)
    dropped, angles, shifts = [], [], []
    batch = windows(8)
    exact = told_poses(batch, CLEAN, generator())
    for seed in range(40):
        told = told_poses(batch, noise, generator(seed))
        dropped.append(~told.known.has_pose)
        q, true_q = told.known.encoding[..., 3:7], exact.known.encoding[..., 3:7]
        angles.append(2 * torch.rad2deg(torch.acos((q * true_q).sum(-1).abs().clamp(max=1))))
        ratio = told.known.scale / exact.known.scale
        shifts.append((ratio - 1).abs())
    angle = torch.stack(angles)
    assert angle[..., 0].max() < 1e-5  # the anchor is the world
    assert angle.max() <= 1.0 + 1e-5
    assert 0.4 < angle[..., 1:].mean() < 0.6
    assert 0.25 < torch.stack(dropped).double().mean() < 0.35
    assert 0 < torch.stack(shifts).max() <= 0.02 + 1e-9


def test_database_in_one_place_has_no_scale() -> None:
    batch = windows(4)
    T = batch.T_world_cam.clone()
    T[0, 1:3, :3, 3] *= 1e-3
    told = told_poses(replace(batch, T_world_cam=T), CLEAN, generator())
    assert told.has_scale.tolist() == [False, True]
    assert told_poses(windows(2), CLEAN, generator()).has_scale.tolist() == [False, False]


# ------------------------------------------------------------------------------------------------ windows


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipSet:
    folder = tmp_path_factory.mktemp("clips")
    generate_clips(folder, ClipConfig(seed=5, n_frames=8, worlds_per_shard=2, clips_per_world=4), 8, workers=0)
    return ClipSet.open(folder)


def sampler(clips: ClipSet, **changes: float) -> RelocSampler:
    config = WindowConfig(batch_size=4, min_overlap=0.25, seed=int(changes.pop("seed", 0)), augment=False)
    return RelocSampler(clips, config, FrameCount(2, 5))


def test_windows_follow_from_seed_and_step(clips: ClipSet) -> None:
    a, b = sampler(clips).batch(4), sampler(clips).batch(4)
    assert torch.equal(a.images, b.images)
    assert torch.equal(a.T_world_cam, b.T_world_cam)
    c = sampler(clips, seed=1).batch(4)
    assert c.images.shape != a.images.shape or not torch.equal(a.images, c.images)


def test_number_of_frames_is_drawn(clips: ClipSet) -> None:
    sizes = {sampler(clips).batch(step).images.shape[1] for step in range(20)}
    assert sizes == {2, 3, 4, 5}


def test_database_frames_see_what_the_query_sees(clips: ClipSet) -> None:
    """By depth and pose: a quarter of the query's known pixels lie inside of each database frame; all are different."""
    for step in range(6):
        batch = sampler(clips).batch(step)
        height, width = batch.depth.shape[-2:]
        v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        homogeneous = torch.stack([u, v, torch.ones_like(u)], dim=-1).double()
        for b in range(len(batch.images)):
            depth, T = batch.depth[b, -1].double(), batch.T_world_cam[b]
            X = (homogeneous @ torch.linalg.inv(batch.K[b]).T * depth[..., None])[depth > 0]
            for k in range(batch.images.shape[1] - 1):
                M = torch.linalg.inv(T[k]) @ T[-1]
                Y = X @ M[:3, :3].T + M[:3, 3]
                p = Y @ batch.K[b].T
                uv = p[:, :2] / p[:, 2:]
                inside = (Y[:, 2] > 0) & (uv > -0.5).all(1) & (uv[:, 0] < width - 0.5) & (uv[:, 1] < height - 0.5)
                assert inside.double().mean() > 0.15
                assert not torch.equal(batch.images[b, k], batch.images[b, -1])


def test_impossible_windows_are_refused(clips: ClipSet) -> None:
    strict = RelocSampler(clips, WindowConfig(batch_size=1, min_overlap=1.1), FrameCount(4, 4))
    with pytest.raises(ValueError, match="no windows"):
        strict.batch(0)


# ------------------------------------------------------------------------------------------------ step


@pytest.mark.parametrize("kind", [MaskKind.STAR, MaskKind.CACHEABLE])
def test_steps_lower_the_loss(kind: MaskKind) -> None:
    config = RelocConfig(mask=kind, tuned=("aggregator", "camera_head"), hidden=64)
    network = build_reloc(base_network(MATCHING), config)
    network.set_trained(Stage.ALL)
    step = RelocTrainingStep(network.train(), noise=CLEAN)
    batch = windows(4)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=2e-3)
    losses = []
    for _ in range(12):
        loss, parts = step(batch, 0, 0.5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    assert set(parts.to_floats()) == {"translation", "quaternion", "field_of_view", "angle", "database"}


def test_a_step_follows_from_its_number() -> None:
    step = RelocTrainingStep(build_reloc(base_network(), RelocConfig(inject_every_block=True)))
    with torch.no_grad():
        step.model.adapter.entry.weight.normal_(generator=generator())
    a, b, c = (float(step(windows(5), n)[0].detach()) for n in (1, 1, 2))
    assert a == b != c


# ------------------------------------------------------------------------------------------------ recipe


def test_recipe_file() -> None:
    recipe = read_yaml(Path(__file__).parents[3] / "configs" / "reloc.yaml", RelocRecipe())
    config = recipe.adapter.to_config()
    assert config.mask is MaskKind.STAR
    assert stage_of(recipe.phase_at(0)[0]) is Stage.ADAPTER
    assert stage_of(recipe.phase_at(recipe.n_steps - 1)[0]) is Stage.ALL
    assert recipe.learning_rate(recipe.n_steps - 1) == pytest.approx(1e-5)
    assert {phase.n_frames for phase in recipe.phases} == {7}
    assert config.tuned[-1] == "camera_head"


def test_recipe_of_the_successor() -> None:
    folder = Path(__file__).parents[3] / "configs"
    recipe = read_yaml(folder / "reloc-s2.yaml", RelocRecipe())
    base = read_yaml(folder / "vggt-s2-cpu.yaml", Recipe())
    assert recipe.init == base.model
    for same in ("seed", "clip_height", "clip_width", "kinds", "sizes", "n_clips"):
        assert getattr(recipe.data, same) == getattr(base.data, same), "the clips of the base network serve"
    assert [stage_of(recipe.phase_at(i)[0]) for i in (0, recipe.n_steps - 1)] == [Stage.ADAPTER, Stage.ALL]
    assert {phase.n_frames for phase in recipe.phases} == {6}


def test_recipe_of_the_large_network() -> None:
    recipe = read_yaml(Path(__file__).parents[3] / "configs" / "reloc-1b-gpu.yaml", RelocRecipe())
    assert recipe.adapter.to_config().lora_rank == 32
    assert all(height % 14 == 0 and width % 14 == 0 for height, width, _ in recipe.data.sizes)
    assert recipe.data.clip_height >= max(size[0] for size in recipe.data.sizes)
    assert [stage_of(recipe.phase_at(i)[0]) for i in (0, recipe.n_steps - 1)] == [Stage.ADAPTER, Stage.ALL]


def test_recipe_refuses_what_does_not_exist() -> None:
    with pytest.raises(ConfigError, match="unknown stage 'decoder'"):
        RelocPhase(stage="decoder")
    with pytest.raises(ConfigError, match="least_frames"):
        RelocPhase(n_frames=3, least_frames=4)
    with pytest.raises(ConfigError, match="unknown mask 'round'"):
        AdapterSettings(mask="round").to_config()
    assert AdapterSettings(lora_rank=4).to_config().lora_rank == 4
    assert TINY.matching is None
