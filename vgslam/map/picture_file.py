"""One image or depth map as a file: lossless, checksummed, read back bit for bit."""

import hashlib
import weakref
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.errors import MapError
from vgslam.guards import arrays, images

Picture = npt.NDArray[Any]

RAW = ".npy"
"""Suffix of files without compression; saved maps have none of them."""
_FLOATING_POINT_PREDICTOR = 3
_DEFLATE = 8


def encode(picture: Picture) -> tuple[bytes, str]:
    """(H,W,3) uint8 RGB as PNG, (H,W) float32 as TIFF (deflate, floating-point predictor); the bytes and the suffix.
    Raises ValueError for other shapes and types."""
    if picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3:
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        ok, data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        suffix = ".png"
    elif picture.dtype == np.float32 and picture.ndim == 2:
        options = [
            cv2.IMWRITE_TIFF_COMPRESSION, _DEFLATE, cv2.IMWRITE_TIFF_PREDICTOR, _FLOATING_POINT_PREDICTOR,
        ]  # fmt: skip
        ok, data = cv2.imencode(".tiff", np.ascontiguousarray(picture), options)
        suffix = ".tiff"
    else:
        raise ValueError(f"a picture is (H,W,3) uint8 or (H,W) float32, got {picture.shape} {picture.dtype}")
    if not ok:
        raise ValueError(f"a picture of shape {picture.shape} could not be encoded")
    return data.tobytes(), suffix


def raw(picture: Picture) -> tuple[bytes, str]:
    """The same as `encode` without compression, for files that are read again soon: a tenth of the time."""
    buffer = BytesIO()
    np.save(buffer, np.ascontiguousarray(picture), allow_pickle=False)
    return buffer.getvalue(), RAW


def decode(data: bytes, suffix: str) -> Picture:
    """The inverse of `encode` and `raw`. Raises ValueError for bytes that hold no picture."""
    if suffix == RAW:
        return arrays.read_array(data)
    try:
        picture = images.decode(data, cv2.IMREAD_UNCHANGED)
    except images.UndecodableError as error:
        raise ValueError(f"holds no picture ({error})") from error
    if suffix == ".png" and picture.dtype == np.uint8 and picture.shape[2:] == (3,):
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    if suffix == ".png" or picture.dtype != np.float32 or picture.ndim != 2:
        raise ValueError("holds a picture of another kind")
    return picture


@dataclass(frozen=True)
class PictureFile:
    """An encoded picture on disk."""

    path: Path
    sha256: bytes
    """Digest of the file."""
    size: int
    """Size in bytes."""

    def read_bytes(self) -> bytes:
        """The encoded picture, verified. Raises MapError."""
        try:
            data = images.read_bytes(self.path)
        except images.UndecodableError as error:
            raise MapError(f"{self.path}: a picture of the map is damaged ({error})") from error
        except OSError as error:
            raise MapError(f"{self.path}: a picture of the map cannot be read ({error.strerror or error})") from error
        if len(data) != self.size or hashlib.sha256(data).digest() != self.sha256:
            raise MapError(f"{self.path}: a picture of the map is damaged (its checksum differs)")
        return data

    def read(self) -> Picture:
        """The picture, verified. Raises MapError."""
        try:
            return decode(self.read_bytes(), self.path.suffix)
        except ValueError as error:
            raise MapError(f"{self.path}: {error}") from error

    @property
    def is_raw(self) -> bool:
        """Whether it is not compressed."""
        return self.path.suffix == RAW

    def exists(self) -> bool:
        """Whether the file is there with its full size (its content is verified when it is read)."""
        try:
            return self.path.stat().st_size == self.size
        except OSError:
            return False

    def __deepcopy__(self, memo: dict[int, Any]) -> "PictureFile":
        return self


def describe(path: Path, data: bytes) -> PictureFile:
    """The record of a file at `path` with the content `data`."""
    return PictureFile(path, hashlib.sha256(data).digest(), len(data))


def unlink_with(owner: object, path: Path) -> None:
    """Remove the file when nobody holds `owner` any more, at the latest at the end of the program."""
    weakref.finalize(owner, path.unlink, missing_ok=True)
