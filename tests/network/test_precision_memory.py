"""Half precision, devices, and the memory budget."""

from dataclasses import replace

import pytest
import torch

from bench.live_memory import LiveMemory
from vgslam.byte_size import format_size, parse_size
from vgslam.errors import ConfigError
from vgslam.network.aggregator import Chunks
from vgslam.network.config import VGGT_1B, VggtConfig
from vgslam.network.memory import (
    VggtWorkload,
    available_bytes,
    plan_memory,
)
from vgslam.network.precision import Precision, choose_device, choose_dtype, compute_dtype, set_precision
from vgslam.network.vggt import Head, Vggt, skeleton

DENSE = frozenset({Head.POSE, Head.DEPTH, Head.POINTS})


@pytest.fixture(scope="module")
def single(golden_tool) -> Vggt:
    return golden_tool.golden_model().float()


@torch.no_grad()
def test_bf16_weights_equal_autocast(golden_tool, images) -> None:
    """Storing the linear layers in bf16 computes what autocast computes from float32, up to the rounding of the norms
    (which CPU autocast also rounds to bf16, and we do not)."""
    x = images.float()
    exact = golden_tool.golden_model().float().encode(x, {Head.DEPTH}).layers[3]
    lean = golden_tool.golden_model().float()
    set_precision(lean, torch.bfloat16)
    ours = lean.encode(x, {Head.DEPTH}, chunks=Chunks(cache_dtype=torch.float32)).layers[3]
    with torch.autocast("cpu", torch.bfloat16):
        autocast = golden_tool.golden_model().float().encode(x, {Head.DEPTH}).layers[3]
    assert ours.dtype == torch.float32
    own_error, its_error = (ours - exact).abs().mean(), (autocast - exact).abs().mean()
    assert 1e-5 < own_error < 1.2 * its_error


@torch.no_grad()
def test_bf16_stays_close_and_heads_stay_float32(golden_tool, images) -> None:
    model = golden_tool.golden_model().float()
    exact = model(images.float(), DENSE)
    set_precision(model, torch.bfloat16)
    assert compute_dtype(model) is torch.bfloat16
    half = model(images.float(), DENSE)
    assert model.encode(images.float(), DENSE).layers[2].dtype is torch.bfloat16, "as the linear layers"
    assert {p.dtype for n, p in model.named_parameters() if "head" in n} == {torch.float32}
    assert {p.dtype for n, p in model.named_parameters() if "norm" in n or "gamma" in n} == {torch.float32}
    for a, b, tolerance in ((half.depth, exact.depth, 0.1), (half.pose_encoding, exact.pose_encoding, 0.2)):
        assert a.dtype is torch.float32
        assert 0 < (a - b).abs().max() < tolerance * b.abs().max()


@torch.no_grad()
def test_bf16_cache_halves_the_kept_layers(single: Vggt, images) -> None:
    chunks = Chunks(cache_dtype=torch.bfloat16)
    assert single.encode(images.float(), {Head.DEPTH}).layers[2].dtype is torch.float32
    whole, half = (single.encode(images.float(), {Head.DEPTH}, chunks=c) for c in (Chunks(), chunks))
    assert half.layers[2].dtype is torch.bfloat16
    assert half.special.dtype is torch.float32, "camera tokens are few and decide the poses"
    assert torch.equal(half.special, whole.special)
    depth = single.decode(half, {Head.DEPTH}).depth
    exact = single.decode(whole, {Head.DEPTH}).depth
    assert 0 < (depth - exact).abs().max() < 0.05 * exact.abs().max()


def test_devices_and_precisions() -> None:
    cpu = torch.device("cpu")
    assert choose_device("cpu") == cpu
    assert choose_dtype(Precision.AUTO, cpu) is torch.float32
    assert choose_dtype(Precision.BF16, cpu) is torch.bfloat16
    with pytest.raises(ConfigError, match="fp16 is not for the CPU"):
        choose_dtype(Precision.FP16, cpu)
    with pytest.raises(ConfigError, match="unknown device 'gpu'"):
        choose_device("gpu")
    with pytest.raises(ConfigError, match="not supported"):
        choose_device("meta")
    with pytest.raises(ConfigError, match="CUDA devices here"):
        choose_device(f"cuda:{torch.cuda.device_count()}")


def test_older_gpus_take_fp16(monkeypatch) -> None:
    cuda = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert choose_dtype(Precision.AUTO, cuda) is torch.float16
    with pytest.raises(ConfigError, match="no bf16"):
        choose_dtype(Precision.BF16, cuda)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert choose_dtype(Precision.AUTO, cuda) is torch.bfloat16


