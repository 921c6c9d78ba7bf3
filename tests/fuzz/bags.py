"""ROS 1 bags, ROS 2 bags (SQLite, MCAP), and the pixels of ROS messages."""

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from fuzz.mutations import EDGES, mutated_files
from fuzz.parser import Files, Parser, read_files
from fuzz.pictures import encoded
from hypothesis import strategies as st
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_typestore

from vgslam.guards.paths import is_folder
from vgslam.sources import SourceOptions, open_source
from vgslam.sources.recording import BadImageError
from vgslam.sources.ros_images import message_pixels

ENCODINGS = ("mono8", "rgb8", "bgra8", "mono16", "yuv422", "yuyv", "bayer_rggb8", "bayer_gbrg16", "32FC1", "")


def _messages(store: Any, is_ros1: bool) -> list[tuple[str, str, Any]]:
    made = []
    types = store.types
    for i in range(3):
        stamp = types["builtin_interfaces/msg/Time"](sec=1_700_000_000, nanosec=i * 10**8)
        header = types["std_msgs/msg/Header"](**({"seq": 0} if is_ros1 else {}), stamp=stamp, frame_id="c")
        pixels = np.full(16 * 12, 10 * i, np.uint8)
        if i:
            made.append(
                (
                    "/cam/image",
                    "sensor_msgs/msg/Image",
                    types["sensor_msgs/msg/Image"](
                        header=header, height=12, width=16, encoding="mono8", is_bigendian=0, step=16, data=pixels
                    ),
                )
            )
            continue
        up = str.upper if is_ros1 else str
        matrices = {
            up("k"): np.array([20.0, 0, 8, 0, 20, 6, 0, 0, 1]),
            up("d"): np.zeros(5),
            up("r"): np.eye(3).ravel(),
            up("p"): np.zeros(12),
        }
        made.append(
            (
                "/cam/camera_info",
                "sensor_msgs/msg/CameraInfo",
                types["sensor_msgs/msg/CameraInfo"](
                    header=header,
                    height=12,
                    width=16,
                    distortion_model="plumb_bob",
                    binning_x=0,
                    binning_y=0,
                    roi=types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
                    **matrices,
                ),
            )
        )
    return made


def _written(folder: Path, kind: str) -> Path:
    is_ros1 = kind.startswith("ros1")
    store = get_typestore(Stores.ROS1_NOETIC if is_ros1 else Stores.ROS2_HUMBLE)
    if is_ros1:
        writer: Any = Writer1(folder / "a.bag")
        if kind != "ros1":
            writer.set_compression(getattr(Writer1.CompressionFormat, kind[5:].upper()))
    else:
        writer = Writer2(
            folder / "a", version=9, storage_plugin=StoragePlugin.MCAP if "mcap" in kind else StoragePlugin.SQLITE3
        )
        if kind.endswith("zstd"):
            writer.set_compression(
                CompressionMode.STORAGE if "mcap" in kind else CompressionMode.MESSAGE, CompressionFormat.ZSTD
            )
    with writer:
        topics: dict[str, Any] = {}
        for i, (topic, msgtype, message) in enumerate(_messages(store, is_ros1)):
            if topic not in topics:
                topics[topic] = writer.add_connection(topic, msgtype, typestore=store)
            serialize = store.serialize_ros1 if is_ros1 else store.serialize_cdr
            writer.write(topics[topic], 10**18 + i * 10**8, serialize(message, msgtype))
    return folder


def samples() -> list[Files]:
    """A bag of each kind; a single MCAP file too."""
    made = []
    for kind in ("ros1", "ros1 bz2", "ros1 lz4", "ros2", "ros2 zstd", "mcap", "mcap zstd"):
        with tempfile.TemporaryDirectory() as folder:
            files = read_files(_written(Path(folder), kind))
        made.append(files)
        made += [{"a.mcap": data} for name, data in files.items() if name.endswith(".mcap")]
    return made


def read(folder: Path) -> None:
    """All images of the bag, whatever it is called."""
    path = next((p for p in sorted(folder.iterdir()) if is_folder(p) or p.suffix in (".bag", ".mcap", ".db3")), folder)
    for frame in open_source(path, SourceOptions(max_frames=5)):
        assert frame.image.dtype == np.uint8


def read_message(folder: Path) -> None:
    """The pixels of one message whose fields the files are."""
    words = (folder / "message").read_text().split("|")
    data = (folder / "data").read_bytes()
    message = SimpleNamespace(
        encoding=words[0],
        height=int(words[1]),
        width=int(words[2]),
        step=int(words[3]),
        is_bigendian=int(words[4]),
        data=np.frombuffer(data, np.uint8),
    )
    if words[5] == "compressed":
        message.format = "png"
    message_pixels(message)


NUMBER = st.one_of(st.integers(0, 40), st.sampled_from([n for n in EDGES if n < 2**32]))
MESSAGES = st.tuples(
    st.sampled_from(ENCODINGS),
    NUMBER,
    NUMBER,
    NUMBER,
    st.sampled_from([0, 1]),
    st.sampled_from(["raw", "raw", "compressed"]),
    st.sampled_from([0, 1, 64, 768, 1536, 4096]),
).map(lambda m: {"message": "|".join(map(str, m[:6])).encode(), "data": (encoded(".png") * 10)[: m[6]]})
PARSERS = [
    Parser("bag", mutated_files(samples, (b"sensor_msgs/msg/Image", b"/cam/image", b"zstd", b"lz4", b"bz2")), read),
    Parser("ROS message", MESSAGES, read_message, (BadImageError,)),
]
