"""Windows for relocalization: an anchor, other database frames in any order, and a query that overlaps with all."""

from dataclasses import dataclass, replace

import numpy as np

from vgslam_train.data.clips import Clip, ClipSet
from vgslam_train.data.windows import WindowBatch, WindowConfig, WindowSampler

_BEST_ANCHOR_SHARE = 0.5
"""How often the anchor is the view most like the query, as retrieval would choose it; else it is any of them."""


@dataclass(frozen=True)
class FrameCount:
    """Frames of a window, anchor and query among them: drawn evenly from least..most for every batch."""

    least: int = 2
    most: int = 8


class RelocSampler:
    """Implements `loop.Batches`: batch(step) follows from the seed and the step alone.

    `config.min_overlap` is the share of the query that each database frame sees, `config.max_flow` the largest median
    flow between them; `config.n_frames` is not used.
    """

    def __init__(self, clips: ClipSet, config: WindowConfig, count: FrameCount) -> None:
        self._clips, self.config, self.count = clips, config, count

    def batch(self, step: int) -> WindowBatch:
        """ValueError when the clips hold no such windows."""
        rng = np.random.default_rng([self.config.seed, step, 1])
        n = int(rng.integers(self.count.least, self.count.most + 1))
        return _AroundQuery(self._clips, replace(self.config, n_frames=n)).batch(step)


class _AroundQuery(WindowSampler):
    def _choose(self, clip: Clip, rng: np.random.Generator) -> list[int] | None:
        c = self.config
        query = int(rng.integers(len(clip.images)))
        seen = clip.overlap[query] >= c.min_overlap
        near = clip.flow_px[query] <= c.max_flow * clip.images.shape[2]
        candidates = np.setdiff1d(np.flatnonzero(seen & near), [query])
        if len(candidates) < c.n_frames - 1:
            return None
        chosen = rng.permutation(candidates)[: c.n_frames - 1]
        if rng.random() < _BEST_ANCHOR_SHARE:
            best = int(clip.overlap[query, chosen].argmax())
            chosen[[0, best]] = chosen[[best, 0]]
        return [*(int(k) for k in chosen), query]
