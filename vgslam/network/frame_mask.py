"""Frame-level attention masks: which frame may attend to which, computed with dense attention calls.

A cell (i, j) stands for all tokens of frame i (queries) against all of frame j (keys). Rows with the same keys share a
call, and classes of the same shape are stacked along the batch, so that exactly the allowed cells are computed. The
star of Reloc-VGGT (arXiv 2512.21883, "masked") takes two calls and 5N-6 cells.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Bool = npt.NDArray[np.bool_]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RowGroup:
    """G classes of R query frames that share K key frames each."""

    rows: Index
    """(G,R): indices of the query frames."""
    keys: Index
    """(G,K): indices of the key frames."""


class FrameMask:
    """allow (N,N) bool, allow[i, j]: the queries of frame i see the keys of frame j. Immutable and hashable. Raises
    ValueError unless square with at least one allowed key in each row."""

    def __init__(self, allow: npt.ArrayLike) -> None:
        array = np.array(allow, dtype=bool)
        if array.ndim != 2 or array.shape[0] != array.shape[1] or not len(array):
            raise ValueError(f"frame mask must be square and not empty, got shape {array.shape}")
        if not array.any(axis=1).all():
            raise ValueError(f"frame mask: frame {int(np.argmin(array.any(axis=1)))} may attend to no frame")
        array.setflags(write=False)
        self.allow: Bool = array

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
