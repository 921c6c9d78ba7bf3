"""ROS 1 bags, ROS 2 bags (SQLite and MCAP) and single MCAP files through rosbags; no ROS is needed.

rosbags unpacks each chunk and message as a whole, however large it gets: here there are limits.
"""

import bz2
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import lz4.frame  # type: ignore[import-untyped]
from rosbags.highlevel import AnyReader
from rosbags.rosbag1 import reader as ros1
from rosbags.rosbag2 import reader as ros2
from rosbags.rosbag2 import storage_mcap as mcap
from rosbags.typesys import Stores, get_typestore

from vgslam.errors import CalibrationError, InputError
from vgslam.guards.images import MOST_FILE_BYTES
from vgslam.guards.paths import is_folder, is_plain_file
from vgslam.sources import ros_images as ros
from vgslam.sources.image_files import in_size
from vgslam.sources.image_times import Untimed, mended_stream
from vgslam.sources.options import SourceOptions
from vgslam.sources.recording import BadImageError, Pixels, RawImage, Recording, Warnings

SIZE_PROBES = 9
"""Images at the beginning by which the size is found: a camera may begin with a smaller one."""
_READ_ERRORS = (Exception,)
"""What a damaged bag provokes: errors of rosbags, SQLite, zstd and struct, memory that cannot be had."""


def open_bag(path: Path, options: SourceOptions) -> Recording:
    """Images of the bag's only image topic, or of `options.topic`, at their header.stamp (the time of recording where
    that is zero), repaired by `mended_stream`. The calibration is the camera_info beside the topic, or the bag's only
    one: K and distortion, or P for rectified images. Raises InputError for a damaged bag, and where no topic or several
    could be meant."""
    warnings = Warnings()
    with _opened(path) as reader:
        topic = _choose_topic(path, reader, options.topic)
        n_images = _n_messages(reader, topic)
        info = _first_camera_info(path, reader, topic) if options.calib is None else None

    def images() -> Iterator[RawImage]:
        return mended_stream(_images(path, topic, warnings), warnings)

    size = _usual_size(path, topic, images(), warnings)

    def in_one_size() -> Iterator[RawImage]:
        for raw in images():
            yield replace(raw, load=partial(_scaled, raw, size, warnings))

    recording = Recording(_kind(path), path.resolve().stem, in_one_size, size, n_images, warnings=warnings)
    if info is not None:
        recording.camera = ros.camera_of_info(str(path), info, topic, size)
        if recording.camera is None:
            recording.uncalibrated = ros.UNCALIBRATED
            warnings.add(f"{recording.uncalibrated}: give --calib or --fov-deg")
    return recording


def _kind(path: Path) -> str:
    if path.suffix == ".bag":
        return "ros1"
    return "mcap" if path.is_file() and path.suffix == ".mcap" else "ros2"


@contextmanager
def _opened(path: Path) -> Iterator[AnyReader]:
    bag = _ros2_file(path)
    _refuse_pipes(bag)
    limit_unpacking()
    try:
        reader = AnyReader([bag], default_typestore=get_typestore(Stores.ROS2_HUMBLE))
        reader.open()
    except UnpackedTooLargeError as err:
        raise InputError(f"{path}: {err}; it is not read") from err
    except _READ_ERRORS as err:
        repair = "rosbag reindex" if path.suffix == ".bag" else "mcap recover, or ros2 bag reindex"
        raise InputError(f"{path}: not a readable bag ({_brief(err)}); if it was cut off try {repair}") from err
    try:
        yield reader
    finally:
        reader.close()


