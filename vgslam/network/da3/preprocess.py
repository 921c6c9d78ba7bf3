"""Images into Depth-Anything-3: resized by OpenCV to a longest (or shortest) side, then to multiples of the patch size.

As the network was evaluated: the mean over areas for shrinking, cubic for enlarging, on 8-bit values.
"""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

import cv2
import numpy as np

from vgslam.errors import InputError
from vgslam.network.preprocess import NetworkImages, PixelMap, UInt8, check_images

PUBLISHED_SIZE_PX = 504  # longest side of the images that the published networks are evaluated at


class Da3Resize(StrEnum):
    """UPPER: the longest side gets the size, LOWER: the shortest. RESIZE brings each side to the nearest multiple of
    the patch size, CROP cuts to the multiple below."""

    UPPER_RESIZE = "upper_bound_resize"
    UPPER_CROP = "upper_bound_crop"
    LOWER_RESIZE = "lower_bound_resize"
    LOWER_CROP = "lower_bound_crop"

    @property
    def is_upper(self) -> bool:
        return self in (Da3Resize.UPPER_RESIZE, Da3Resize.UPPER_CROP)

    @property
    def crops(self) -> bool:
        return self in (Da3Resize.UPPER_CROP, Da3Resize.LOWER_CROP)


def preprocess(
    images: Sequence[UInt8], size_px: int = PUBLISHED_SIZE_PX, fit: Da3Resize = Da3Resize.UPPER_RESIZE,
    patch_px: int = 14,
) -> NetworkImages:  # fmt: skip
    """Images as uint8 (H,W,3) RGB, (H,W,4) RGBA (alpha is dropped) or (H,W) grey -> the network's input; those of
    different sizes are cropped about their centres to the smallest. InputError for an empty list or what is no
    image."""
    check_images(images)
    placed = [_place(_to_rgb(image), size_px, fit, patch_px) for image in images]
    width, height = (min(m.network_size[axis] for _, m in placed) for axis in (0, 1))
    placed = [_crop(pixels, pixel_map, width, height) for pixels, pixel_map in placed]
    return NetworkImages.of(placed)


def _to_rgb(image: UInt8) -> UInt8:
    return np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else np.ascontiguousarray(image[..., :3])


def _place(image: UInt8, size_px: int, fit: Da3Resize, patch_px: int) -> tuple[UInt8, PixelMap]:
    """Resized (and cut) image (h,w,3) and its pixel map."""
    height, width = image.shape[:2]
    side = max(width, height) if fit.is_upper else min(width, height)
    wide, high = (max(1, round(n * size_px / side)) for n in (width, height))
    pixels = _resize(image, wide, high, is_cubic=size_px > side)
    if not fit.crops:
        new_width, new_height = (
            max((2 * n + patch_px) // (2 * patch_px), 1) * patch_px for n in (wide, high)  # nearest multiples, ties up
        )
        pixels = _resize(pixels, new_width, new_height, is_cubic=new_width > wide or new_height > high)
        wide, high = new_width, new_height
    whole = PixelMap((wide / width, high / height), (0.0, 0.0), (width, height), (wide, high), (0, 0, wide, high))
    if min(wide, high) < patch_px:
        raise InputError(f"an image of {width}x{height} px is too elongated for the network")
    return _crop(pixels, whole, wide // patch_px * patch_px, high // patch_px * patch_px)


def _resize(image: UInt8, width: int, height: int, is_cubic: bool) -> UInt8:
    if image.shape[:2] == (height, width):
        return image
    kernel = cv2.INTER_CUBIC if is_cubic else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, (width, height), interpolation=kernel))


def _crop(image: UInt8, placed: PixelMap, width: int, height: int) -> tuple[UInt8, PixelMap]:
    """The middle (height,width) of an image, half of the rest (rounded down) left out at the left and the top."""
    left, top = (image.shape[1] - width) // 2, (image.shape[0] - height) // 2
    return image[top : top + height, left : left + width], replace(
        placed, offset=(placed.offset[0] - left, placed.offset[1] - top), network_size=(width, height),
        content=(0, 0, width, height),
    )  # fmt: skip
