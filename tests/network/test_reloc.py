"""The relocalization network (tests R1-R8, R16 of its specification), at width 64 and depth 2, in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reloc_cases import HEIGHT, MATCHING, TINY, WIDTH, base_network, frames, intrinsics, poses, told, trained

from vgslam.errors import ConfigError
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.multiview.reference_lift import direct_pose
from vgslam.network.config import MatchingConfig, VggtConfig
from vgslam.network.frame_mask import FrameMask
from vgslam.network.pose_encoding import decode_intrinsics, decode_pose, quaternion_from_rotation
from vgslam.network.reloc.config import Injection, MaskKind, MatchOrder, RelocConfig, frame_mask, head_mask
from vgslam.network.reloc.known_poses import KnownPoses, known_poses
from vgslam.network.reloc.network import (
    PoseTokenizer,
    RelocAdapter,
    RelocNetwork,
    Stage,
    build_reloc,
    canonical_quaternion,
    second_references,
)
from vgslam.network.vggt import Head, build

CONFIGS = pytest.mark.parametrize("config", [TINY, MATCHING], ids=["attention", "matching"])


def reordered(known: KnownPoses, order: list[int]) -> KnownPoses:
    return replace(known, encoding=known.encoding[:, order], has_pose=known.has_pose[:, order])


# ------------------------------------------------------------------------------------------------ R1


def test_tokenizer_sizes_and_values() -> None:
    tokenizer = PoseTokenizer(RelocConfig(), 64).double()
    assert tokenizer.n_features == 60 + 32 + 16 + 9
    encoding = torch.tensor([[0.25, 0, 0, 0, 0, 0, 1, 0.5, 0.75]], dtype=torch.float64)
    features = tokenizer.features(encoding)
    assert features.shape == (1, 117)
    assert features[0, :3].tolist() == pytest.approx([np.sin(np.pi / 4), 1.0, 0.0], abs=1e-12)  # l = 0, 1, 2
    assert features[0, 10:13].tolist() == pytest.approx([np.cos(np.pi / 4), 0.0, -1.0], abs=1e-12)
    assert torch.equal(features[0, -9:], encoding[0])
    assert tokenizer(encoding).shape == (1, 64)


def test_raw_values_tell_apart_what_repeats() -> None:
    """Translations that differ by a period have the same Fourier features and other tokens."""
    tokenizer = PoseTokenizer(RelocConfig(), 64).double()
    a = torch.tensor([0.3, 0, 0, 0, 0, 0, 1, 0.5, 0.75], dtype=torch.float64)
    b = a.clone()
    b[0] += 2
    torch.testing.assert_close(tokenizer.features(a)[:60], tokenizer.features(b)[:60], atol=1e-9, rtol=0)
    assert (tokenizer(a) - tokenizer(b)).abs().max() > 1e-3


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([-1.0, -0.3, 0.0, 0.2, 0.9]), min_size=4, max_size=4).filter(any))
def test_quaternions_of_both_signs_give_one_token(q: list[float]) -> None:
    tokenizer = PoseTokenizer(RelocConfig(), 64).double()
    encoding = torch.tensor([0.1, -0.2, 0.3, *q, 0.5, 0.75], dtype=torch.float64)
    other = encoding.clone()
    other[3:7] = -other[3:7]
    assert torch.equal(tokenizer(encoding), tokenizer(other))
    assert torch.equal(canonical_quaternion(encoding[3:7]).abs(), encoding[3:7].abs())


def test_field_of_view_round_trip_after_crop_and_resize() -> None:
    """Intrinsics of 640x480 images reduced to 40x30, of which 32 rows are shown by padding: K -> token -> K."""
    K = torch.tensor([[500.0 / 16, 0, 19.5], [0, 500.0 / 15, 15.5], [0, 0, 1]], dtype=torch.float64)
    known = known_poses(poses(3), K.expand(1, 3, 3, 3), (HEIGHT, WIDTH))
    assert known.encoding[0, 0, 8].item() == pytest.approx(2 * np.arctan(40 / 2 / (500 / 16)), rel=1e-12)
    back = decode_intrinsics(known.encoding, (HEIGHT, WIDTH))
    torch.testing.assert_close(back[0, 0, (0, 1), (0, 1)], K[(0, 1), (0, 1)], rtol=1e-9, atol=0)


def test_learned_frequencies_start_as_fixed_ones_and_have_a_gradient() -> None:
    config = RelocConfig(learned_frequencies=True)
    learned, fixed = RelocAdapter(config, 64, 2), RelocAdapter(RelocConfig(), 64, 2)
    learned.reset(0, torch.zeros(64))
    fixed.reset(0, torch.zeros(64))
    encoding = told(3).encoding.float()
    torch.testing.assert_close(learned.tokenizer.features(encoding), fixed.tokenizer.features(encoding))
    learned.tokenizer(encoding).sum().backward()
    assert learned.tokenizer.rotation.octaves.grad.abs().sum() > 0


# ------------------------------------------------------------------------------------------------ R2


@pytest.mark.parametrize("n", [2, 3, 4, 8, 33, 80])
def test_masks(n: int) -> None:
    star, cacheable = frame_mask(MaskKind.STAR, n), frame_mask(MaskKind.CACHEABLE, n)
    assert star.n_cells == (5 * n - 6 if n > 2 else 4)
    assert np.array_equal(star.allow, star.allow.T)
    assert star.is_dense == (n <= 3)
    assert not cacheable.allow[:-1, -1].any()
    assert np.array_equal(cacheable.allow[-1], star.allow[-1])
    assert np.array_equal(cacheable.allow[:-1, :-1], star.allow[:-1, :-1])
    assert head_mask(MaskKind.STAR, n) is None
    assert not head_mask(MaskKind.CACHEABLE, n).allow[:-1, -1].any()


# ------------------------------------------------------------------------------------------------ R4, R5


def mixed_tokens(network: RelocNetwork, images: torch.Tensor, n_blocks: int) -> torch.Tensor:
    """Camera tokens after the global blocks of a network cut to n_blocks."""
    seen: list[torch.Tensor] = []
    block = network.vggt.aggregator.global_blocks[n_blocks - 1]
    handle = block.register_forward_hook(lambda _, __, out: seen.append(out.detach().clone()))
    network(images, told(images.shape[1] - 1))
    handle.remove()
    return seen[0][0]


@pytest.mark.parametrize("config", [TINY, MATCHING], ids=["attention", "matching"])
def test_middle_frames_are_isolated_for_one_block(config: VggtConfig) -> None:
    network = trained(build_reloc(base_network(config), RelocConfig()))
    images, n = frames(6), 6
    changed = images.clone()
    changed[:, 2] = 1 - changed[:, 2]
    before, after = (mixed_tokens(network, x, 1) for x in (images, changed))
    same = [torch.equal(before[i], after[i]) for i in range(n)]
    assert same == [False, True, False, True, True, False]
    before, after = (mixed_tokens(network, x, 2) for x in (images, changed))
    assert not any(torch.equal(before[i], after[i]) for i in range(n))


@torch.no_grad()
@CONFIGS
def test_order_of_middle_frames_does_not_matter(config: VggtConfig) -> None:
    """Permuted database, same query pose; the ablations' masks fail, which shows that the test can."""
    order = [0, 3, 1, 4, 2]
    images, known = frames(6), told(5)
    base = base_network(config)
    change = {}
    for kind in MaskKind:
        network = trained(build_reloc(base, RelocConfig(mask=kind)))
        a = network(images, known)[-1]
        b = network(images[:, [*order, 5]], reordered(known, order))[-1]
        change[kind] = float((a[:, [*order, 5]] - b).abs().max())
    for kind in (MaskKind.STAR, MaskKind.DENSE, MaskKind.CACHEABLE):
        assert change[kind] < 1e-5
    for kind in (MaskKind.DILATED, MaskKind.CAUSAL):
        assert change[kind] > 1e-2


