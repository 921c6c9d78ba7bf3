"""The places that the keyframes of a map show, to be recognised again."""

import threading

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.frontend.features import Gray
from vgslam.frontend.matching import ImageFeatures, describe_quick, plain_features
from vgslam.frontend.tracker import View
from vgslam.map.keyframe_images import gray_of
from vgslam.map.slam_map import PlaceCodes, SlamMap
from vgslam.reloc.feature_file import FeatureFile
from vgslam.reloc.index import PlaceIndex
from vgslam.reloc.vocabulary import Bits, shipped_vocabulary, shipped_vocabulary_id
from vgslam.types import Ids, Image

N_FEATURES = 500


class Places:
    """Codes of all keyframes of `slam_map` in an index, and their features: those used last in memory, the others in a
    temporary file, so that in a large map an old keyframe costs no more than a new one.

    kept: keyframes whose features stay in memory (about 0.25 MB each). Safe to use from two threads.
    """

    def __init__(self, slam_map: SlamMap, kept: int = 32) -> None:
        self.map, self.kept = slam_map, kept
        self.index = PlaceIndex()
        self._kept_codes = self._open_codes()
        self._features: dict[int, ImageFeatures] = {}
        self._file = FeatureFile()
        self._lock = threading.RLock()

    def catch_up(self) -> None:
        """Take in the keyframes that the map has got since."""
        kept = self._kept_codes
        with self._lock:
            if len(kept.codes) > len(self.index):
                self.index.add(kept.codes.view[len(self.index) :])
            for k in range(len(self.index), len(self.map.keyframes)):
                code = shipped_vocabulary().bits(self.features(k).descriptors)
                self.index.add(code)
                kept.codes.extend(code)

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
            self.catch_up()
            return self.index.search(self.index.code(k), n)

    def like_view(self, view: View, n: int = 50) -> list[int]:
        """The n keyframes that look most like a view, best first."""
        with self._lock:
            self.catch_up()
            return self.index.search(self.code(view.image), n)[0].tolist()
