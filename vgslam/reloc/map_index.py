"""Which of many maps show the same places: a thin wrapper around faiss for codes of millions of keyframes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from vgslam.reloc.vocabulary import N_BITS, Bits
from vgslam.types import Array, Ids

EXHAUSTIVE = 20_000
"""Codes up to which all are compared."""
CELLS_PER_ROOT, PROBED = 2.0, 12
"""Cells of a larger index, as a multiple of the root of the number of codes, and how many are looked through."""


class MapIndex:
    """Codes (N,256) of the keyframes of many maps, with the number of the map of each (N,).

    256 bytes a code. Up to EXHAUSTIVE codes all are compared; beyond, codes are put into cells around centres of their
    own (faiss's inverted file for bits), and a search looks through the nearest cells.
    """

    def __init__(self, codes: Bits, maps: Ids) -> None:
        import faiss

        self.maps, self._codes = maps, np.ascontiguousarray(codes)
        self._index: Any = faiss.IndexBinaryFlat(N_BITS)
        if len(codes) > EXHAUSTIVE:
            n_cells = int(CELLS_PER_ROOT * np.sqrt(len(codes)))
            self._quantizer = self._index  # faiss keeps no reference of its own
            self._index = faiss.IndexBinaryIVF(self._quantizer, N_BITS, n_cells)
            self._index.nprobe = PROBED
            self._index.train(self._codes[:: max(1, len(codes) // (40 * n_cells))])
        self._index.add(self._codes)

    def neighbours(self, n: int, begin: int, end: int) -> tuple[Ids, Array]:
        """For codes begin to end: the n nearest of all codes (M,n), -1 where there are fewer, and their likeness (M,n):
        1 the same, 0 unrelated. Each finds itself."""
        distance, ids = self._index.search(self._codes[begin:end], n)
        return ids.astype(np.int64), np.where(ids < 0, 0.0, 1.0 - 2.0 * distance / N_BITS)


def like_maps(
    index: MapIndex, n: int, least: float, block: int = 4096
) -> dict[tuple[int, int], npt.NDArray[np.float64]]:
    """For map i and another, j: how much keyframes of i look like one of j, in falling order; of those that have one
    of j among their n nearest, which is at least `least` alike."""
    found: dict[tuple[int, int], list[float]] = {}
    maps = index.maps
    for begin in range(0, len(maps), block):
        ids, likeness = index.neighbours(n, begin, min(begin + block, len(maps)))
        for row, (near, alike) in enumerate(zip(ids.tolist(), likeness.tolist(), strict=True)):
            mine, seen = int(maps[begin + row]), set[int]()
            for k, x in zip(near, alike, strict=True):
                other = int(maps[k]) if k >= 0 else mine
                if x < least or other == mine or other in seen:
                    continue
                seen.add(other)
                found.setdefault((mine, other), []).append(x)
    return {pair: np.sort(np.array(x))[::-1] for pair, x in found.items()}
