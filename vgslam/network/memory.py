"""A memory budget: how many frames fit, and how much may be computed at once, so that it runs instead of failing."""

import math
from dataclasses import dataclass
from typing import Any

import torch

from vgslam.byte_size import format_size, free_bytes
from vgslam.errors import ConfigError
from vgslam.network.aggregator import Chunks
from vgslam.network.config import VggtConfig
from vgslam.network.vggt import Head

MARGIN = 1.1  # allocators round up and kernels need scratch space: estimates are multiplied by this
_UNBOUNDED = 2**60


def available_bytes(device: torch.device) -> int | None:
    """Memory that can still be allocated on a device; None if that is not known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_bytes()


def memory_budget(asked_bytes: int | None, device: torch.device, weights_bytes: int) -> int:
    """Budget for weights, which are there already, and tensors: what was asked for, or most of what is free."""
    if asked_bytes is not None:
        return asked_bytes
    free = available_bytes(device)
    return _UNBOUNDED if free is None else int(0.9 * free) + weights_bytes


@dataclass(frozen=True)
class Workload:
    """A pass of a network whose memory is estimated."""

    config: Any  # Hyper-parameters of the network
    height_px: int  # height of the images
    width_px: int
    dtype: torch.dtype  # dtype of the transformer's linear layers
    weights_bytes: int

    @property
    def tokens(self) -> int:
        """Tokens per frame."""
        return int(self.config.tokens_per_frame(self.height_px, self.width_px))

    def bytes_needed(self, frames: int, chunks: Chunks) -> int:
        """Peak memory of weights and tensors of one pass over `frames` frames in inference; grows with `frames`
        (`LiveMemory` in the tests)."""
        raise NotImplementedError

    def _images(self, frames: int) -> int:
        """Bytes of the images."""
        return frames * 3 * self.height_px * self.width_px * 4

    def _kept(self, frames: int, chunks: Chunks, n_layers: int) -> int:
        """Bytes of the layers that are kept for heads."""
        size = (chunks.cache_dtype or self.dtype).itemsize
        return int(frames * self.tokens * self.config.token_width * size * n_layers)

    def _wide(self, frames: int, chunks: Chunks, mlp_ratio: float) -> int:
        """Bytes of the widest moment of a block, for the tokens that go through it together."""
        half, tokens = self.dtype.itemsize, self._chunk_tokens(frames, chunks)
        return int(tokens * self.config.width * max(3 * half + 24, 4 + 2 * mlp_ratio * half + half))

    def _chunk_tokens(self, frames: int, chunks: Chunks) -> int:
        return min(frames, chunks.frames(self.tokens)) * self.tokens


@dataclass(frozen=True)
class VggtWorkload(Workload):
    """A pass of VGGT. The widest places are the end of the patch encoder, the last global block, and the last pass of a
    dense head."""

    config: VggtConfig
    heads: frozenset[Head]  # the heads to be run

    @property
    def kept_layers(self) -> int:
        dense = {Head.DEPTH: self.config.depth, Head.POINTS: self.config.points, Head.TRACKS: self.config.track}
        return len({i for head, d in dense.items() if head in self.heads and d is not None for i in d.layers})

    def bytes_needed(self, frames: int, chunks: Chunks) -> int:
        c, tokens = self.config, frames * self.tokens
        stream, kept = tokens * c.width * 4, self._kept(frames, chunks, self.kept_layers)
        wide = self._wide(frames, chunks, c.aggregator.mlp_ratio)
        encoder = 2 * stream + 2 * self._chunk_tokens(frames, chunks) * c.width * 4 + wide
        blocks = stream + kept + 3 * tokens * c.width * self.dtype.itemsize + wide
        decoding = kept + self._heads_bytes(frames, chunks)
        return int(MARGIN * (self.weights_bytes + self._images(frames) + max(encoder, blocks, decoding)))

    def _heads_bytes(self, frames: int, chunks: Chunks) -> int:
        """Results of the dense heads and the widest moment of one pass."""
        c, pixels = self.config, self.height_px * self.width_px
        patches = self.tokens - c.n_special
        dense = [(d, channels) for head, d, channels in ((Head.DEPTH, c.depth, 2), (Head.POINTS, c.points, 4))
                 if head in self.heads and d is not None]  # fmt: skip
        results = frames * pixels * 4 * sum(channels for _, channels in dense)
        widest = max((4 * d.features // 2 * (pixels + 64 * patches) for d, _ in dense), default=0)
        if Head.TRACKS in self.heads and c.track is not None:
            maps = pixels // c.track.stride**2 * c.track.features * 4
            results += int(frames * maps * 4 / 3)
            widest = max(widest, 2 * maps + 64 * patches * c.track.features * 4)
        return results + min(frames, chunks.dpt_frames) * int(widest * 1.05)


@dataclass(frozen=True)
class MemoryPlan:
    """max_frames of a window, the chunks to compute it in, and what that is estimated to take."""

    max_frames: int
    chunks: Chunks
    estimated_bytes: int
    budget_bytes: int


def plan_memory(work: Workload, budget_bytes: int, wanted_frames: int, at_least: int = 2) -> MemoryPlan:
    """The roomiest chunks with which `wanted_frames` fit into the budget, else as many frames as fit at all.
    ConfigError if not even `at_least` frames fit; it names the budget that would do."""
    best: MemoryPlan | None = None
    for chunks in _from_roomy_to_tight(work.tokens):
        frames = min(wanted_frames, _largest_window(work, budget_bytes, chunks, wanted_frames))
        if frames >= at_least and (best is None or frames > best.max_frames):
            best = MemoryPlan(frames, chunks, work.bytes_needed(frames, chunks), budget_bytes)
        if best is not None and best.max_frames >= wanted_frames:
            break
    if best is None:
        least = work.bytes_needed(at_least, _from_roomy_to_tight(work.tokens)[-1])
        raise ConfigError(
            f"{format_size(budget_bytes)} are too little: this network needs {format_size(least)} for {at_least} "
            f"frames of {work.width_px}x{work.height_px} px; use bf16, smaller images, fewer heads or a smaller network"
        )
    return best


def _from_roomy_to_tight(tokens_per_frame: int) -> list[Chunks]:
    roomy = [Chunks(tokens, frames) for tokens, frames in ((32768, 8), (8192, 4), (4096, 2))]
    tight = Chunks(tokens_per_frame, 1)
    return [*roomy, tight, Chunks(tokens_per_frame, 1, torch.bfloat16)]


def _largest_window(work: Workload, budget_bytes: int, chunks: Chunks, limit: int) -> int:
    """Largest number of frames up to `limit` whose estimate is within the budget (0: none); the estimate grows."""
    low, high = 0, limit
    while low < high:
        middle = math.ceil((low + high) / 2)
        if work.bytes_needed(middle, chunks) <= budget_bytes:
            low = middle
        else:
            high = middle - 1
    return low
