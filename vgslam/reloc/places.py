"""The places that the keyframes of a map show, to be recognised again: codes in an index of faiss, and features."""

import tempfile
import threading
from typing import IO

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.frontend.features import Gray
from vgslam.frontend.matching import ImageFeatures, PlainFeatures, describe_quick, plain_features
from vgslam.frontend.tracker import View
from vgslam.map.paged_keyframe import gray_of
from vgslam.map.slam_map import PlaceCodes, SlamMap
from vgslam.reloc.vocabulary import N_BITS, Bits, shipped_vocabulary, shipped_vocabulary_id
from vgslam.types import Ids, Image

N_FEATURES = 500


class Places:
    """Codes of all keyframes of `slam_map` in an index, and their features: those used last in memory, the others in a
    temporary file, so that in a large map an old keyframe costs no more than a new one. kept: keyframes whose features
    stay in memory (about 0.25 MB each). Safe to use from two threads.

    Keyframes that show what older ones show can be passed over: they have no code, and are not found, before
    `catch_up`."""

    def __init__(self, slam_map: SlamMap, kept: int = 32) -> None:
        self.map, self.kept = slam_map, kept
        self.index = PlaceIndex()
        self._rows: list[int] = []  # the keyframes in the index
        self._kept_codes = self._open_codes()
        self._passed = set(np.flatnonzero(~self._kept_codes.codes.view.any(1)).tolist())
        self._n_seen = 0
        self._features: dict[int, ImageFeatures] = {}
        self._file = FeatureFile()
        self._lock = threading.RLock()

    def catch_up(self) -> None:
        """Take in all keyframes, those that were passed over as well."""
        with self._lock:
            self._take_in_new()
            for k in sorted(self._passed):
                self._describe(k)

    def pass_over(self, k: int) -> None:
        """Leave out a new keyframe: it shows what older ones show."""
        with self._lock:
            self._passed.add(k)

    def _take_in_new(self) -> None:
        """Take in the keyframes that the map has got since, but those that are passed over."""
        codes, n = self._kept_codes.codes, len(self.map.keyframes)  # the map may grow meanwhile
        for k in range(self._n_seen, n):
            if k == len(codes):
                codes.extend(np.zeros(N_BITS // 8, np.uint8))
                if k not in self._passed:
                    self._describe(k)
            elif k not in self._passed:
                self._add(k)
        self._n_seen = n

    def _describe(self, k: int) -> None:
        self._kept_codes.codes.view[k] = shipped_vocabulary().bits(self.features(k).descriptors)
        self._passed.discard(k)
        self._add(k)

    def _add(self, k: int) -> None:
        self.index.add(self._kept_codes.codes.view[k])
        self._rows.append(k)

    def _open_codes(self) -> PlaceCodes:
        """The map's own codes, emptied where another vocabulary made them."""
        mine = np.frombuffer(shipped_vocabulary_id(), np.uint8).copy()
        if not np.array_equal(self.map.place_codes.vocabulary, mine):
            self.map.place_codes = PlaceCodes(mine)
        return self.map.place_codes

    def code(self, image: Image) -> Bits:
        """Code (256,) of an image."""
        found = describe_quick(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), N_FEATURES)
        return shipped_vocabulary().bits(found.descriptors)

    def features(self, k: int) -> ImageFeatures:
        """Quick features of keyframe k."""
        with self._lock:
            if k in self._features:
                self._features[k] = self._features.pop(k)  # used last
            else:
                while len(self._features) >= self.kept:
                    self._features.pop(next(iter(self._features)))
                self._features[k] = self._read_or_made(k)
            return self._features[k]

    def _read_or_made(self, k: int) -> ImageFeatures:
        plain = self._file.get(k)
        if plain is None:
            plain = plain_features(self.gray(k), N_FEATURES)
            self._file.put(k, plain)
        return plain.rooted()

    def forget_features(self) -> None:
        """The keyframes' images have changed. Codes stay: they do not depend on where features are."""
        with self._lock:
            self._features, self._file = {}, FeatureFile()

    def gray(self, k: int) -> Gray:
        return gray_of(self.map.keyframes[k])

    def like_keyframe(self, k: int, n: int) -> tuple[Ids, npt.NDArray[np.float64]]:
        """The n keyframes that look most like keyframe k, itself among them, and their likeness."""
        with self._lock:
            self._take_in_new()
            if k in self._passed:
                self._describe(k)
            return self._search(self._kept_codes.codes.view[k], n)

    def like_view(self, view: View, n: int = 50) -> list[int]:
        """The n keyframes that look most like a view, best first."""
        with self._lock:
            self._take_in_new()
            return self._search(self.code(view.image), n)[0].tolist()

    def _search(self, code: Bits, n: int) -> tuple[Ids, npt.NDArray[np.float64]]:
        rows, likeness = self.index.search(code, n)
        return np.array(self._rows, np.int64)[rows], likeness


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

    def search(self, code: Bits, n: int) -> tuple[Ids, npt.NDArray[np.float64]]:
        """Ids (m,) of the m <= n nearest codes, best first, and their likeness (m,): 1 the same, 0 unrelated."""
        n = min(n, len(self))
        if n == 0:
            return np.zeros(0, np.int64), np.zeros(0)
        distance, ids = self._index.search(code.reshape(1, -1), n)
        return ids[0].astype(np.int64), 1.0 - 2.0 * distance[0] / N_BITS
