"""What `bench model` reports: exact FLOPs, memory, and that the star mask is linear in frames."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench.live_memory import LiveMemory
from bench.network_profile import AGGREGATOR, ProfileCase, count_flops, live_bytes, profile
from vgslam.network.aggregator import Chunks
from vgslam.network.config import VGGT_1B, VGGT_TINY
from vgslam.network.vggt import Head, Vggt


def formula_aggregator(tokens: int, patches: int, frames: int, cells: int) -> float:
    """FLOPs of VGGT-1B's aggregator by hand: patch encoder, frame blocks, global blocks with `cells` frame pairs."""
    c = 1024
    encoder = frames * (1176 * c * patches + 24 * (24 * c**2 * tokens + 4 * tokens**2 * c))
    frame_blocks = frames * 24 * (24 * c**2 * tokens + 4 * tokens**2 * c)
    global_blocks = 24 * (24 * c**2 * tokens * frames + 4 * tokens**2 * c * cells)
    return encoder + frame_blocks + global_blocks


@pytest.mark.parametrize(("frames", "mask"), [(6, "dense"), (6, "star")])
def test_aggregator_flops_equal_the_formula(frames: int, mask: str) -> None:
    cells = frames**2 if mask == "dense" else 5 * frames - 6
    flops = count_flops(VGGT_1B, ProfileCase(frames, 154, 518, mask), {Head.POSE})
    assert flops[AGGREGATOR] == formula_aggregator(1 + 4 + 11 * 37, 11 * 37, frames, cells)
    d = 2048
    assert flops["pose"] == 4 * frames * (18 * d + 6 * d**2 + 4 * (24 * d**2 + 4 * frames * d) + d**2 + 9 * d)


def test_counted_without_data_equals_counted_with_data(model: Vggt, images) -> None:
    case, want = ProfileCase(3, 40, 56), {Head.POSE, Head.DEPTH}
    counted = count_flops(model.config, case, want)
    frozen = model.requires_grad_(False)
    # torch's fused CPU attention is not in the counter's list, the plain one is
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        frozen(images, want)
    model.requires_grad_(True)
    assert counter.get_total_flops() == sum(counted.values())


def test_star_is_linear_in_frames() -> None:
    """Second differences vanish, where dense attention has a quadratic part."""
    flops = {
        mask: [count_flops(VGGT_TINY, ProfileCase(n, 56, 70, mask), set())[AGGREGATOR] for n in (4, 5, 6)]
        for mask in ("star", "dense")
    }
    curvature = {mask: a - 2 * b + c for mask, (a, b, c) in flops.items()}
    assert curvature["star"] == 0
    assert curvature["dense"] == 4 * 2 * 4 * 48 * (1 + 4 + 4 * 5) ** 2


def test_live_bytes_shrink_with_chunks(model: Vggt) -> None:
    want = {Head.DEPTH}
    roomy, tight = (
        live_bytes(model.config, ProfileCase(12, 40, 56, chunks=chunks), want, torch.float32)
        for chunks in (Chunks(10**6, 12), Chunks(1, 1))
    )
    weights = 4 * sum(p.numel() for p in model.parameters())
    assert tight[AGGREGATOR] - weights < 0.7 * (roomy[AGGREGATOR] - weights)
    assert tight["depth"] - weights < 0.4 * (roomy["depth"] - weights)


def test_rows(golden_tool) -> None:
    model = golden_tool.golden_model().float()
    cases = [ProfileCase(2, 40, 56), ProfileCase(5, 40, 56, "star")]
    rows = list(profile(model, cases, {Head.DEPTH, Head.TRACKS}, repeats=1))
    assert [(r.frames, r.mask, r.stage) for r in rows] == [
        (n, mask, stage) for n, mask in ((2, "dense"), (5, "star")) for stage in (AGGREGATOR, "depth", "tracks")
    ]
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    for row in rows:
        assert (row.device, row.precision) == ("cpu", "float32")
        assert row.time_s > 0
        assert row.time_per_frame_s == row.time_s / row.frames
        assert row.flops > 0
        assert weights < row.peak_bytes < 20 * weights
        assert not row.is_memory_measured


@torch.no_grad()
def test_memory_without_data_equals_memory_with_data(golden_tool, images) -> None:
    model = golden_tool.golden_model().float()
    x = images.float()
    with LiveMemory([*model.parameters(), x]) as memory:
        model.encode(x, {Head.DEPTH})
    expected = live_bytes(model.config, ProfileCase(3, 40, 56), {Head.DEPTH}, torch.float32)[AGGREGATOR]
    weights = 4 * sum(p.numel() for p in model.parameters())
    assert memory.peak_bytes - weights == pytest.approx(expected - weights, rel=0.05)
