"""Bags that unpack to more than a camera records: refused before it is in memory."""

import bz2
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lz4.frame
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_typestore

from vgslam.errors import InputError
from vgslam.sources import bag as bags
from vgslam.sources import open_source
from vgslam.sources.bag import UnpackedTooLargeError, unpacked

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACKERS: dict[str, tuple[Callable[[bytes], bytes], Callable[[], Any]]] = {
    "bz2": (bz2.compress, bz2.BZ2Decompressor),
    "lz4": (lz4.frame.compress, lz4.frame.LZ4FrameDecompressor),
    "zstd": (zstd.compress, zstd.ZstdDecompressor),
}
KINDS = ("ros1 bz2", "ros1 lz4", "mcap zstd", "sqlite message", "sqlite file", "mcap file")


@pytest.mark.parametrize("name", PACKERS)
def test_what_is_packed_comes_back_up_to_the_limit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pack, make = PACKERS[name]
    monkeypatch.setattr(bags, "_STEP", 1000)  # several steps
    data = np.random.default_rng(1).integers(0, 4, 50_000).astype(np.uint8).tobytes()
    assert unpacked(make, pack(data)) == data
    assert unpacked(make, pack(data) + pack(b"more")) == data + b"more"
    assert unpacked(make, pack(b"")) == b""
    assert unpacked(make, pack(data) + b"no frame") == data
    assert unpacked(make, pack(data), 50_000) == data
    with pytest.raises(UnpackedTooLargeError):
        unpacked(make, pack(data), 49_999)
    with pytest.raises(UnpackedTooLargeError):
        unpacked(make, pack(data) + pack(b"more"), 50_003)
    with pytest.raises(EOFError):
        unpacked(make, pack(data)[:-30])


def bag(folder: Path, kind: str, pixels: np.ndarray) -> Path:
    """A bag of two images, the first all black."""
    is_ros1 = kind.startswith("ros1")
    store = get_typestore(Stores.ROS1_NOETIC if is_ros1 else Stores.ROS2_HUMBLE)
    writer: Any
    if is_ros1:
        path = folder / "a.bag"
        writer = Writer1(path)
        writer.set_compression(getattr(Writer1.CompressionFormat, kind[5:].upper()))
    else:
        path, plugin = folder / "a", StoragePlugin.SQLITE3 if "sqlite" in kind else StoragePlugin.MCAP
        mode = {"zstd": "STORAGE", "message": "MESSAGE", "file": "FILE"}[kind.split()[1]]
        writer = Writer2(path, version=9, storage_plugin=plugin)
        writer.set_compression(CompressionMode[mode], CompressionFormat.ZSTD)
    kinds, msgtype = store.types, "sensor_msgs/msg/Image"
    with writer:
        topic = writer.add_connection("/cam", msgtype, typestore=store)
        for i, image in enumerate((np.zeros_like(pixels), pixels)):
            stamp = kinds["builtin_interfaces/msg/Time"](sec=1_700_000_000, nanosec=i * 10**8)
            header = kinds["std_msgs/msg/Header"](**({"seq": 0} if is_ros1 else {}), stamp=stamp, frame_id="c")
            height, width = image.shape
            message = kinds[msgtype](header=header, height=height, width=width, encoding="mono8", is_bigendian=0,
                                     step=width, data=image.ravel())  # fmt: skip
            serialize = store.serialize_ros1 if is_ros1 else store.serialize_cdr
            writer.write(topic, 1_700_000_000 * 10**9 + i * 10**8, serialize(message, msgtype))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_bag_is_limited(kind: str, picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It opens, and does not once the limits lie below what it holds."""
    path = bag(tmp_path, kind, picture()[..., 0])
    assert len(list(open_source(path))) == 2
    monkeypatch.setattr(bags, "MOST_UNPACKED_BYTES", 3000)
    monkeypatch.setattr(bags, "SMALL_BYTES", 3000)
    monkeypatch.setattr(bags, "MOST_FILE_GROWTH", 1)
    with pytest.raises(InputError, match="unpacks to more than"):
        open_source(path)
