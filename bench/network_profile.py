"""Time, memory and arithmetic of the network against the number of frames: what `python -m bench model` prints.

Time is measured. Peak memory is measured on CUDA and otherwise the sum of the tensors that live at one time
(`LiveMemory`); what a stage adds to what was there before is measured on CUDA and Linux.
FLOPs (2 per multiply-add; matrix products, attention and convolutions only) are counted by torch's FlopCounterMode on
a network without data, so they are exact for any size.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench.live_memory import LiveMemory
from bench.resident_memory import peak_resident_bytes, reset_peak, resident_bytes
from vgslam.network.aggregator import Chunks, Encoded
from vgslam.network.config import VggtConfig
from vgslam.network.frame_mask import FrameMask
from vgslam.network.precision import compute_dtype, set_precision
from vgslam.network.vggt import Head, Vggt, skeleton

AGGREGATOR = "aggregator"
MASKS = {"dense": FrameMask.dense, "star": FrameMask.star}
_N_QUERIES = 64
Run = Callable[[], object]
T = TypeVar("T")


@dataclass(frozen=True)
class ProfileCase:
    """One combination to measure. mask is a key of `MASKS`."""

    frames: int
    height_px: int
    width_px: int
    mask: str = "dense"
    chunks: Chunks = field(default_factory=Chunks)

    @property
    def frame_mask(self) -> FrameMask | None:
        return None if self.mask == "dense" else MASKS[self.mask](self.frames)


@dataclass(frozen=True)
class ProfileRow:
    """One stage ('aggregator' or a head's name) of one case."""

    device: str
    precision: str
    mask: str
    frames: int
    height_px: int
    width_px: int
    stage: str
    time_s: float
    """Median wall time."""
    cpu_s: float
    """Processor time of one run."""
    peak_bytes: int
    """Includes weights and inputs."""
    is_memory_measured: bool
    """Whether memory was measured or summed (see the module)."""
    flops: int
    added_bytes: int | None = None
    """How far the stage's peak lay above what was held before it; None if it cannot be measured."""
    process_bytes: int | None = None
    """The process's resident peak during the stage; None if it cannot be measured."""

    @property
    def time_per_frame_s(self) -> float:
        return self.time_s / self.frames


def profile(
    model: Vggt, cases: Sequence[ProfileCase], want: Collection[Head], repeats: int = 3, warm_up: bool = True
) -> Iterator[ProfileRow]:
    """Rows for every case and stage, as they are measured; one run of each stage warms up and is not counted.

    Without `warm_up` and with one repeat each stage runs once, which is for networks that take minutes.
    """
    device, dtype = model.aggregator.camera_token.device, compute_dtype(model)
    for case in cases:
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(1, case.frames, 3, case.height_px, case.width_px, generator=generator)
        images = images.to(device, model.aggregator.camera_token.dtype)
        flops = count_flops(model.config, case, want)
        live = {} if device.type == "cuda" else live_bytes(model.config, case, want, dtype)
        runs = _Stage(model, images, case, want)
        for stage, m in _each_stage(runs, want, partial(measure, device=device, repeats=repeats, warm_up=warm_up)):
            peak = live.get(stage, 0) if m.cuda_peak_bytes is None else m.cuda_peak_bytes
            yield ProfileRow(
                str(device), str(dtype).removeprefix("torch."), case.mask, case.frames, case.height_px, case.width_px,
                stage, m.time_s, m.cpu_s, peak, m.cuda_peak_bytes is not None, flops[stage], m.added_bytes,
                m.process_bytes,
            )  # fmt: skip


class _Stage:
    """One stage of one case, to be run several times."""

    def __init__(self, model: Vggt, images: Tensor, case: ProfileCase, want: Collection[Head]) -> None:
        self.model, self.images, self.case, self.want = model, images, case, want

    @torch.no_grad()
    def encode(self) -> Encoded:
        return self.model.encode(self.images, self.want, self.case.frame_mask, self.case.chunks)

    @torch.no_grad()
    def decode(self, encoded: Encoded, head: Head) -> None:
        spread = torch.linspace(0.1, 0.9, _N_QUERIES, device=self.images.device, dtype=self.images.dtype)
        size = self.images.new_tensor([self.case.width_px, self.case.height_px])
        self.model.decode(encoded, {head}, spread[:, None] * size, self.case.chunks)


def _each_stage(
    stage: _Stage, want: Collection[Head], measure: Callable[[Run], tuple[T, object]]
) -> Iterator[tuple[str, T]]:
    """The result of `measure` for each stage in order; `measure` runs it and also returns the last run's result."""
    measured, encoded = measure(stage.encode)
    yield AGGREGATOR, measured
    assert isinstance(encoded, Encoded)
    for head in sorted(want):
        yield str(head), measure(partial(stage.decode, encoded, head))[0]


@dataclass(frozen=True)
class Measured:
    """Median wall time, mean processor time, memory as in `ProfileRow`."""

    time_s: float
    cpu_s: float
    cuda_peak_bytes: int | None
    added_bytes: int | None
    process_bytes: int | None


def measure(run: Run, device: torch.device, repeats: int, warm_up: bool) -> tuple[Measured, object]:
    """Time and memory of `run`, and what its last run returned."""
    is_cuda = device.type == "cuda"
    if warm_up:
        run()
    can_reset = reset_peak()
    held = torch.cuda.memory_allocated(device) if is_cuda else resident_bytes()
    if is_cuda:
        torch.cuda.reset_peak_memory_stats(device)
    walls, cpu_start = [], time.process_time()
    result = None
    for _ in range(repeats):
        result = None  # before the next one is made
        if is_cuda:
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        result = run()
        if is_cuda:
            torch.cuda.synchronize(device)
        walls.append(time.perf_counter() - start)
    cpu_s = (time.process_time() - cpu_start) / repeats
    peak = torch.cuda.max_memory_allocated(device) if is_cuda else None
    process = peak_resident_bytes()
    top = peak if is_cuda else (process if can_reset and device.type == "cpu" else None)
    added = top - held if top is not None and held is not None else None
    return Measured(sorted(walls)[len(walls) // 2], cpu_s, peak, added, process), result


def count_flops(config: VggtConfig, case: ProfileCase, want: Collection[Head]) -> dict[str, int]:
    """FLOPs of each stage, exact, without running it."""
    roomy = ProfileCase(case.frames, case.height_px, case.width_px, case.mask, Chunks(2**40, case.frames))
    model = skeleton(config).requires_grad_(False)
    return dict(_each_stage(_Stage(model, _images_on_meta(case), roomy, want), want, _count))


def _count(run: Run) -> tuple[int, object]:
    with FlopCounterMode(display=False) as counter:
        result = run()
    return int(counter.get_total_flops()), result


def live_bytes(
    config: VggtConfig, case: ProfileCase, want: Collection[Head], dtype: torch.dtype
) -> dict[str, int]:
    """Peak bytes of weights and tensors of each stage, without running it: also for networks that do not fit here."""
    model = skeleton(config)
    set_precision(model, dtype)
    images = _images_on_meta(case)
    stage = _Stage(model, images, case, want)
    with LiveMemory([*model.parameters(), images]) as memory:
        encoded = stage.encode()
    peaks = {AGGREGATOR: memory.peak_bytes}
    for head in sorted(want):
        with LiveMemory([*model.parameters(), images, encoded.special, *encoded.layers.values()]) as memory:
            stage.decode(encoded, head)
        peaks[str(head)] = memory.peak_bytes
    return peaks


def _images_on_meta(case: ProfileCase) -> Tensor:
    return torch.empty(1, case.frames, 3, case.height_px, case.width_px, device="meta")