@torch.no_grad()
def test_the_anchor_is_no_frame_like_others() -> None:
    network = trained(build_reloc(base_network(), RelocConfig()))
    images, known = frames(5), told(4)
    order = [1, 0, 2, 3]
    swapped = network(images[:, [*order, 4]], known_poses(poses(4)[:, order], intrinsics(4), (HEIGHT, WIDTH)))[-1]
    assert (swapped[:, -1] - network(images, known)[-1][:, -1]).abs().max() > 1e-3


# ------------------------------------------------------------------------------------------------ R6, R16


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), s=st.sampled_from([0.01, 1.0, 3.7, 200.0]))
def test_inputs_do_not_depend_on_the_gauge(seed: int, s: float) -> None:
    rng = np.random.default_rng(seed)
    S = Sim3(se3.so3_exp(rng.normal(0, 2, 3)), s * rng.normal(0, 3, 3), s)
    T = poses(6, seed)
    moved = torch.from_numpy(np.stack([S.compose_pose(x.numpy()) for x in T[0]]))[None]
    a, b = (known_poses(x, intrinsics(6), (HEIGHT, WIDTH)) for x in (T, moved))
    torch.testing.assert_close(a.encoding, b.encoding, rtol=0, atol=1e-11)
    torch.testing.assert_close(b.scale, s * a.scale, rtol=1e-12, atol=0)


