"""Behaviour of the whole network: symmetries, laziness, memory, devices, errors."""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vgslam.errors import ConfigError
from vgslam.network.aggregator import Chunks
from vgslam.network.config import VGGT_1B, DptConfig, VggtConfig
from vgslam.network.vggt import PUBLISHED_HEADS, Head, Vggt, VggtOutput, build, skeleton

EXACT = {"rtol": 0, "atol": 1e-9}


def tensors(out: VggtOutput) -> dict[str, torch.Tensor]:
    """All results by name."""
    found = {
        "depth": out.depth, "depth_confidence": out.depth_confidence, "points": out.points,
        "points_confidence": out.points_confidence,
    }  # fmt: skip
    if out.pose_encodings:
        found["pose"] = torch.stack(out.pose_encodings, dim=-1)
    if out.tracks:
        found["tracks"] = torch.stack(out.tracks.positions, dim=-1)
        found["visibility"], found["track_confidence"] = out.tracks.visibility, out.tracks.confidence
    return {name: value for name, value in found.items() if value is not None}


def assert_same(a: VggtOutput, b: VggtOutput, **tolerance: float) -> None:
    left, right = tensors(a), tensors(b)
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(left[name], right[name], **(tolerance or EXACT), msg=lambda m, n=name: f"{n}: {m}")


@torch.no_grad()
def test_batch_of_two_equals_two_runs(model: Vggt, images, queries) -> None:
    both = torch.cat([images, images.flip(1).flip(-1)])
    points = torch.cat([queries, queries.flip(1) + 1])
    together = tensors(model(both, PUBLISHED_HEADS, points))
    for i in range(2):
        alone = tensors(model(both[i : i + 1], PUBLISHED_HEADS, points[i : i + 1]))
        for name, value in alone.items():
            torch.testing.assert_close(together[name][i : i + 1], value, **EXACT, msg=lambda m, n=name: f"{n}: {m}")


@torch.no_grad()
def test_permuting_later_frames_permutes_the_results(model: Vggt, images, queries) -> None:
    frames = torch.cat([images, images.flip(-1)[:, 1:]], dim=1)
    order = [0, 3, 1, 4, 2]
    plain = tensors(model(frames, PUBLISHED_HEADS, queries))
    permuted = tensors(model(frames[:, order], PUBLISHED_HEADS, queries))
    for name, value in plain.items():
        torch.testing.assert_close(permuted[name], value[:, order], **EXACT, msg=lambda m, n=name: f"{n}: {m}")


@torch.no_grad()
def test_first_frame_is_special(model: Vggt, images) -> None:
    """Moving frame 0 is no mere permutation: it takes other learned tokens."""
    swapped = model(images[:, [1, 0, 2]], {Head.POSE}).pose_encoding
    plain = model(images, {Head.POSE}).pose_encoding
    assert (swapped[:, [1, 0, 2]] - plain).abs().max() > 1e-3


@torch.no_grad()
def test_single_frame(model: Vggt, images, queries) -> None:
    out = model(images[:, :1], PUBLISHED_HEADS, queries)
    torch.testing.assert_close(out.tracks.positions[-1][:, 0], queries)
    assert out.depth.shape == (1, 1, 40, 56)


@torch.no_grad()
def test_tracks_start_at_the_queries_exactly(model: Vggt, images, queries) -> None:
    for positions in model(images, {Head.TRACKS}, queries[0]).tracks.positions:
        assert torch.equal(positions[:, 0], queries)


@torch.no_grad()
@pytest.mark.parametrize("want", [{Head.POSE}, {Head.DEPTH}, {Head.POINTS, Head.POSE}, {Head.TRACKS}])
def test_only_the_wanted_heads_run(model: Vggt, images, queries, want, monkeypatch) -> None:
    ran = set()
    modules = {Head.POSE: model.camera_head, Head.DEPTH: model.depth_head, Head.POINTS: model.point_head,
               Head.TRACKS: model.track_head}  # fmt: skip
    hooks = [m.register_forward_hook(lambda *_, h=head: ran.add(h)) for head, m in modules.items()]
    out = model(images, want, queries)
    for hook in hooks:
        hook.remove()
    assert ran == want
    assert (out.pose_encodings is not None, out.depth is not None, out.points is not None, out.tracks is not None) == (
        Head.POSE in want, Head.DEPTH in want, Head.POINTS in want, Head.TRACKS in want
    )  # fmt: skip


@torch.no_grad()
def test_only_the_layers_that_heads_read_are_kept(images) -> None:
    dense = DptConfig(8, (8, 8, 8, 8), (0, 2, 2, 5), hidden=8)
    config = VggtConfig(
        image_size=56, patch_size=8, width=16, n_registers=1, camera=replace(VGGT_1B.camera, depth=1, n_heads=2),
        encoder=replace(VGGT_1B.encoder, depth=1, n_heads=2, grid=7),
        aggregator=replace(VGGT_1B.aggregator, depth=8, n_heads=2), depth=dense, points=dense, track=None,
    )  # fmt: skip
    network = build(config, seed=0).double()
    assert set(network.encode(images, {Head.DEPTH}).layers) == {0, 2, 5}
    poses_only = network.encode(images, {Head.POSE})
    assert poses_only.layers == {}
    assert poses_only.special.shape == (1, 3, 2, 32)
    assert poses_only.special.untyped_storage().nbytes() == poses_only.special.numel() * 8
    assert network.heads == {Head.POSE, Head.DEPTH, Head.POINTS}


