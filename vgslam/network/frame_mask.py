"""Frame-level attention masks: which frame may attend to which, computed with dense attention calls.

A cell (i, j) stands for all tokens of frame i (queries) against all of frame j (keys). Rows with the same keys share a
call, and classes of the same shape are stacked along the batch, so that exactly the allowed cells are computed. The
star of Reloc-VGGT (arXiv 2512.21883, "masked") takes two calls and 5N-6 cells.
"""

import time
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

Bool = npt.NDArray[np.bool_]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RowGroup:
    """G classes of R query frames that share K key frames each."""

    rows: Index  # (G,R): indices of the query frames
    keys: Index  # (G,K): indices of the key frames


class FrameMask:
    """Which frames see which. Immutable and hashable."""

    allow: Bool
    """(N,N): whether the queries of frame i, the row, see the keys of frame j."""

    def __init__(self, allow: npt.ArrayLike) -> None:
        """Raises ValueError unless `allow` is square with at least one allowed key in each row."""
        array = np.array(allow, dtype=bool)
        if array.ndim != 2 or array.shape[0] != array.shape[1] or not len(array):
            raise ValueError(f"frame mask must be square and not empty, got shape {array.shape}")
        if not array.any(axis=1).all():
            raise ValueError(f"frame mask: frame {int(np.argmin(array.any(axis=1)))} may attend to no frame")
        array.setflags(write=False)
        self.allow = array

    @staticmethod
    def dense(n: int) -> "FrameMask":
        """Every frame sees every frame."""
        return FrameMask(np.ones((n, n), bool))

    @staticmethod
    def star(n: int) -> "FrameMask":
        """First (anchor) and last (query) frame see and are seen by all, the others also themselves (5n-6 cells)."""
        allow = np.eye(n, dtype=bool)
        allow[[0, -1], :] = True
        allow[:, [0, -1]] = True
        return FrameMask(allow)

    @staticmethod
    def dilated(n: int) -> "FrameMask":
        """The star, and frames of the same parity see each other."""
        parity = np.arange(n) % 2
        same = (parity[:, None] == parity[None, :])
        return FrameMask(FrameMask.star(n).allow | same)

    @staticmethod
    def causal(n: int) -> "FrameMask":
        """Each frame sees itself and the frames before it."""
        return FrameMask(np.tri(n, dtype=bool))

    @property
    def n_frames(self) -> int:
        return len(self.allow)

    @property
    def n_cells(self) -> int:
        """Allowed cells: the cost of attention relative to N^2 for dense."""
        return int(self.allow.sum())

    @property
    def is_dense(self) -> bool:
        return bool(self.allow.all())

    @cached_property
    def groups(self) -> tuple[RowGroup, ...]:
        """The dense attention calls that compute exactly the allowed cells."""
        classes: dict[bytes, list[int]] = {}
        for i, row in enumerate(self.allow):
            classes.setdefault(row.tobytes(), []).append(i)
        shapes: dict[tuple[int, int], list[tuple[list[int], Index]]] = {}
        for rows in classes.values():
            keys = np.flatnonzero(self.allow[rows[0]])
            shapes.setdefault((len(rows), len(keys)), []).append((rows, keys))
        return tuple(
            RowGroup(np.array([rows for rows, _ in group], np.int64), np.array([keys for _, keys in group], np.int64))
            for group in shapes.values()
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FrameMask) and np.array_equal(self.allow, other.allow)

    def __hash__(self) -> int:
        return hash((len(self.allow), self.allow.tobytes()))


class MaskBackend(StrEnum):
    """GROUPED: dense calls on the groups of `FrameMask`. FLEX: FlexAttention, on CUDA. AUTO: what was measured faster
    there for a shape in half precision, and GROUPED elsewhere."""

    GROUPED = "grouped"
    FLEX = "flex"
    AUTO = "auto"


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: FrameMask | None = None, chunk: int | None = None,
    backend: MaskBackend = MaskBackend.AUTO,
) -> Tensor:  # fmt: skip
    """Attention of q (B, heads, Sq, T, d) to k, v (B, heads, S, T, d) -> (B, heads, Sq, T, d). Without a mask (or with
    a dense one) every query sees all S*T keys. With a mask Sq = S = mask.n_frames, else ValueError. `chunk` bounds the
    number of key frames that are gathered at once (memory, not numbers)."""
    if mask is not None and not (q.shape[2] == k.shape[2] == mask.n_frames):
        raise ValueError(f"mask of {mask.n_frames} frames, attention of {q.shape[2]} to {k.shape[2]} frames")
    if mask is None or mask.is_dense:
        out = functional.scaled_dot_product_attention(q.flatten(2, 3), k.flatten(2, 3), v.flatten(2, 3))
        return out.unflatten(2, q.shape[2:4])
    if backend is MaskBackend.AUTO:
        backend = _fastest(mask, tuple(q.shape), q.device, q.dtype)
    return _flex(q, k, v, mask) if backend is MaskBackend.FLEX else _grouped(q, k, v, mask, chunk)


