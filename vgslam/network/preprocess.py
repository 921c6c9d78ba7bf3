"""Images into the network and results back to the images' own pixels. Needs no torch.

As VGGT was trained: bicubic with antialiasing on 8-bit values, sides rounded to multiples of the patch size (the axes
are scaled slightly differently), padding in white.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from PIL import Image

from vgslam.errors import InputError
from vgslam.geometry.camera import Camera

Float = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]


class ResizeMode(StrEnum):
    """CROP: full width, rows beyond a square cut off. PAD: whole image, padded to a square. AREA: whole image in its
    own shape, about 3/4 `size_px`^2 pixels, each a mean."""

    CROP = "crop"
    PAD = "pad"
    AREA = "area"


@dataclass(frozen=True)
class PixelMap:
    """The affine map between an image's own pixels and the network's, axis by axis. network = scale * (source + 0.5) -
    0.5 + offset, for pixel (0,0) at the centre of the top-left pixel."""

    scale: tuple[float, float]
    """(x, y)."""
    offset: tuple[float, float]
    """(x, y)."""
    source_size: tuple[int, int]
    """(width, height) px."""
    network_size: tuple[int, int]
    """(width, height) px."""
    content: tuple[int, int, int, int]
    """The part of the network's image that shows the source: (left, top, right, bottom) px, right and bottom
    exclusive."""

    def to_network(self, pixels: npt.ArrayLike) -> Float:
        """Source pixels (...,2) -> network pixels (...,2)."""
        return np.asarray(self.scale) * (np.asarray(pixels, np.float64) + 0.5) - 0.5 + np.asarray(self.offset)

    def to_source(self, pixels: npt.ArrayLike) -> Float:
        """Network pixels (...,2) -> source pixels (...,2)."""
        return (np.asarray(pixels, np.float64) - np.asarray(self.offset) + 0.5) / np.asarray(self.scale) - 0.5

    def camera_to_network(self, camera: Camera) -> Camera:
        """Known intrinsics of the source image -> those of the network's image (both with pixel centres at integers).
        InputError unless the camera has the size of the source image and no lens distortion."""
        if (camera.width, camera.height) != self.source_size:
            raise InputError(
                f"the camera is calibrated for {camera.width}x{camera.height} px, the image has "
                f"{self.source_size[0]}x{self.source_size[1]} px"
            )
        if camera.is_distorted:
            raise InputError("undistort the image first: the network takes pinhole images only")
        cx, cy = self.to_network((camera.cx, camera.cy))
        return Camera(
            camera.fx * self.scale[0], camera.fy * self.scale[1], float(cx), float(cy), *self.network_size
        )  # fmt: skip


@dataclass(frozen=True)
class NetworkImages:
    """Images as a network takes them."""

    images: Float32  # (N,3,H,W) in [0,1], H and W multiples of the patch size
    maps: tuple[PixelMap, ...]  # the way from each image's own pixels

    @staticmethod
    def of(placed: Sequence[tuple[UInt8, PixelMap]]) -> "NetworkImages":
        """From images (H,W,3) of one size, with their maps."""
        stack = np.stack([pixels for pixels, _ in placed]).transpose(0, 3, 1, 2)
        values = np.ascontiguousarray(stack).astype(np.float32) / np.float32(255)
        return NetworkImages(values, tuple(pixel_map for _, pixel_map in placed))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) px."""
        return self.images.shape[2], self.images.shape[3]


def check_images(images: Sequence[UInt8]) -> None:
    """InputError for an empty list or an array that is no image."""
    if not images:
        raise InputError("no images to preprocess")
    for i, image in enumerate(images):
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (3, 4)):
            raise InputError(f"image {i}: expected uint8 (H,W), (H,W,3) or (H,W,4), got {image.dtype} {image.shape}")


def _to_rgb(image: UInt8) -> Image.Image:
    picture = Image.fromarray(image)
    if picture.mode == "RGBA":
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def _resized_size(width: int, height: int, mode: ResizeMode, target: int, patch: int) -> tuple[int, int]:
    """Size after resizing; Python's round, half to even."""
    if mode is ResizeMode.AREA:
        aspect = (width / height) ** 0.5
        side = target * 0.75**0.5
        return max(1, round(side * aspect / patch)) * patch, max(1, round(side / aspect / patch)) * patch
    if mode is ResizeMode.PAD and height > width:
        return round(width * (target / height) / patch) * patch, target
    return target, round(height * (target / width) / patch) * patch


def _place(picture: Image.Image, mode: ResizeMode, target: int, patch: int) -> tuple[UInt8, PixelMap]:
    """Resized (and cropped or padded) image (h,w,3) and its pixel map."""
    width, height = picture.size
    new_width, new_height = _resized_size(width, height, mode, target, patch)
    if min(new_width, new_height) < patch:
        raise InputError(f"an image of {width}x{height} px is too elongated for the network")
    is_mean = mode is ResizeMode.AREA and new_width <= width and new_height <= height
    kernel = Image.Resampling.BOX if is_mean else Image.Resampling.BICUBIC
    pixels = np.asarray(picture.resize((new_width, new_height), kernel))
    offset_y, content_height = 0, new_height
    if mode is ResizeMode.CROP and new_height > target:
        offset_y, content_height = -((new_height - target) // 2), target
        pixels = pixels[-offset_y : target - offset_y]
    placed = PixelMap(
        (new_width / width, new_height / height), (0.0, float(offset_y)), (width, height), (new_width, content_height),
        (0, 0, new_width, content_height),
    )  # fmt: skip
    return _pad(pixels, placed, target, target) if mode is ResizeMode.PAD else (pixels, placed)


def _pad(pixels: UInt8, placed: PixelMap, width: int, height: int) -> tuple[UInt8, PixelMap]:
    """Pads in white to (width, height), half of it (rounded down) at the left and the top."""
    left, top = (width - pixels.shape[1]) // 2, (height - pixels.shape[0]) // 2
    out = np.full((height, width, 3), 255, np.uint8)
    out[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    x0, y0, x1, y1 = placed.content
    return out, replace(
        placed, offset=(placed.offset[0] + left, placed.offset[1] + top), network_size=(width, height),
        content=(x0 + left, y0 + top, x1 + left, y1 + top),
    )  # fmt: skip


def preprocess(
    images: Sequence[UInt8], mode: ResizeMode = ResizeMode.CROP, size_px: int = 518, patch_px: int = 14
) -> NetworkImages:
    """Images as uint8 (H,W,3) RGB, (H,W,4) RGBA (alpha goes on white) or (H,W) grey -> the network's input, padded in
    white to the largest. `size_px`: the width (longer side in PAD mode) of the training. InputError."""
    check_images(images)
    placed = [_place(_to_rgb(image), mode, size_px, patch_px) for image in images]
    height, width = (max(pixels.shape[axis] for pixels, _ in placed) for axis in (0, 1))
    placed = [_pad(pixels, pixel_map, width, height) for pixels, pixel_map in placed]
    return NetworkImages.of(placed)
