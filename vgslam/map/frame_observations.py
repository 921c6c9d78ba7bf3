"""What each tracked frame saw of the map's landmarks, in 12 bytes an observation; old blocks lie in a file."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from vgslam.types import Ids

BLOCK_FRAMES = 64
"""Frames of a block: few enough that the arrays of one fit a processor's cache when its poses are adjusted."""
DEFAULT_BUDGET_BYTES = 8 * 2**20
"""Some 2,000 frames of 300 observations: a minute stays in memory, hours go to a file."""


@dataclass(frozen=True)
class FrameBlock:
    """Observations of F frames one after another: those of frame i are rows begins[i] to begins[i + 1]."""

    frame_ids: Ids
    """(F,)."""
    begins: Ids
    """(F + 1,)."""
    ids: npt.NDArray[np.int32]
    """(M,): landmarks."""
    pixels: npt.NDArray[np.float32]
    """(M,2): where they were seen."""

    @property
    def nbytes(self) -> int:
        return int(self.ids.nbytes + self.pixels.nbytes)


@dataclass(frozen=True)
class _OnDisk:
    frame_ids: Ids
    begins: Ids
    at: int


class FrameObservations:
    """Observations of frames in the order in which they were added; `resident_bytes` of finished blocks stay within
    the budget. A block that cannot be written to disk is given up (`n_dropped` frames): its poses can do without."""

    def __init__(self, budget_bytes: int = DEFAULT_BUDGET_BYTES) -> None:
        self.budget_bytes = budget_bytes
        self.resident_bytes = 0
        self.n_dropped = 0
        self._blocks: list[FrameBlock | _OnDisk] = []
        self._oldest = 0  # the first block that may still be in memory
        self._open: list[tuple[int, npt.NDArray[np.int32], npt.NDArray[np.float32]]] = []
        self._file: BinaryIO | None = None

    def add(self, frame_id: int, ids: Ids, pixels: npt.NDArray) -> None:
        """Landmarks ids (n,) seen at pixels (n,2). A frame added again has what was added last."""
        self._open.append((frame_id, ids.astype(np.int32), np.array(pixels, np.float32).reshape(-1, 2)))
        if len(self._open) == BLOCK_FRAMES:
            self._blocks.append(_joined(self._open))
            self.resident_bytes += self._blocks[-1].nbytes  # type: ignore[union-attr]
            self._open = []
            self._page_out()

    def blocks(self) -> Iterator[FrameBlock]:
        """All blocks in order, each read when it is asked for."""
        for block in [*self._blocks, *([_joined(self._open)] if self._open else [])]:
            if isinstance(block, FrameBlock):
                yield block
            else:
                yield self._read(block)

    def _page_out(self) -> None:
        while self.resident_bytes > self.budget_bytes:
            block = self._blocks[self._oldest]
            assert isinstance(block, FrameBlock)
            self.resident_bytes -= block.nbytes
            try:
                self._blocks[self._oldest] = self._write(block)
                self._oldest += 1
            except OSError:
                self.n_dropped += len(block.frame_ids)
                del self._blocks[self._oldest]

    def _write(self, block: FrameBlock) -> _OnDisk:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="vgslam-frames-")  # noqa: SIM115 (gone with this object)
        at = self._file.seek(0, 2)
        self._file.write(block.ids.tobytes())
        self._file.write(block.pixels.tobytes())
        self._file.flush()
        return _OnDisk(block.frame_ids, block.begins, at)

    def _read(self, block: _OnDisk) -> FrameBlock:
        assert self._file is not None
        n = int(block.begins[-1])
        self._file.seek(block.at)
        ids = np.frombuffer(self._file.read(4 * n), np.int32)
        pixels = np.frombuffer(self._file.read(8 * n), np.float32).reshape(-1, 2)
        return FrameBlock(block.frame_ids, block.begins, ids, pixels)


def _joined(rows: list[tuple[int, npt.NDArray[np.int32], npt.NDArray[np.float32]]]) -> FrameBlock:
    begins = np.concatenate([[0], np.cumsum([len(ids) for _, ids, _ in rows])])
    return FrameBlock(
        np.array([i for i, _, _ in rows], np.int64), begins.astype(np.int64),
        np.concatenate([ids for _, ids, _ in rows]), np.concatenate([pixels for _, _, pixels in rows]),
    )  # fmt: skip


def padded(values: npt.NDArray[Any], begins: Ids, width: int) -> npt.NDArray[Any]:
    """Rows of several frames (M,...) as (F,width,...), filled up with zeros."""
    out = np.zeros((len(begins) - 1, width, *values.shape[1:]), values.dtype)
    out[np.arange(width) < np.diff(begins)[:, None]] = values
    return out
