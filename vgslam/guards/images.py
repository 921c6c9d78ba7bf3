"""Whether an image may be decoded: by its size, before it is."""

import os
import stat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.guards.cut_jpeg import ends_early
from vgslam.guards.image_size import stated_size

MOST_PIXELS = 100_000_000  # most pixels of an image: 300 MB as RGB, and as much again while it is turned or converted
MOST_FILE_BYTES = 600_000_000  # longest image file: that many pixels in 16 bits and three channels without compression

CUT_OFF = "the JPEG data is cut off"

VIDEO_LIMIT = {"max_pixels": str(MOST_PIXELS)}
"""The same limit as an option of ffmpeg: for what it decodes while it opens a file."""


class UndecodableError(ValueError):
    """An image cannot or may not be decoded. The text is one line, and reads after the name of the image."""


def too_large(width: int, height: int) -> str | None:
    """Why an image of that size is refused, None if it is not."""
    if width * height <= MOST_PIXELS:
        return None
    return f"an image of {width}x{height} is too large: {MOST_PIXELS / 1e6:g} million pixels are the limit"


def limit_decoder(stream: Any) -> None:
    """Let the decoder of a video stream (PyAV), which must not be open yet, refuse larger frames."""
    stream.codec_context.options = {**stream.codec_context.options, **VIDEO_LIMIT}


def decode(data: bytes, flags: int) -> npt.NDArray[Any]:
    """What OpenCV decodes of a compressed image, by its flags. Raises UndecodableError for what is empty, no image,
    larger by its header than MOST_PIXELS, or a JPEG of which a part is missing."""
    if not data:
        raise UndecodableError("the file is empty")
    size = stated_size(data)
    if size is None:
        raise UndecodableError("not a readable image")
    refused = too_large(*size)
    if refused is not None:
        raise UndecodableError(refused)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise UndecodableError("not a readable image") from error
    if image is None:
        raise UndecodableError("not a readable image")
    if ends_early(data, image):
        raise UndecodableError(CUT_OFF)
    return np.asarray(image)


def read_bytes(path: Path, most_bytes: int = MOST_FILE_BYTES) -> bytes:
    """The content of an image file. Raises UndecodableError for one that is too long, or no file, OSError."""
    about = os.stat(path)
    if not stat.S_ISREG(about.st_mode):
        raise UndecodableError("not a file")
    if about.st_size > most_bytes:
        raise UndecodableError(f"a file of {about.st_size / 1e6:.0f} MB is too large for an image")
    return path.read_bytes()


def read(path: Path, flags: int) -> npt.NDArray[Any]:
    """`decode` of a file. Raises UndecodableError."""
    try:
        return decode(read_bytes(path), flags)
    except (OSError, ValueError) as error:
        if isinstance(error, UndecodableError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise UndecodableError(f"the file cannot be read ({reason})") from error
