"""Grey image and thumbnail of a frame: made when its turn comes, or ahead of that on another thread."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.frontend.features import Gray
from vgslam.frontend.rotation_guess import Thumbnail
from vgslam.geometry.camera import Camera
from vgslam.geometry.radial import Straightener
from vgslam.map.enlarged import enlarged


@dataclass(frozen=True)
class Prepared:
    """What tracking needs of an RGB frame."""

    raw: npt.NDArray[np.uint8]
    """The frame as it came."""
    camera: Camera
    """The camera that it was prepared for."""
    gray: Gray
    """The grey image in the camera's size, without the distortion that the map's adjustment has found."""
    thumbnail: Thumbnail
    straightener: Straightener | None
    """Takes that distortion out of other pictures; None where there was none."""


class Preparation:
    """Prepares frames. `ahead` may be called on another thread than `of`, and decides nothing."""

    def __init__(self) -> None:
        self._straightener: Straightener | None = None
        self._waiting: dict[int, Prepared] = {}

    def ahead(self, image: npt.NDArray[np.uint8], camera: Camera) -> None:
        """Prepare an image that `of` will be asked for."""
        straightener = self._straightener if camera.removed_k1 else None
        # what waits holds the image, so that its id stays its own
        self._waiting[id(image)] = _prepared(image, camera, straightener)

    def of(self, image: npt.NDArray[np.uint8], camera: Camera) -> Prepared:
        """The image, prepared for the camera; what was prepared ahead for another one is made anew."""
        straightener = self._for_lens(camera) if camera.removed_k1 else None
        made = self._waiting.pop(id(image), None)
        if made is not None and made.camera is camera and made.straightener is straightener:
            return made
        return _prepared(image, camera, straightener)

    def _for_lens(self, camera: Camera) -> Straightener:
        """The same one while the distortion is the same."""
        if self._straightener is None or self._straightener.k1 != camera.removed_k1:
            self._straightener = Straightener(camera, camera.removed_k1)
        return self._straightener


def _prepared(image: npt.NDArray[np.uint8], camera: Camera, straightener: Straightener | None) -> Prepared:
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    gray = enlarged(gray, (camera.width, camera.height))
    if straightener is not None:
        gray = straightener(gray)
    return Prepared(image, camera, gray, Thumbnail(gray, camera), straightener)
