"""Memory of a pass of Depth-Anything-3."""

from dataclasses import dataclass

import torch

from vgslam.network.aggregator import Chunks
from vgslam.network.da3.config import Da3Config
from vgslam.network.memory import MARGIN

_N_DENSE = 4
"""Blocks that the dense head reads."""


@dataclass(frozen=True)
class Da3Workload:
    """A pass of the network with poses and depth. Implements `network.memory.Estimate`."""

    config: Da3Config
    height_px: int
    width_px: int
    dtype: torch.dtype
    """Dtype of the transformer's linear layers."""
    weights_bytes: int
    has_rays: bool

    @property
    def tokens(self) -> int:
        """Tokens per view."""
        return self.config.tokens_per_frame(self.height_px, self.width_px)

    def bytes_needed(self, frames: int, chunks: Chunks) -> int:
        """Peak of weights and tensors: the last block across views, or a pass of the dense head (`LiveMemory` in the
        tests)."""
        c, half = self.config, self.dtype.itemsize
        cache = (chunks.cache_dtype or self.dtype).itemsize
        tokens = frames * self.tokens
        chunk_tokens = min(frames, chunks.frames(self.tokens)) * self.tokens
        images = frames * 3 * self.height_px * self.width_px * 4
        stream = tokens * c.width * 4
        kept = tokens * c.token_width * cache * _N_DENSE
        wide = chunk_tokens * c.width * max(3 * half + 24, 4 + 2 * c.mlp_ratio * half + half)
        joining = tokens * c.width * (4 + 3 * cache)
        blocks = 2 * stream + kept + max(3 * tokens * c.width * half + wide, joining)
        return int(MARGIN * (self.weights_bytes + images + max(blocks, kept + self._head_bytes(frames, chunks))))

    def _head_bytes(self, frames: int, chunks: Chunks) -> int:
        """Results of the dense head and the widest moment of one pass."""
        pixels, patches, dense = self.height_px * self.width_px, self.tokens - 1, self.config.dense
        f = dense.features
        results = frames * pixels * 4 * 2
        resizing = f // 2 * (pixels + 64 * patches) + 2 * f * 16 * patches
        convolving = (f // 2 + dense.hidden + 4) * pixels
        widest = 4 * max(resizing, convolving)
        if self.has_rays:
            results += results + 2 * frames * 64 * patches * 4 * 7
            widest += 4 * f * 24 * patches
        return results + min(frames, chunks.dpt_frames) * widest
