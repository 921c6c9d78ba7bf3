"""Features of keyframes in a temporary file: to read them takes a fiftieth of the time of computing them again."""

import tempfile
from typing import IO

import numpy as np

from vgslam.frontend.matching import PlainFeatures

MOST_BYTES = 2**30
"""Size of the file beyond which nothing is added: some 15,000 keyframes."""
_PIXEL_BYTES, _DESCRIPTOR_BYTES = 16, 128


class FeatureFile:
    """Features by keyframe. What cannot be written is not kept, and `get` says so: the file only saves time. The file
    has no name and is gone with the object. Not safe to use from two threads."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._file: IO[bytes] | None = None
        self._size = 0
        self._at: dict[int, tuple[int, int]] = {}  # where a keyframe's begin, and how many they are

    def __len__(self) -> int:
        return len(self._at)

    def put(self, k: int, features: PlainFeatures) -> None:
        """Keep the features of keyframe k, if there is room; those of before stay if there are any."""
        n = len(features.pixels)
        size = n * (_PIXEL_BYTES + _DESCRIPTOR_BYTES)
        if k in self._at or self._size + size > self._most_bytes:
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="vgslam-features-")  # noqa: SIM115
            self._file.seek(self._size)
            self._file.write(np.ascontiguousarray(features.pixels, np.float64).tobytes())
            self._file.write(np.ascontiguousarray(features.descriptors).tobytes())
            self._file.flush()
        except OSError:
            self._most_bytes = 0  # the disk is full: what is there stays
            return
        self._at[k] = self._size, n
        self._size += size

    def get(self, k: int) -> PlainFeatures | None:
        """The features of keyframe k, bit for bit; None if they are not kept."""
        if k not in self._at or self._file is None:
            return None
        begin, n = self._at[k]
        self._file.seek(begin)
        data = self._file.read(n * (_PIXEL_BYTES + _DESCRIPTOR_BYTES))
        pixels = np.frombuffer(data, np.float64, 2 * n).reshape(n, 2).copy()
        descriptors = np.frombuffer(data, np.uint8, 128 * n, n * _PIXEL_BYTES).reshape(n, 128).copy()
        return PlainFeatures(pixels, descriptors)
