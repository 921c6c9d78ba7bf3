"""Which of many maps show the same places: a thin wrapper around faiss for codes of millions of keyframes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vgslam.reloc.vocabulary import N_BITS, Bits
from vgslam.types import Array, Ids

EXHAUSTIVE = 20_000
"""Codes up to which all are compared."""
CELLS_PER_ROOT, PROBED = 2.0, 24
"""Cells of a larger index, as a multiple of the root of the number of codes, and how many are looked through."""
ITERATIONS, TRAINED = 4, 10
"""Iterations of k-means, and codes a cell that it sees: with 25 and 40 it takes ten times as long as all the rest, and
no more pairs are found."""


class MapIndex:
    """Codes (N,256) of the keyframes of many maps, with the number of the map of each (N,); those of a map together.
    256 bytes a code. Up to EXHAUSTIVE codes all are compared; beyond, codes are put into cells around centres of their
    own (faiss's inverted file for bits), and a search looks through the nearest cells."""

    def __init__(self, codes: Bits, maps: Ids) -> None:
        import faiss

        self.maps, self._codes = maps, np.ascontiguousarray(codes)
        self._index: Any = faiss.IndexBinaryFlat(N_BITS)
        if len(codes) > EXHAUSTIVE:
            n_cells = int(CELLS_PER_ROOT * np.sqrt(len(codes)))
            self._quantizer = self._index  # faiss keeps no reference of its own
            self._index = faiss.IndexBinaryIVF(self._quantizer, N_BITS, n_cells)
            self._index.nprobe = PROBED
            self._index.cp.niter = ITERATIONS
            self._index.cp.min_points_per_centroid = 1
            self._index.train(self._codes[:: max(1, len(codes) // (TRAINED * n_cells))])
        self._index.add(self._codes)

    def neighbours(self, n: int, begin: int, end: int) -> tuple[Ids, Array]:
        """The n nearest of all codes (M,n) to each of codes begin to end, -1 where there are fewer, and their likeness
        (M,n): 1 the same, 0 unrelated. Each finds itself."""
        distance, ids = self._index.search(self._codes[begin:end], n)
        return ids.astype(np.int64), np.where(ids < 0, 0.0, 1.0 - 2.0 * distance / N_BITS)


@dataclass(frozen=True)
class Alike:
    """Pairs of maps that look alike."""

    maps: Ids
    """(K,2): the lower number first, in order."""
    strength: Array
    """(K,): likeness of their most alike keyframes, summed."""


def alike_maps(index: MapIndex, n: int, least: float, votes: int, block: int = 4096) -> Alike:
    """The pairs of maps of which at least `votes` keyframes of each look like one of the other's, which has to be among
    their n nearest and at least `least` alike. Their strength is the sum over the `votes` most alike of both."""
    maps = index.maps
    n_maps = int(maps.max(initial=-1)) + 1
    keys, strengths = [np.zeros(0, np.int64)], [np.zeros(0)]
    begin = 0
    while begin < len(maps):  # whole maps, so that a map's votes are counted together
        last = maps[min(begin + block, len(maps)) - 1]
        end = int(np.searchsorted(maps, last, side="right"))
        key, strength = _voted(index, n, least, votes, begin, end, n_maps)
        keys.append(key)
        strengths.append(strength)
        begin = end
    key, both = np.concatenate(keys), np.concatenate(strengths)
    low, high = np.minimum(key // n_maps, key % n_maps), np.maximum(key // n_maps, key % n_maps)
    order = np.argsort(low * n_maps + high, kind="stable")
    low, high, both = low[order], high[order], both[order]
    twice = np.flatnonzero((low[1:] == low[:-1]) & (high[1:] == high[:-1]))
    return Alike(np.column_stack([low[twice], high[twice]]), both[twice] + both[twice + 1])


def _voted(index: MapIndex, n: int, least: float, votes: int, begin: int, end: int, n_maps: int) -> tuple[Ids, Array]:
    """What maps of codes begin to end vote for: a map's number times n_maps plus that of another, and the strength."""
    ids, likeness = index.neighbours(n, begin, end)
    row, column = np.nonzero((ids >= 0) & (likeness >= least))
    mine, other = index.maps[begin + row], index.maps[ids[row, column]]
    row, column, mine, other = (x[mine != other] for x in (row, column, mine, other))
    _, first = np.unique(row * n_maps + other, return_index=True)  # neighbours come the most alike first
    key, alike = mine[first] * n_maps + other[first], likeness[row[first], column[first]]
    order = np.lexsort((-alike, key))
    key, alike = key[order], alike[order]
    pairs, starts, counts = np.unique(key, return_index=True, return_counts=True)
    pairs, starts = pairs[counts >= votes], starts[counts >= votes]
    return pairs, np.asarray(alike[starts[:, None] + np.arange(votes)].sum(1))
