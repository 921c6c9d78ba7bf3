"""The size of a compressed image by its header, before anything is decoded.

Formats: PNG (ISO 15948), JPEG (ITU-T T.81), TIFF 6.0 and BigTIFF, BMP, WebP (RFC 9649), Netpbm, GIF89a, JPEG 2000
(ITU-T T.800), AVIF (ISO 23008-12, the property `ispe`), Radiance HDR.
"""

import re
import struct
from collections.abc import Callable

Size = tuple[int, int]

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG's markers "start of frame"; three of the range mean other things."""
_TIFF_SIZES = {256: 0, 257: 1, 322: 2, 323: 3}
"""TIFF's fields: width and height of the image, and those of a tile, which decoders make room for as well."""
_TIFF_TYPES = {1: 1, 3: 2, 4: 4, 16: 8}  # bytes of TIFF's types of whole numbers
_MOST_FIELDS = 4096


def stated_size(data: bytes) -> Size | None:
    """(width, height) that an image's header states, the largest of several; None for another format, or one cut
    off."""
    for begins, read in _READERS:
        if begins(data):
            try:
                return read(data)
            except (struct.error, IndexError, ValueError):
                return None
    return None


def _png(data: bytes) -> Size:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _jpeg(data: bytes) -> Size | None:
    at, found = 2, None
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            at += 1
            continue
        marker = data[at + 1]
        if marker in (0xFF, 0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in (0xDA, 0xD9):
            break
        if marker in _FRAMES and at + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, at + 5)
            found = _larger(found, (width, height))
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return found


def _tiff(data: bytes) -> Size | None:
    order = "<" if data[:2] == b"II" else ">"
    is_big = struct.unpack_from(order + "H", data, 2)[0] == 43
    at = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)[0]
    n = struct.unpack_from(order + ("Q" if is_big else "H"), data, at)[0]
    at, step, value_at = at + (8 if is_big else 2), 20 if is_big else 12, 12 if is_big else 8
    sizes = [0, 0, 0, 0]
    for i in range(min(n, _MOST_FIELDS)):
        tag, kind = struct.unpack_from(order + "HH", data, at + i * step)
        if tag in _TIFF_SIZES and kind in _TIFF_TYPES:
            begin = at + i * step + value_at
            value = int.from_bytes(data[begin : begin + _TIFF_TYPES[kind]], "little" if order == "<" else "big")
            sizes[_TIFF_SIZES[tag]] = max(sizes[_TIFF_SIZES[tag]], value)
    width, height, *tile = sizes
    return _larger((width, height), (tile[0], tile[1])) if width and height else None


def _bmp(data: bytes) -> Size:
    if struct.unpack_from("<I", data, 14)[0] == 12:  # OS/2
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)


def _webp(data: bytes) -> Size | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _netpbm(data: bytes) -> Size | None:
    if data[1:2] == b"7":  # PAM names its fields
        found = [re.search(rb"(?m)^\s*" + name + rb"\s+(\d{1,12})", data[:4096]) for name in (b"WIDTH", b"HEIGHT")]
        return (int(found[0][1]), int(found[1][1])) if found[0] and found[1] else None
    words = re.sub(rb"#[^\r\n]*", b" ", data[2:65536]).split(None, 2)
    return int(words[0][:12]), int(words[1][:12])


def _gif(data: bytes) -> Size:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _jpeg2000(data: bytes) -> Size | None:
    at = data.find(b"\xff\x4f\xff\x51")
    if at < 0:
        return None
    x1, y1, x0, y0 = struct.unpack_from(">IIII", data, at + 8)
    return max(0, x1 - x0), max(0, y1 - y0)


def _avif(data: bytes) -> Size | None:
    found = None
    for at in re.finditer(rb"ispe", data[:65536]):
        width, height = struct.unpack_from(">II", data, at.end() + 4)
        found = _larger(found, (width, height))
    return found


def _radiance(data: bytes) -> Size | None:
    found = re.search(rb"\n[-+]Y\s+(\d{1,12})\s+[-+]X\s+(\d{1,12})", data[:65536])
    return (int(found[2]), int(found[1])) if found else None


def _larger(a: Size | None, b: Size) -> Size:
    return b if a is None or b[0] * b[1] > a[0] * a[1] else a


def _starts(*beginnings: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(beginnings)


_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Size | None]], ...] = (
    (_starts(b"\x89PNG\r\n\x1a\n"), _png),
    (_starts(b"\xff\xd8"), _jpeg),
    (_starts(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _tiff),
    (_starts(b"BM"), _bmp),
    (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", _webp),
    (_starts(*(b"P%d" % i for i in range(1, 8)), b"PF", b"Pf"), _netpbm),
    (_starts(b"GIF87a", b"GIF89a"), _gif),
    (_starts(b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51"), _jpeg2000),
    (lambda data: data[4:8] == b"ftyp", _avif),
    (_starts(b"#?RGBE", b"#?RADIANCE"), _radiance),
)
