"""The aggregator's memory against the number of frames: measured where it fits, then by a line and by counting."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bench.network_profile import AGGREGATOR, ProfileCase, ProfileRow, live_bytes
from vgslam.network.aggregator import Chunks
from vgslam.network.config import VggtConfig
from vgslam.network.precision import set_precision
from vgslam.network.vggt import Head, skeleton

ORIGINAL_GB = {1: 1.88, 8: 3.23, 20: 5.58, 100: 21.15, 200: 40.63}
"""The original aggregator's memory in 10^9 bytes by frames, bf16 on an H100, as its authors publish it (README
of the VGGT repository); the size of their images is not stated there."""


@dataclass(frozen=True)
class MemoryPoint:
    """Bytes that the aggregator takes for a number of frames, with its weights and without the heads'. None if not
    known."""

    precision: str
    frames: int
    measured_bytes: int | None  # weights and what a run added
    extrapolated_bytes: int | None  # the line through the measured ones
    counted_bytes: int  # the tensors that live at one time (`LiveMemory`)
    original_bytes: int | None  # the original's, linear between published ones


def aggregator_memory(
    config: VggtConfig, rows: Sequence[ProfileRow], frames: Collection[int], want: Collection[Head], chunks: Chunks,
    is_original_size: bool,
) -> list[MemoryPoint]:  # fmt: skip
    """One point for each measured number of frames and each further one in `frames`.

    rows: of one precision and mask; those of other stages are passed over. is_original_size: whether the network and
    its precision are those of the published figures.
    """
    stage = [r for r in rows if r.stage == AGGREGATOR]
    dtype = getattr(torch, stage[0].precision)
    aggregator, others = _weights(config, dtype)
    measured = {r.frames: aggregator + r.added_bytes for r in stage if r.added_bytes is not None}
    line = np.polyfit(list(measured), list(measured.values()), 1) if len(measured) >= 2 else None
    points = []
    beyond: int | None = None
    for n in sorted({r.frames for r in stage} | set(frames)):
        case = ProfileCase(n, stage[0].height_px, stage[0].width_px, stage[0].mask, chunks)
        counted = live_bytes(config, case, want, dtype)[AGGREGATOR] - others
        if line is not None:
            beyond = round(float(np.polyval(line, n)))
        points.append(MemoryPoint(
            stage[0].precision, n, measured.get(n), beyond, counted,
            original_bytes(n) if is_original_size else None,
        ))  # fmt: skip
    return points


def original_bytes(frames: int) -> int | None:
    """The original's memory, linear between the published numbers of frames; None outside of them."""
    known = np.array(list(ORIGINAL_GB))
    if not known[0] <= frames <= known[-1]:
        return None
    return round(float(np.interp(frames, known, list(ORIGINAL_GB.values()))) * 1e9)


def _weights(config: VggtConfig, dtype: torch.dtype) -> tuple[int, int]:
    """Bytes of the aggregator's weights, and of all others."""
    model = skeleton(config)
    set_precision(model, dtype)
    aggregator = sum(p.numel() * p.element_size() for p in model.aggregator.parameters())
    return aggregator, sum(p.numel() * p.element_size() for p in model.parameters()) - aggregator
