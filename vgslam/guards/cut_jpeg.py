"""Whether the data of a JPEG image end before the image does: decoders fill what is missing with grey and say nothing.

Data that are cut off mostly lack the marker at their end. Some have it all the same: a camera, or a program that mends
files, has put it there.
"""

import re
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

BEGIN, END = b"\xff\xd8", b"\xff\xd9"
_SCAN, _PROGRESSIVE, _END = 0xDA, 0xC2, 0xD9
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
"""The beginning of a segment. Within a scan an 0xFF has a 0 behind it, or numbers an interval."""
GREY, CORNER_PX = 128, 8
"""What is missing becomes this grey, in blocks of at least this many pixels: all coefficients are zero there (ITU-T
T.81, A.3.1). Blocks of one exact grey in a corner of the image make it worth looking closer."""
_NUMBERS = bytes(range(255))
MORE = _NUMBERS + b"".join(bytes([0xFF, 0xD0 + n]) + _NUMBERS for n in range(8))
"""More of a scan, and of each of the intervals that markers number from 0 to 7: it changes an image that waits for
more, and none that is complete. The first byte is a 0: an 0xFF that was cut off from its own becomes a number."""


def lacks_end(data: bytes) -> bool:
    """Whether they are those of a JPEG without an end marker behind its header segments."""
    return data.startswith(BEGIN) and data.rfind(END, _header(data)[1]) < 0


def ends_early(data: bytes, image: npt.NDArray[Any]) -> bool:
    """Whether the data of a JPEG lack a part of the image, which was decoded of the data (H,W) or (H,W,C): then more
    bytes at their end change it, or scans are missing. Asked only where the image has a grey corner, or the data are
    progressive: there the whole image is less sharp. False for data of another format."""
    if not data.startswith(BEGIN):
        return False
    markers, at = _header(data)
    if _PROGRESSIVE not in markers and not _has_grey_corner(image):
        return False
    if _PROGRESSIVE in markers and _lacks_scans(data):
        return True
    end = data.rfind(END, at)
    end = len(data) if end < 0 else end
    return not np.array_equal(_decoded(data), _decoded(data[:end] + MORE + data[end:]))


def _header(data: bytes) -> tuple[frozenset[int], int]:
    """The markers of the segments before the first scan, and where that begins, or the data stop being segments."""
    at, markers = len(BEGIN), set[int]()
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != _SCAN:
        markers.add(data[at + 1])
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return frozenset(markers), at


def _lacks_scans(data: bytes) -> bool:
    """Whether progressive data end between two scans. Each sends some coefficients of a block but for their lowest
    bits, and later ones bring these (ITU-T T.81, G.1.1); whole images have all bits of all coefficients, or, as a
    preview, of the mean of each block alone. False for data that are damaged otherwise."""
    missing: dict[int, list[int | None]] = {}
    """The bits that the coefficients of each component lack; None for those that were not sent."""
    at = len(BEGIN)
    while (found := _MARKER.search(data, at)) is not None and found[1][0] != _END:
        length = int.from_bytes(data[found.end() : found.end() + 2], "big")
        body, at = data[found.end() + 2 : found.end() + length], found.end() + length
        try:
            if found[1][0] == _PROGRESSIVE:
                missing = {body[6 + 3 * i]: [None] * 64 for i in range(body[5])}
            elif found[1][0] == _SCAN:
                n = body[0]
                first, last, bits = body[2 * n + 1], body[2 * n + 2], body[2 * n + 3] & 15
                for i in range(n):
                    missing[body[1 + 2 * i]][first : last + 1] = [bits] * (last + 1 - first)
        except (IndexError, KeyError):
            return False
    means = [of[0] for of in missing.values()]
    others = [bits for of in missing.values() for bits in of[1:]]
    return any(bits != 0 for bits in means) or any(others) or (None in others and 0 in others)


def _has_grey_corner(image: npt.NDArray[Any]) -> bool:
    """Whether a corner is of the one grey: which of them depends on how the image was turned."""
    low, high = slice(None, CORNER_PX), slice(-CORNER_PX, None)
    return any(bool((image[rows, columns] == GREY).all()) for rows in (low, high) for columns in (low, high))


def _decoded(data: bytes) -> npt.NDArray[np.uint8]:
    """What Pillow makes of them, without a word on standard error; nothing if it cannot."""
    from PIL import Image

    try:
        with Image.open(BytesIO(data), formats=["JPEG"]) as image:
            return np.asarray(image, np.uint8)
    except Exception:  # Pillow passes on whatever a broken file provokes
        return np.zeros(0, np.uint8)
