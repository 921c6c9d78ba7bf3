"""The images of some keyframes, each fetched when it is asked for."""

from collections.abc import Sequence
from typing import overload

from vgslam.types import Image, Keyframe


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
