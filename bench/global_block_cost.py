"""Time and arithmetic of the global blocks against the number of frames: dense, sparse, and one cached query.

FLOPs (2 per multiply-add) are counted on a block without data, so they are exact for any size. Times are those of one
block of random weights, times the number of blocks.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.compiled import compile_blocks
from bench.reloc_cache import query_block
from vgslam.network.config import VggtConfig
from vgslam.network.frame_mask import FrameMask
from vgslam.network.initialise import initialise
from vgslam.network.layers import Block, Linear, RopeTable
from vgslam.network.tables import rope_table


class Variant(StrEnum):
    """DENSE: every frame sees every frame. STAR: the sparse mask. CACHED: one query beside a database's keys and
    values, which are not counted."""

    DENSE = "dense"
    STAR = "star"
    CACHED = "cached"


@dataclass(frozen=True)
class CostRow:
    """All global blocks for `frames` frames, query included. time_s is None if it was not measured."""

    variant: Variant
    frames: int
    flops: int
    time_s: float | None = None


@dataclass(frozen=True)
class CostCase:
    """A network and the conditions under which it is timed."""

    config: VggtConfig
    height_px: int  # height of the images
    width_px: int  # width of the images
    device: torch.device
    dtype: torch.dtype = torch.float32  # dtype of the linear layers
    is_compiled: bool = False  # whether elementwise work is fused (`compile_blocks`)


def count_flops(config: VggtConfig, size: tuple[int, int], frames: int, variant: Variant) -> int:
    """FLOPs of all global blocks for images of `size` (height, width) px."""
    block = _block(config, torch.device("meta"), torch.float32)
    run = _run(block, config, size, frames, variant)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops()) * config.aggregator.depth


@torch.no_grad()
def measure_time_s(case: CostCase, frames: int, variant: Variant, repeats: int = 3) -> float:
    """Wall time of all global blocks: the least of the repeats, to which other work on the machine adds; one run more
    warms up."""
    block = _block(case.config, case.device, case.dtype)
    if case.is_compiled:
        compile_blocks(block)
    run = _run(block, case.config, (case.height_px, case.width_px), frames, variant)
    run()
    times = []
    for _ in range(repeats):
        _wait(case.device)
        start = time.perf_counter()
        run()
        _wait(case.device)
        times.append(time.perf_counter() - start)
    return min(times) * case.config.aggregator.depth


def cost_table(case: CostCase, frames: Sequence[int], repeats: int = 3, is_timed: bool = True) -> list[CostRow]:
    """Rows for every variant and number of frames. ConfigError for sizes that are no multiples of the patch size."""
    size = (case.height_px, case.width_px)
    return [
        CostRow(
            variant, n, count_flops(case.config, size, n, variant),
            measure_time_s(case, n, variant, repeats) if is_timed else None,
        )
        for variant in Variant
        for n in frames
    ]  # fmt: skip


@dataclass(frozen=True)
class CostSummary:
    """The cost of one variant, in FLOPs and in time."""

    variant: Variant
    flops_slope: float  # slope of log FLOPs against log frames
    flops_ratio: float  # FLOPs relative to dense at the largest number of frames
    time_slope: float | None  # slope of log time against log frames
    time_ratio: float | None  # time relative to dense at the largest number of frames


def summarise(rows: Sequence[CostRow]) -> list[CostSummary]:
    """One summary for each variant of a table with at least two numbers of frames, dense among the variants."""
    by_variant = {v: sorted((r for r in rows if r.variant is v), key=lambda r: r.frames) for v in Variant}
    dense = by_variant[Variant.DENSE][-1]
    out = []
    for variant, own in by_variant.items():
        n = [r.frames for r in own]
        times = [r.time_s for r in own if r.time_s is not None]
        has_times = len(times) == len(own) and dense.time_s is not None
        out.append(
            CostSummary(
                variant, log_slope(n, [r.flops for r in own]), own[-1].flops / dense.flops,
                log_slope(n, times) if has_times else None,
                times[-1] / dense.time_s if has_times and dense.time_s else None,
            )
        )
    return out


def log_slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Slope of the straight line through (log x, log y)."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def _block(config: VggtConfig, device: torch.device, dtype: torch.dtype) -> Block:
    c = config.aggregator
    with torch.device(device):
        block = Block(config.width, c.n_heads, c.mlp_ratio, c.layer_scale, qk_norm=True).requires_grad_(False)
    if device.type != "meta":
        initialise(block, 0)
    for module in block.modules():
        if isinstance(module, Linear):
            module.weight, module.bias = (nn.Parameter(p.to(dtype), False) for p in (module.weight, module.bias))
    return block


def _run(
    block: Block, config: VggtConfig, size: tuple[int, int], frames: int, variant: Variant
) -> Callable[[], object]:
    """One global block on random tokens, ready to be run."""
    device, dtype = block.norm1.weight.device, block.attn.qkv.weight.dtype
    head_dim = config.width // config.aggregator.n_heads
    rope = rope_table(
        config.patches(*size), config.n_special, head_dim, config.aggregator.rope_base, device, torch.float32
    )
    tokens = config.tokens_per_frame(*size)
    if variant is Variant.CACHED:
        shape = (1, config.aggregator.n_heads, frames - 1, tokens, head_dim)
        keys, values = (torch.randn(shape, device=device).to(dtype) for _ in range(2))
        x = torch.randn(1, 1, tokens, config.width, device=device)
        return partial(query_block, block, x, rope, (keys, values))
    mask = FrameMask.star(frames) if variant is Variant.STAR else None
    x = torch.randn(1, frames, tokens, config.width, device=device)
    return partial(_update, block, x, rope, mask)


def _update(block: Block, x: Tensor, rope: RopeTable, mask: FrameMask | None) -> None:
    chunk = x.shape[1] if x.device.type == "meta" else max(1, 8192 // x.shape[2])
    block.update_scene_(x, rope, mask, chunk)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