@torch.no_grad()
def test_answer_moves_with_the_world() -> None:
    """Any similarity of the database's world moves the query's metric pose with it; twice the baselines, twice the
    offset from the anchor."""
    network = trained(build_reloc(base_network(), RelocConfig()))
    images, T = frames(5), poses(4)[0].numpy()
    rng = np.random.default_rng(8)

    def located(S: Sim3) -> np.ndarray:
        moved = np.stack([S.compose_pose(x) for x in T])
        known = known_poses(torch.from_numpy(moved)[None], intrinsics(4), (HEIGHT, WIDTH))
        T_query_anchor = decode_pose(network(images, known)[-1][0, -1]).numpy()
        return direct_pose(T_query_anchor, float(known.scale), moved[0])

    plain = located(Sim3.identity())
    S = Sim3(se3.so3_exp(rng.normal(0, 2, 3)), rng.normal(0, 9, 3), 3.7)
    np.testing.assert_allclose(located(S), S.compose_pose(plain), atol=1e-8)
    twice = located(Sim3(np.eye(3), np.zeros(3), 2.0))
    np.testing.assert_allclose(twice[:3, 3] - 2 * T[0, :3, 3], 2 * (plain[:3, 3] - T[0, :3, 3]), atol=1e-8)


def test_scale_of_known_poses() -> None:
    """The median distance from the anchor; one far view does not change it much; translations are cut off."""
    T = torch.eye(4, dtype=torch.float64).repeat(1, 5, 1, 1)
    T[0, :, 0, 3] = torch.tensor([0.0, 1, 2, 3, 1000])
    known = known_poses(T, intrinsics(5), (HEIGHT, WIDTH))
    assert known.scale.item() == pytest.approx(2.5)
    assert known.encoding[0, :, 0].tolist() == pytest.approx([0, -0.4, -0.8, -1.2, -8.0])
    assert not known.is_scale_unobservable.item()


@pytest.mark.parametrize("n", [1, 4])
def test_unobservable_scale_is_flagged(n: int) -> None:
    T = torch.eye(4, dtype=torch.float64).repeat(1, n, 1, 1)
    T[..., 0, 3] = 5.0
    known = known_poses(T, intrinsics(n), (HEIGHT, WIDTH))
    assert known.is_scale_unobservable.item()
    assert known.scale.item() == 1
    assert torch.isfinite(known.encoding).all()


def test_bad_known_poses_are_refused() -> None:
    with pytest.raises(ConfigError, match="as many intrinsics"):
        known_poses(poses(4), intrinsics(3), (HEIGHT, WIDTH))
    with pytest.raises(ConfigError, match="finite"):
        known_poses(poses(4) * torch.nan, intrinsics(4), (HEIGHT, WIDTH))
    network = build_reloc(base_network(), RelocConfig())
    with pytest.raises(ConfigError, match="need the poses of 3"):
        network(frames(4), told(4))


# ------------------------------------------------------------------------------------------------ R7, R8


@CONFIGS
@pytest.mark.parametrize("every_block", [False, True])
def test_untrained_residual_adapter_changes_no_bit(config: VggtConfig, every_block: bool) -> None:
    base = base_network(config)
    reloc = RelocConfig(mask=MaskKind.DENSE, match_order=MatchOrder.VIDEO, inject_every_block=every_block)
    network = build_reloc(base, reloc)
    images, known = frames(5), told(4)
    with torch.no_grad():
        plain = base(images, {Head.POSE}).pose_encodings
        for ours, theirs in zip(network(images, known), plain, strict=True):
            assert torch.equal(ours, theirs)
    for ours, theirs in zip(network(images, known), base(images, {Head.POSE}).pose_encodings, strict=True):
        assert torch.equal(ours, theirs)


