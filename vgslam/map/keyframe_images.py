"""The images of some keyframes, each fetched when it is asked for, and their grey images."""

from collections.abc import Sequence
from typing import overload

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.map.paged_keyframe import PagedKeyframe
from vgslam.types import Image, Keyframe


def gray_of(keyframe: Keyframe) -> npt.NDArray[np.uint8]:
    """A keyframe's grey image (H,W), not to be written into. Without a detour over colours where the map keeps it grey
    already."""
    if isinstance(keyframe, PagedKeyframe):
        return keyframe.gray
    return np.asarray(cv2.cvtColor(keyframe.image, cv2.COLOR_RGB2GRAY), np.uint8)


class KeyframeImages(Sequence[Image]):
    """A sequence of images that holds none: most windows of keyframes are solved by their tracks alone."""

    def __init__(self, keyframes: Sequence[Keyframe]) -> None:
        self._keyframes = keyframes

    def __len__(self) -> int:
        return len(self._keyframes)

    @overload
    def __getitem__(self, at: int) -> Image: ...

    @overload
    def __getitem__(self, at: slice) -> list[Image]: ...

    def __getitem__(self, at: int | slice) -> Image | list[Image]:
        if isinstance(at, slice):
            return [keyframe.image for keyframe in self._keyframes[at]]
        return self._keyframes[at].image