@lru_cache(maxsize=16)
def _indices(mask: FrameMask, device: torch.device) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Row and key indices of the groups, and the position of each frame in the concatenated output, on `device`."""
    with torch.inference_mode(False):
        groups = [(torch.from_numpy(g.rows).to(device), torch.from_numpy(g.keys).to(device)) for g in mask.groups]
        order = torch.cat([torch.from_numpy(g.rows).flatten() for g in mask.groups])
        return groups, torch.argsort(order).to(device)


def _gather(x: Tensor, frames: Tensor) -> Tensor:
    """Frames (G, R) of x (B, heads, S, T, d) as G sequences: (B*G, heads, R*T, d)."""
    b, heads, _, t, d = x.shape
    g, r = frames.shape
    picked = x.index_select(2, frames.reshape(-1)).view(b, heads, g, r * t, d)
    return picked.transpose(1, 2).reshape(b * g, heads, r * t, d)


def _grouped(q: Tensor, k: Tensor, v: Tensor, mask: FrameMask, chunk: int | None) -> Tensor:
    b, heads, s, t, d = q.shape
    groups, position = _indices(mask, q.device)
    outputs = []
    for all_rows, all_keys in groups:
        n, n_keys = all_keys.shape
        step = n if chunk is None else max(1, chunk // n_keys)
        for rows, keys in zip(all_rows.split(step), all_keys.split(step)):
            if n_keys == s:  # every key: no copy of keys and values
                out = functional.scaled_dot_product_attention(_gather(q, rows), k.flatten(2, 3), v.flatten(2, 3))
            else:
                out = functional.scaled_dot_product_attention(_gather(q, rows), _gather(k, keys), _gather(v, keys))
            g, r = rows.shape
            outputs.append(out.view(b, g, heads, r, t, d).transpose(1, 2).reshape(b, heads, g * r, t, d))
    return torch.cat(outputs, dim=2).index_select(2, position)


@lru_cache(maxsize=1)
def _compiled_flex() -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=False)


@lru_cache(maxsize=16)
def _block_mask(mask: FrameMask, tokens: int, device: torch.device) -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    with torch.inference_mode(False):
        allow = torch.tensor(mask.allow).to(device)

        def visible(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            return allow[q_idx // tokens, kv_idx // tokens]

        length = mask.n_frames * tokens
        return create_block_mask(visible, None, None, length, length, device=str(device))


def _flex(q: Tensor, k: Tensor, v: Tensor, mask: FrameMask) -> Tensor:
    if q.device.type == "cuda":
        kernel = _compiled_flex()
    else:  # not compiled: correct, but holds all scores; for tests
        from torch.nn.attention.flex_attention import flex_attention as kernel
    block_mask = _block_mask(mask, q.shape[3], q.device)
    out = kernel(q.flatten(2, 3), k.flatten(2, 3), v.flatten(2, 3), block_mask=block_mask)
    return out.unflatten(2, q.shape[2:4])


@lru_cache(maxsize=64)
def _fastest(mask: FrameMask, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> MaskBackend:
    """Times both backends once for a shape, on CUDA in half precision; elsewhere, and where Flex fails, `grouped`."""
    if device.type != "cuda" or dtype not in (torch.bfloat16, torch.float16):
        return MaskBackend.GROUPED
    seconds = {}
    with torch.no_grad():
        q, k, v = (torch.randn(shape, device=device, dtype=dtype) for _ in range(3))
        for backend in (MaskBackend.GROUPED, MaskBackend.FLEX):
            try:
                for _ in range(2):  # the first call compiles
                    torch.cuda.synchronize(device)
                    start = time.perf_counter()
                    attend(q, k, v, mask, backend=backend)
                    torch.cuda.synchronize(device)
                    seconds[backend] = time.perf_counter() - start
            except RuntimeError:  # no compiler, or a head width that the kernel does not take
                seconds[backend] = float("inf")
    return min(seconds, key=lambda b: seconds[b])