@torch.no_grad()
@pytest.mark.parametrize(
    "reloc",
    [RelocConfig(), RelocConfig(injection=Injection.REPLACE), RelocConfig(inject_every_block=True)],
    ids=["residual", "replace", "every block"],
)
def test_poses_and_only_told_ones_reach_the_answer(reloc: RelocConfig) -> None:
    network = trained(build_reloc(base_network(), reloc))
    images, known = frames(5), told(4)
    other = told(4, seed=9)
    hidden = torch.ones(1, 4, dtype=torch.bool)
    assert (network(images, known)[-1] - network(images, other)[-1])[:, -1].abs().max() > 1e-3
    assert torch.equal(network(images, known.without(hidden))[-1], network(images, other.without(hidden))[-1])
    part = torch.tensor([[False, False, True, False]])
    mixed = replace(known, encoding=torch.where(part[..., None], other.encoding, known.encoding))
    assert torch.equal(network(images, known.without(part))[-1], network(images, mixed.without(part))[-1])


@torch.no_grad()
def test_injection_in_every_block_does_more() -> None:
    """With the first entry at zero the poses come in between the blocks."""
    network = trained(build_reloc(base_network(), RelocConfig(inject_every_block=True)))
    network.adapter.entry.weight.zero_()
    network.adapter.entry.bias.zero_()
    images = frames(5)
    assert (network(images, told(4))[-1] - network(images, told(4, 9))[-1]).abs().max() > 1e-3


@CONFIGS
@pytest.mark.parametrize("kind", list(MaskKind))
def test_inference_equals_training_mode(config: VggtConfig, kind: MaskKind) -> None:
    network = trained(build_reloc(base_network(config), RelocConfig(mask=kind, inject_every_block=True)))
    images, known = frames(5), told(4)
    kept = images.clone()
    recorded = network(images, known)[-1]
    with torch.no_grad():
        torch.testing.assert_close(network(images, known)[-1], recorded.detach(), rtol=0, atol=1e-10)
    assert torch.equal(images, kept)


def test_batches_are_independent_scenes() -> None:
    network = trained(build_reloc(base_network(MATCHING), RelocConfig()))
    one, two = told(4), told(4, 5)
    both = KnownPoses(*(torch.cat([getattr(k, f) for k in (one, two)]) for f in vars(one)))
    images = torch.cat([frames(5), frames(5, 6)])
    with torch.no_grad():
        together = network(images, both)[-1]
        torch.testing.assert_close(together[:1], network(images[:1], one)[-1], rtol=0, atol=1e-10)
        torch.testing.assert_close(together[1:], network(images[1:], two)[-1], rtol=0, atol=1e-10)


# ------------------------------------------------------------------------------------------------ what is compared


def test_what_frames_are_compared_with() -> None:
    """Query: its most similar view but the anchor. Database: the query, or the anchor where it may not see it."""
    descriptors = torch.eye(5)[None].clone()
    descriptors[0, -1] = torch.tensor([0.9, 0.1, 0.8, 0.3, 0.0])
    assert second_references(descriptors, MaskKind.STAR, MatchOrder.RETRIEVAL).tolist() == [[0, 4, 4, 4, 2]]
    assert second_references(descriptors, MaskKind.CACHEABLE, MatchOrder.RETRIEVAL).tolist() == [[0, 0, 0, 0, 2]]
    assert second_references(descriptors, MaskKind.STAR, MatchOrder.VIDEO).tolist() == [[0, 0, 1, 2, 3]]
    assert second_references(descriptors[:, -2:], MaskKind.STAR, MatchOrder.RETRIEVAL).tolist() == [[0, 0]]


# ------------------------------------------------------------------------------------------------ sharing, stages


