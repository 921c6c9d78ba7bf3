"""An array that grows at its end in amortised constant time."""

from typing import Any

import numpy as np
import numpy.typing as npt


class GrowingArray:
    """Rows of fixed shape and dtype; `view` is the filled part, writable, invalid after the next `extend`."""

    def __init__(self, row_shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self._data: npt.NDArray[Any] = np.zeros((64, *row_shape), dtype)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    @property
    def view(self) -> npt.NDArray[Any]:
        return self._data[: self._n]

    def copy(self) -> "GrowingArray":
        """The same rows, in memory of their own."""
        out = GrowingArray(self._data.shape[1:], self._data.dtype)
        out.extend(self.view)
        return out

    def extend(self, rows: npt.ArrayLike) -> None:
        values = np.asarray(rows, self._data.dtype).reshape(-1, *self._data.shape[1:])
        need = self._n + len(values)
        if need > len(self._data):
            grown = np.zeros((max(need, 2 * len(self._data)), *self._data.shape[1:]), self._data.dtype)
            grown[: self._n] = self.view
            self._data = grown
        self._data[self._n : need] = values
        self._n = need