@pytest.mark.parametrize(
    ("text", "n"),
    [("8GiB", 8 * 2**30), ("500 MB", 500 * 10**6), ("6g", 6 * 10**9), ("123", 123), ("1.5gib", int(1.5 * 2**30))],
)
def test_sizes(text: str, n: int) -> None:
    assert parse_size(text) == n


@pytest.mark.parametrize("text", ["", "eight", "-1GB", "0", "8TBx"])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(ConfigError, match="amount of memory"):
        parse_size(text)


def test_available_memory() -> None:
    free = available_bytes(torch.device("cpu"))
    assert free is None or free > 10**6
    assert format_size(3 * 2**30) == "3.00 GiB"


def measured_bytes(config: VggtConfig, frames: int, size: tuple[int, int], chunks: Chunks, dtype: torch.dtype) -> int:
    """Peak of the tensors of one pass, on the meta device."""
    model = skeleton(config)
    set_precision(model, dtype)
    images = torch.empty(1, frames, 3, *size, device="meta")
    with torch.no_grad(), LiveMemory([*model.parameters(), images]) as memory:
        model(images, DENSE, chunks=chunks)
    return memory.peak_bytes


def workload(config: VggtConfig, size: tuple[int, int], dtype: torch.dtype) -> VggtWorkload:
    model = skeleton(config)
    set_precision(model, dtype)
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    return VggtWorkload(config, *size, dtype, weights, DENSE)


SHALLOW = replace(
    VGGT_1B, track=None, encoder=replace(VGGT_1B.encoder, depth=1), aggregator=replace(VGGT_1B.aggregator, depth=4),
    depth=replace(VGGT_1B.depth, layers=(0, 1, 2, 3)), points=replace(VGGT_1B.points, layers=(0, 1, 2, 3)),
)  # fmt: skip
"""Width and heads of VGGT-1B, a sixth of its depth: the same memory beside the weights."""


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("frames", "size", "chunks"),
    [(2, (392, 518), Chunks(1041, 1)), (6, (392, 518), Chunks()), (24, (154, 518), Chunks(4096, 2, torch.bfloat16))],
)
def test_estimate_agrees_with_the_tensors_that_live(frames, size, chunks, dtype) -> None:
    work = workload(SHALLOW, size, dtype)
    beside = measured_bytes(SHALLOW, frames, size, chunks, dtype) - work.weights_bytes
    estimated = work.bytes_needed(frames, chunks) - 1.1 * work.weights_bytes
    assert beside < estimated < 1.5 * beside


def test_estimate_grows_with_frames() -> None:
    work = workload(SHALLOW, (392, 518), torch.float32)
    values = [work.bytes_needed(n, Chunks()) for n in range(1, 40)]
    assert values == sorted(values)


def test_plan_shrinks_chunks_before_frames() -> None:
    work = workload(VGGT_1B, (392, 518), torch.bfloat16)
    plans = [plan_memory(work, gib * 2**30, wanted_frames=24) for gib in (4, 5, 8, 32)]
    assert all(p.estimated_bytes <= p.budget_bytes for p in plans)
    assert [p.max_frames for p in plans] == sorted(p.max_frames for p in plans)
    assert plans[0].max_frames < 24
    assert plans[-1].max_frames == 24
    assert plans[-1].chunks.tokens >= plans[0].chunks.tokens
    assert plans[-1].chunks.cache_dtype is None


def test_too_small_a_budget_names_the_one_that_would_do() -> None:
    work = workload(VGGT_1B, (392, 518), torch.float32)
    with pytest.raises(ConfigError, match=r"2\.00 GiB are too little: this network needs (\d+\.\d+) GiB for 2 frames"):
        plan_memory(work, 2 * 2**30, wanted_frames=8)


def test_live_memory_counts_what_lives() -> None:
    with LiveMemory() as memory:
        a = torch.zeros(1000)
        b = a + 1
        del a
        c = b[:10] + b[10:20]
    assert memory.peak_bytes == 8000
    assert memory.live_bytes == 4040
    del b, c
    assert memory.live_bytes == 0


def test_kept_layers_are_a_sixth_of_the_original() -> None:
    """S = 100, 518x392, float32: 3.4 GB of tokens instead of 20.5 GB."""
    work = workload(VGGT_1B, (392, 518), torch.bfloat16)
    kept = 100 * work.tokens * VGGT_1B.token_width * 4 * work.kept_layers
    assert kept == pytest.approx(3.4e9, rel=0.01)