def test_base_network_is_shared_and_left_as_it_is() -> None:
    base = base_network()
    before = {k: v.clone() for k, v in base.state_dict().items()}
    trainable = [p.requires_grad for p in base.parameters()]
    network = build_reloc(base, RelocConfig(tuned=("camera_head",)))
    own = dict(network.vggt.named_parameters())
    for name, p in base.named_parameters():
        assert (own[name].data_ptr() == p.data_ptr()) == (not name.startswith("camera_head"))
    network.set_trained(Stage.ALL)
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network(frames(3), told(2))[-1].square().sum().backward()
    optimizer.step()
    assert all(torch.equal(before[k], v) for k, v in base.state_dict().items())
    assert [p.requires_grad for p in base.parameters()] == trainable
    assert any(not torch.equal(before[k], v) for k, v in network.vggt.state_dict().items())


def test_stages_train_what_they_say() -> None:
    for config, expected in (
        (RelocConfig(), set()),
        (RelocConfig(tuned=("aggregator.global_blocks", "camera_head")), {"aggregator", "camera_head"}),
        (RelocConfig(lora_rank=2), {"aggregator", "camera_head"}),
    ):
        network = build_reloc(base_network(), config)
        assert {n.partition(".")[0] for n, p in network.named_parameters() if p.requires_grad} == {"adapter"}
        network.set_trained(Stage.ALL)
        names = {n for n, p in network.named_parameters() if p.requires_grad}
        assert all(n.startswith("adapter.") for n in names - {n for n in names if n.startswith("vggt.")})
        assert {n.split(".")[1] for n in names if n.startswith("vggt.")} == expected
        assert not any("patch_embed" in n for n in names)
        network.set_trained(Stage.ADAPTER)
        assert all(n.startswith("adapter.") == p.requires_grad for n, p in network.named_parameters())


@pytest.mark.parametrize("reloc", [RelocConfig(), RelocConfig(lora_rank=2)], ids=["plain", "lora"])
def test_every_trained_part_of_the_adapter_gets_a_gradient(reloc: RelocConfig) -> None:
    network = build_reloc(base_network(), replace(reloc, inject_every_block=True))
    network.set_trained(Stage.ALL)
    network(frames(4), told(3))[-1][:, -1].sum().backward()
    for name, p in network.named_parameters():
        starts_at_zero = name.startswith("adapter.tokenizer") or name.endswith("lora_A")  # behind a layer that is zero
        if p.requires_grad and not starts_at_zero:
            assert p.grad is not None, name
            assert p.grad.abs().sum() > 0, name


def test_contradictions_are_refused() -> None:
    with pytest.raises(ConfigError, match="no parameter of the network begins with 'camara_head'"):
        build_reloc(base_network(), RelocConfig(tuned=("camara_head",)))
    with pytest.raises(ConfigError, match="camera head"):
        build_reloc(build(replace(TINY, camera=None, matching=MatchingConfig(features=8)), 0), RelocConfig())
    with pytest.raises(ConfigError, match="residual"):
        RelocConfig(injection=Injection.REPLACE, inject_every_block=True)
    with pytest.raises(ConfigError, match="unknown mask 'round'"):
        RelocConfig(mask="round")
    with pytest.raises(ConfigError, match="not both"):
        RelocConfig(tuned=("camera_head",), lora_rank=4)
    with pytest.raises(ConfigError, match="positive"):
        RelocConfig(hidden=0)


def test_custom_mask_takes_the_place_of_the_configured_one() -> None:
    network = trained(build_reloc(base_network(), RelocConfig(mask=MaskKind.STAR)))
    dense = trained(build_reloc(base_network(), RelocConfig(mask=MaskKind.DENSE)))
    images, known = frames(5), told(4)
    with torch.no_grad():
        ours = network(images, known, FrameMask.dense(5))[-1]
        assert torch.equal(ours, dense(images, known)[-1])
        assert (ours - network(images, known)[-1]).abs().max() > 1e-3


def test_rotation_half_a_turn_stays_finite() -> None:
    T = poses(3).clone()
    T[0, 1, :3, :3] = T[0, 0, :3, :3] @ torch.from_numpy(se3.so3_exp(np.array([0, np.pi, 0])))
    known = known_poses(T, intrinsics(3), (HEIGHT, WIDTH))
    assert known.encoding[0, 1, 6].abs() < 1e-9
    torch.testing.assert_close(quaternion_from_rotation(decode_pose(known.encoding)[0, 1, :3, :3]).norm(),
                               torch.tensor(1.0, dtype=torch.float64))  # fmt: skip
