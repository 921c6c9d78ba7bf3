"""What the chunks and messages of a bag may unpack to: rosbags unpacks each as a whole, however large it gets."""

import bz2
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Protocol

import lz4.frame  # type: ignore[import-untyped]
from rosbags.rosbag1 import reader as ros1
from rosbags.rosbag2 import reader as ros2
from rosbags.rosbag2 import storage_mcap as mcap

from vgslam.guards.images import MOST_FILE_BYTES

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MOST_UNPACKED_BYTES = MOST_FILE_BYTES
"""Most that a chunk or a message unpacks to: the largest image that is decoded. Recorders make chunks of about 1 MB."""
MOST_FILE_GROWTH, SMALL_BYTES = 200, 4 * 2**30
"""A bag file that is compressed as a whole may unpack to so many times its size, and to so much in any case: images
shrink to a twentieth at best."""
_STEP = 2**24


class UnpackedTooLargeError(Exception):
    """What is packed is larger than anything that a camera records. The text is one line."""


class _Unpacker(Protocol):
    eof: bool
    needs_input: bool
    unused_data: bytes | None

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def unpacked(make: Callable[[], Any], data: bytes, most_bytes: int | None = None) -> bytes:
    """All frames of packed data, one after another; what follows the last and is no frame is left out.

    make: a new decompressor (bz2, lz4, zstd) for each frame. Raises UnpackedTooLargeError beyond most_bytes (by default
    MOST_UNPACKED_BYTES) while no more than that is in memory, EOFError for data that is cut off, and what the
    decompressor raises.
    """
    most = MOST_UNPACKED_BYTES if most_bytes is None else most_bytes
    parts: list[bytes] = []
    rest, n_frames = data, 0
    while rest or not n_frames:
        try:
            more, rest = _frame(make(), rest, most - sum(map(len, parts)))
        except UnpackedTooLargeError:
            raise
        except Exception:
            if n_frames:
                break
            raise
        parts += more
        n_frames += 1
    return b"".join(parts)


def _frame(unpacker: _Unpacker, data: bytes, most: int) -> tuple[list[bytes], bytes]:
    """The parts of the first frame, and what follows it."""
    parts: list[bytes] = []
    while not unpacker.eof:
        part = unpacker.decompress(data, _STEP)
        if not part and not unpacker.eof and unpacker.needs_input:
            raise EOFError("what is packed is cut off")
        parts.append(part)
        most -= len(part)
        if most < 0:
            raise UnpackedTooLargeError(
                f"a chunk or a message unpacks to more than {MOST_UNPACKED_BYTES / 1e6:.0f} MB, as no camera records"
            )
        data = b""
    return parts, unpacker.unused_data or b""


class _LimitedFile:
    """A compressed file that is read to its end, which is refused beyond its limit."""

    def __init__(self, packed: Any, mode: str = "rb") -> None:
        self._file: Any = zstd.open(packed, "rb")
        at = packed.tell()
        self._left = max(SMALL_BYTES, MOST_FILE_GROWTH * packed.seek(0, 2))
        packed.seek(at)

    def read(self, size: int = -1) -> bytes:
        part: bytes = self._file.read(size)
        self._left -= len(part)
        if self._left < 0:
            raise UnpackedTooLargeError(f"the file unpacks to more than {MOST_FILE_GROWTH} times its size")
        return part

    def __enter__(self) -> "_LimitedFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def limit_unpacking() -> None:
    """From now on rosbags unpacks no more than the limits, in this process. Safe to call again."""
    ros1.decompressors[ros1.Compression.BZ2.value] = lambda data: unpacked(bz2.BZ2Decompressor, data)
    ros1.decompressors[ros1.Compression.LZ4.value] = lambda data: unpacked(lz4.frame.LZ4FrameDecompressor, data)
    mcap.DECOMPRESSORS["lz4"] = lambda data, size: unpacked(lz4.frame.LZ4FrameDecompressor, data)
    mcap.DECOMPRESSORS["zstd"] = lambda data, size: unpacked(zstd.ZstdDecompressor, data)
    limited: Any = SimpleNamespace(open=_LimitedFile, decompress=lambda data: unpacked(zstd.ZstdDecompressor, data))
    ros2.zstd = limited
