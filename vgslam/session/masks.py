"""`--mask`: the part of the frames that is not used, from a picture, and what was found never to move, as a picture."""

from pathlib import Path

import cv2
import numpy as np

from vgslam.errors import InputError
from vgslam.frontend.image_mask import Mask
from vgslam.guards import images
from vgslam.interfaces import FrameSource
from vgslam.results.saved_depth import png_of
from vgslam.sources.undistort import Undistorter
from vgslam.types import Camera

LITTLE_LEFT = 0.3  # share of the image below which a mask is doubted: a car and the sky leave more
HALF = 128  # grey value below which a pixel is black


def read_mask(path: Path, source: FrameSource, camera: Camera) -> Mask:
    """(height,width) True where the picture is black, for the frames of `source` as they leave it, which are those of
    `camera`: the lens distortion that the source removes is removed from the mask too. Raises InputError for a file
    that is not a picture, one of another size than the frames, and one that is all black."""
    try:
        picture = images.read(path, cv2.IMREAD_GRAYSCALE)
    except images.UndecodableError as error:
        raise InputError(
            f"{path}: not a picture that can be read ({error}); --mask takes a PNG, black where nothing is used"
        ) from error
    size = picture.shape[::-1]
    if size != (camera.width, camera.height):
        raise InputError(
            f"{path}: the mask is {size[0]}x{size[1]}, the frames are {camera.width}x{camera.height}; they must agree"
        )
    used = np.where(picture < HALF, 0, 255).astype(np.uint8)
    undistort = _undistorter(source)
    ignored = np.asarray((used if undistort is None else undistort(used)) < HALF)
    if ignored.all():
        raise InputError(f"{path}: the whole mask is black, so nothing is left to use; white is what is used")
    return ignored


def doubt_of_mask(path: Path, ignored: Mask) -> list[str]:
    """A line where so little is left that a recording may find nothing to follow; most often black and white of the
    mask have changed places."""
    left = 1.0 - float(ignored.mean())
    if left >= LITTLE_LEFT:
        return []
    return [f"{path}: the mask leaves {100 * left:.0f} % of the image; black is what is not used, so that it "
            "may be the wrong way round"]  # fmt: skip


def mask_png(ignored: Mask, source: FrameSource) -> bytes:
    """A PNG for `--mask` from a mask (height,width) of frames as they leave `source`: black where ignored."""
    undistort = _undistorter(source)
    raw = ignored if undistort is None else undistort.as_recorded(ignored)
    return png_of(np.where(raw, 0, 255).astype(np.uint8))


def _undistorter(source: FrameSource) -> Undistorter | None:
    found = getattr(source, "undistorter", None)
    return found if isinstance(found, Undistorter) else None
