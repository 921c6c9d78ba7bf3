"""Which of many codes are nearest: a thin wrapper around faiss."""

import numpy as np
import numpy.typing as npt

from vgslam.reloc.vocabulary import N_BITS, Bits
from vgslam.types import Ids


class PlaceIndex:
    """Codes of 2048 bits in the order in which they were added, searched exhaustively. 256 bytes a code: 25 MiB and a
    few milliseconds a query at 100,000."""

    def __init__(self) -> None:
        import faiss

        self._index = faiss.IndexBinaryFlat(N_BITS)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, codes: Bits) -> None:
        """Append codes (N,256); their ids count up."""
        self._index.add(np.ascontiguousarray(codes.reshape(-1, N_BITS // 8)))

    def code(self, k: int) -> Bits:
        """Code (256,) number k."""
        return np.asarray(self._index.reconstruct(k), np.uint8)

    def search(self, code: Bits, n: int) -> tuple[Ids, npt.NDArray[np.float64]]:
        """Ids (m,) of the m <= n nearest codes, best first, and their likeness (m,): 1 the same, 0 unrelated."""
        n = min(n, len(self))
        if n == 0:
            return np.zeros(0, np.int64), np.zeros(0)
        distance, ids = self._index.search(code.reshape(1, -1), n)
        return ids[0].astype(np.int64), 1.0 - 2.0 * distance[0] / N_BITS