def test_1b_keeps_four_of_its_layers() -> None:
    assert skeleton(VGGT_1B).layers_read(PUBLISHED_HEADS) == {4, 11, 17, 23}


@torch.no_grad()
def test_dense_heads_work_in_chunks(model: Vggt, images) -> None:
    passes: list[int] = []
    hook = model.depth_head.scratch.output_conv1.register_forward_hook(lambda _m, _i, out: passes.append(len(out)))
    chunked = model(images, {Head.DEPTH}, chunks=Chunks(dpt_frames=2))
    hook.remove()
    assert passes == [2, 1]
    assert_same(chunked, model(images, {Head.DEPTH}, chunks=Chunks(dpt_frames=99)))


@torch.no_grad()
def test_token_chunks_do_not_change_the_numbers(model: Vggt, images, queries) -> None:
    whole = model(images, PUBLISHED_HEADS, queries, chunks=Chunks(tokens=10**9))
    assert_same(model(images, PUBLISHED_HEADS, queries, chunks=Chunks(tokens=1)), whole)


def test_inference_equals_training_mode(model: Vggt, images, queries) -> None:
    """The in-place, chunked path and the one that records gradients are the same function."""
    with torch.no_grad():
        lean = model(images, PUBLISHED_HEADS, queries)
    recorded = model(images, PUBLISHED_HEADS, queries)
    assert recorded.depth.requires_grad
    for name, value in tensors(recorded).items():
        torch.testing.assert_close(value.detach(), tensors(lean)[name], **EXACT)


def test_gradients_reach_every_parameter_that_is_used(fresh_model: Vggt, images, queries) -> None:
    out = fresh_model(images, PUBLISHED_HEADS, queries)
    sum(value.sum() for value in tensors(out).values()).backward()
    without = {name for name, p in fresh_model.named_parameters() if p.grad is None or not p.grad.abs().any()}
    assert without == {"aggregator.patch_embed.mask_token"}


def test_images_are_left_alone(model: Vggt, images) -> None:
    before = images.clone()
    with torch.inference_mode():
        model(images, {Head.POSE, Head.DEPTH})
    assert torch.equal(images, before)


def test_tables_made_in_inference_serve_training(golden_tool) -> None:
    """A table that was first made in inference mode must not poison autograd later."""
    network = golden_tool.golden_model()
    odd = torch.rand(1, 2, 3, 48, 88, dtype=torch.float64)
    with torch.inference_mode():
        network(odd, {Head.DEPTH})
    network(odd, {Head.DEPTH}).depth.sum().backward()
    assert network.aggregator.camera_token.grad is not None


class _Transfers(TorchDispatchMode):
    """Counts operations that read a number back to the host, or that change the device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = str(func)
        if "_local_scalar_dense" in name or "aten.nonzero" in name or "aten.is_nonzero" in name:
            self.found.append(name)
        devices = {t.device for t in (*args, out) if isinstance(t, torch.Tensor)}
        if len(devices) > 1 or ("_to_copy" in name and kwargs.get("device") not in (None, *devices)):
            self.found.append(name)
        return out


def test_no_hidden_transfer_or_synchronisation(golden_tool, images, queries) -> None:
    """On the meta device a read-back raises and a stray CPU tensor shows up as an operation on two devices."""
    network = golden_tool.golden_model().to("meta")
    on_device, points = images.to("meta"), queries.to("meta")
    with torch.no_grad():
        network(on_device, PUBLISHED_HEADS, points)  # makes the tables
        with _Transfers() as transfers:
            out = network(on_device, PUBLISHED_HEADS, points)
    assert transfers.found == []
    assert out.points.shape == (1, 3, 40, 56, 3)
    assert out.points.is_meta


@pytest.mark.parametrize("shape", [(1, 2, 3, 41, 56), (1, 2, 3, 40, 50), (2, 3, 40, 56), (1, 2, 4, 40, 56)])
def test_bad_image_sizes_are_refused(model: Vggt, shape) -> None:
    with pytest.raises(ConfigError, match=r"multiples of 8|images must be"):
        model(torch.zeros(shape, dtype=torch.float64), {Head.POSE})


def test_absent_head_and_missing_queries_are_refused(model: Vggt, images) -> None:
    with pytest.raises(ConfigError, match="query points"), torch.no_grad():
        model(images, {Head.TRACKS})
    poor = skeleton(replace(model.config, track=None, points=None))
    with pytest.raises(ConfigError, match="no head for points, tracks"):
        poor(images, {Head.POINTS, Head.TRACKS})


def test_descriptors_do_not_depend_on_the_window(model: Vggt, images) -> None:
    with torch.no_grad():
        window = model.encode(images, {Head.POSE}).descriptor
        alone = model.encode(images[:, 2:], {Head.POSE}).descriptor
    torch.testing.assert_close(window[:, 2:], alone, **EXACT)
    torch.testing.assert_close(window.norm(dim=-1), torch.ones(1, 3, dtype=torch.float64))
    assert (window[0, 0] @ window[0, 1]) < 1 - 1e-6


def test_random_weights_follow_the_seed(golden_tool) -> None:
    a, b, c = (build(golden_tool.golden_config(), seed) for seed in (3, 3, 4))
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters()))
    assert not torch.equal(a.aggregator.camera_token, c.aggregator.camera_token)
