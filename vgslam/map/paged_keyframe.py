"""A keyframe whose image and depth may lie on disk."""

from collections.abc import Sequence
from typing import Any, overload

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.map.pictures import Picture, PictureKind, Pictures
from vgslam.types import Float32, Image, Keyframe


def _kept(kind: PictureKind) -> Any:
    """The picture of that kind as an attribute of a keyframe; None if there is none."""

    def read(self: "PagedKeyframe") -> Picture | None:
        return self._pictures.get((self.id, kind))

    def write(self: "PagedKeyframe", picture: Picture | None) -> None:
        self._pictures.put((self.id, kind), picture)

    return property(read, write)


class PagedKeyframe(Keyframe):
    """A keyframe of the map: as `Keyframe`, but image, depth and confidence are kept by `Pictures`. Reading them may
    read a file (MapError when that is damaged), setting them may write one (OutputError)."""

    image: Image = _kept(PictureKind.IMAGE)
    depth: Float32 | None = _kept(PictureKind.DEPTH)
    confidence: Float32 | None = _kept(PictureKind.CONFIDENCE)
    _pictures: Pictures

    @property
    def gray(self) -> npt.NDArray[np.uint8]:
        """The grey image (H,W), not to be written into. MapError as for the image."""
        return self._pictures.gray((self.id, PictureKind.IMAGE))

    @staticmethod
    def of(keyframe: Keyframe, pictures: Pictures) -> "PagedKeyframe":
        """The keyframe with its pictures handed over to `pictures`."""
        paged = PagedKeyframe.without_pictures(keyframe, pictures)
        paged.image, paged.depth, paged.confidence = keyframe.image, keyframe.depth, keyframe.confidence
        return paged

    @staticmethod
    def without_pictures(keyframe: Keyframe, pictures: Pictures) -> "PagedKeyframe":
        """Everything else of a keyframe; its pictures are those that `pictures` has under its id."""
        paged: PagedKeyframe = object.__new__(PagedKeyframe)
        paged._pictures = pictures
        for name in vars(keyframe):
            if name not in ("image", "depth", "confidence", "_pictures"):
                setattr(paged, name, getattr(keyframe, name))
        return paged

    def is_in(self, pictures: Pictures) -> bool:
        """Whether its pictures are kept there."""
        return self._pictures is pictures


def gray_of(keyframe: Keyframe) -> npt.NDArray[np.uint8]:
    """A keyframe's grey image (H,W), not to be written into; without a detour over colours where it is kept grey."""
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