def _brief(error: Exception) -> str:
    """The first words of an error, and its kind where it says nothing."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _ros2_file(path: Path) -> Path:
    """A folder without metadata.yaml is read through its only storage file."""
    if not path.is_dir() or (path / "metadata.yaml").is_file():
        return path
    files = sorted([*path.glob("*.mcap"), *path.glob("*.db3")])
    if len(files) != 1:
        raise InputError(f"{path}: metadata.yaml of the ROS 2 bag is missing; give one of its files, or reindex it")
    return files[0]


def _refuse_pipes(bag: Path) -> None:
    """Raises InputError where something in a bag, or the bag, is a pipe or a device, which nobody might ever write."""
    for file in [bag, *(bag.iterdir() if is_folder(bag) else ())]:
        if not (is_plain_file(file) or is_folder(file)) and (file.exists() or not file.is_symlink()):
            raise InputError(f"{file}: is no file but a pipe or a device; give the bag as it was recorded")


def _choose_topic(path: Path, reader: AnyReader, wanted: str | None) -> str:
    found = {c.topic: c.msgtype for c in reader.connections if c.msgtype in (ros.IMAGE, ros.COMPRESSED)}
    listed = ", ".join(sorted(found))
    if not found:
        others = ", ".join(sorted({c.topic for c in reader.connections})[:6]) or "none"
        raise InputError(f"{path}: has no image topic (topics: {others}); give a bag with camera images")
    if wanted is not None:
        match = [topic for topic in found if topic.strip("/") == wanted.strip("/")]
        if not match:
            raise InputError(f"{path}: has no image topic '{wanted}'; image topics: {listed}")
        return match[0]
    if len(found) > 1:
        raise InputError(f"{path}: has {len(found)} image topics: {listed}; choose one with --topic")
    return next(iter(found))


def _n_messages(reader: AnyReader, topic: str) -> int | None:
    """How many a topic has; None where the bag does not say so as a number."""
    counts = [c.msgcount for c in reader.connections if c.topic == topic]
    return sum(counts) if all(isinstance(n, int) and n >= 0 for n in counts) else None


def _first_camera_info(path: Path, reader: AnyReader, topic: str) -> Any | None:
    """The first camera_info message that belongs to an image topic, None without one. Raises CalibrationError."""
    infos = {c.topic: c for c in reader.connections if c.msgtype == ros.INFO}
    connection = next((infos[name] for name in ros.info_topics(topic) if name in infos), None)
    n_image_topics = len({c.topic for c in reader.connections if c.msgtype in (ros.IMAGE, ros.COMPRESSED)})
    if connection is None and len(infos) == 1 and n_image_topics == 1:
        connection = next(iter(infos.values()))
    if connection is None:
        return None
    try:
        for _, _, data in reader.messages(connections=[connection]):
            return reader.deserialize(data, ros.INFO)
    except _READ_ERRORS as err:
        raise CalibrationError(f"{path}, camera_info: cannot be read ({_brief(err)}); give --calib") from err
    return None


def _images(path: Path, topic: str, warnings: Warnings) -> Iterator[Untimed]:
    with _opened(path) as reader:
        connections = [c for c in reader.connections if c.topic == topic]
        messages = reader.messages(connections=connections)
        n = 0
        while True:
            try:
                item = next(messages, None)
            except _READ_ERRORS as err:
                warnings.add(f"the bag is damaged after {n} images ({_brief(err)}); the images before are used")
                return
            if item is None:
                return
            connection, recorded_ns, data = item
            name = f"message {n}"
            n += 1
            try:
                message: Any = reader.deserialize(data, connection.msgtype)
                time_s = float((ros.stamp_ns_of(message) or recorded_ns) / 10**9)
            except _READ_ERRORS as err:
                warnings.tally(f"the message cannot be read ({type(err).__name__})", name)
                continue
            yield Untimed(name, time_s, partial(ros.message_pixels, message))


def _usual_size(path: Path, topic: str, images: Iterator[RawImage], warnings: Warnings) -> tuple[int, int]:
    """The size of most of the first images that can be decoded; of two, the larger."""
    reason, sizes = None, Counter[tuple[int, int]]()
    for raw in images:
        try:
            height, width = raw.load().shape[:2]
        except BadImageError as err:
            reason = str(err)
            continue
        sizes[width, height] += 1
        if sizes.total() >= SIZE_PROBES:
            break
    if sizes:
        return max(sizes, key=lambda size: (sizes[size], size))
    reason = reason or next(iter(warnings), "the topic is empty")
    raise InputError(f"{path}: no image on {topic} can be decoded ({reason}); choose another with --topic")


def _scaled(raw: RawImage, size: tuple[int, int], warnings: Warnings) -> Pixels:
    return in_size(raw.load(), raw.name, size, warnings)


if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MOST_UNPACKED_BYTES = MOST_FILE_BYTES
"""Most that a chunk or a message unpacks to: the largest image that is decoded. Recorders make chunks of about 1 MB."""
MOST_FILE_GROWTH, SMALL_BYTES = 200, 4 * 2**30
"""How much a file compressed as a whole may grow, and what it may unpack to in any case: images shrink to a
twentieth."""
_STEP = 2**24


class UnpackedTooLargeError(Exception):
    """What is packed is larger than anything that a camera records. The text is one line."""


class _Unpacker(Protocol):
    eof: bool
    needs_input: bool
    unused_data: bytes | None

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def unpacked(make: Callable[[], Any], data: bytes, most_bytes: int | None = None) -> bytes:
    """All frames of packed data joined; what follows the last and is no frame is left out. make: a new decompressor for
    each. Raises UnpackedTooLargeError beyond most_bytes (MOST_UNPACKED_BYTES) before more is in memory, EOFError for
    data that is cut off, and what the decompressor raises."""
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
            raise UnpackedTooLargeError(f"a chunk or a message unpacks to more than {MOST_UNPACKED_BYTES / 1e6:.0f} MB")
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
