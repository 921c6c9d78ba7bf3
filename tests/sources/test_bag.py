"""ROS 1 bags, ROS 2 bags and MCAP files written by rosbags."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_typestore

from vgslam.errors import InputError
from vgslam.session.read_ahead import read_ahead
from vgslam.sources import SourceOptions, open_source
from vgslam.sources.recording import BadImageError
from vgslam.sources.ros_images import message_pixels

N = 4
T0_NS = 1_700_000_000_000_000_000
KINDS = ["ros1", "ros2", "mcap", "ros2-mcap"]
Message = tuple[str, str, int, Any]
"""Topic, type, time of recording in ns, message."""


def store_of(kind: str) -> Any:
    return get_typestore(Stores.ROS1_NOETIC if kind == "ros1" else Stores.ROS2_HUMBLE)


def header(store: Any, stamp_ns: int) -> Any:
    stamp = store.types["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    fields = {"stamp": stamp, "frame_id": "cam"}
    if "seq" in store.types["std_msgs/msg/Header"].__annotations__:
        fields["seq"] = 0
    return store.types["std_msgs/msg/Header"](**fields)


def image_message(store: Any, image: np.ndarray, encoding: str, stamp_ns: int = T0_NS, padding: int = 0) -> Any:
    rows = np.ascontiguousarray(image).view(np.uint8).reshape(image.shape[0], -1)
    data = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    return store.types["sensor_msgs/msg/Image"](
        header=header(store, stamp_ns), height=image.shape[0], width=image.shape[1], encoding=encoding,
        is_bigendian=int(image.dtype.byteorder == ">"), step=data.shape[1], data=data.ravel(),
    )  # fmt: skip


def info_message(store: Any, fx: float, d: list[float], model: str = "plumb_bob") -> Any:
    info = store.types["sensor_msgs/msg/CameraInfo"]
    upper = "K" in info.__annotations__
    matrices = {
        "k": np.array([fx, 0, 31.0, 0, 52.0, 23.0, 0, 0, 1]),
        "d": np.array(d),
        "r": np.eye(3).ravel(),
        "p": np.array([40.0, 0, 30.0, 0, 0, 41.0, 22.0, 0, 0, 0, 1, 0]),
    }
    roi = store.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    return info(
        header=header(store, T0_NS), height=48, width=64, distortion_model=model, binning_x=0, binning_y=0, roi=roi,
        **{(name.upper() if upper else name): value for name, value in matrices.items()},
    )  # fmt: skip


def write_bag(folder: Path, kind: str, messages: list[Message]) -> Path:
    """Writes a bag of the kind; "mcap" is a single file, "ros2-mcap" a folder with metadata."""
    store = store_of(kind)
    path = folder / ("a.bag" if kind == "ros1" else "a")
    if kind == "ros1":
        writer: Any = Writer1(path)
    else:
        plugin = StoragePlugin.MCAP if "mcap" in kind else StoragePlugin.SQLITE3
        writer = Writer2(path, version=9, storage_plugin=plugin)
    with writer:
        connections = {}
        for topic, msgtype, time_ns, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, msgtype, typestore=store)
            serialize = store.serialize_ros1 if kind == "ros1" else store.serialize_cdr
            writer.write(connections[topic], time_ns, serialize(message, msgtype))
    return next(path.glob("*.mcap")) if kind == "mcap" else path


@pytest.fixture
def images(picture: Callable[..., np.ndarray]) -> list[np.ndarray]:
    return [picture(i) for i in range(N)]


def image_messages(kind: str, images: list[np.ndarray], topic: str = "/cam0/image_raw") -> list[Message]:
    """rgb8 messages at 20 Hz, recorded 5 ms after they were taken."""
    stamps = [T0_NS + i * 50_000_000 for i in range(len(images))]
    return [
        (topic, "sensor_msgs/msg/Image", t + 5_000_000, image_message(store_of(kind), image, "rgb8", t))
        for t, image in zip(stamps, images, strict=True)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_bag_gives_images_stamps_and_calibration(tmp_path: Path, images: list[np.ndarray], kind: str) -> None:
    info = info_message(store_of(kind), 51.0, [0.0] * 5)
    messages = [("/cam0/camera_info", "sensor_msgs/msg/CameraInfo", T0_NS, info), *image_messages(kind, images)]
    source = open_source(write_bag(tmp_path, kind, messages))
    frames = list(source)
    assert source.kind == {"ros2-mcap": "ros2"}.get(kind, kind)
    assert (source.n_frames, source.warnings) == (N, [])
    assert [f.timestamp_s for f in frames] == [(T0_NS + i * 50_000_000) / 10**9 for i in range(N)]
    for frame, image in zip(frames, images, strict=True):
        np.testing.assert_array_equal(frame.image, image)
    assert source.camera is not None
    assert (source.camera.fx, source.camera.fy, source.camera.cx, source.camera.cy) == (51, 52, 31, 23)
    again = open_source(tmp_path / "a.bag" if kind == "ros1" else tmp_path / "a")
    with read_ahead(again, lambda image: None) as frames_ahead:  # on a thread of its own
        assert [f.id for f in frames_ahead] == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_several_image_topics_are_listed_and_one_can_be_chosen(
    tmp_path: Path, images: list[np.ndarray], kind: str
) -> None:
    left, right = image_messages(kind, images, "/left"), image_messages(kind, images[2:3], "/right")
    path = write_bag(tmp_path, kind, left + right)
    with pytest.raises(InputError, match="has 2 image topics: /left, /right; choose one with --topic"):
        open_source(path)
    source = open_source(path, SourceOptions(topic="right"))
    frames = list(source)
    assert source.n_frames == 1
    np.testing.assert_array_equal(frames[0].image, images[2])
    with pytest.raises(InputError, match="no image topic 'middle'; image topics: /left, /right"):
        open_source(path, SourceOptions(topic="middle"))


def test_a_bag_without_images_lists_its_topics(tmp_path: Path) -> None:
    info = info_message(store_of("ros1"), 51.0, [])
    path = write_bag(tmp_path, "ros1", [("/info", "sensor_msgs/msg/CameraInfo", T0_NS, info)])
    with pytest.raises(InputError, match="has no image topic"):
        open_source(path)


@pytest.mark.parametrize("kind", ["ros1", "mcap"])
def test_compressed_images_and_their_camera_info(tmp_path: Path, images: list[np.ndarray], kind: str) -> None:
    store = store_of(kind)
    msgtype = "sensor_msgs/msg/CompressedImage"
    messages: list[Message] = [
        ("/cam/camera_info", "sensor_msgs/msg/CameraInfo", T0_NS, info_message(store, 51.0, [0.0] * 4)),
        ("/other/camera_info", "sensor_msgs/msg/CameraInfo", T0_NS, info_message(store, 77.0, [0.0] * 4)),
    ]
    for i, image in enumerate(images):
        data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].ravel()
        message = store.types[msgtype](header=header(store, T0_NS + i * 10**8), format="bgr8; png", data=data)
        messages.append(("/cam/image_raw/compressed", msgtype, T0_NS + i * 10**8, message))
    messages[3][3].data = np.frombuffer(b"not a picture", np.uint8)
    source = open_source(write_bag(tmp_path, kind, messages))
    frames = list(source)
    np.testing.assert_array_equal(frames[1].image, images[2])
    assert [f.timestamp_s for f in frames] == pytest.approx([T0_NS / 1e9 + 0.1 * i for i in (0, 2, 3)])
    assert source.warnings == ["1 image skipped, not a readable image: message 1"]
    assert source.camera is not None
    assert source.camera.fx == 51.0


def test_fisheye_camera_info_and_rectified_topics(tmp_path: Path, images: list[np.ndarray]) -> None:
    store = store_of("ros2")
    info = info_message(store, 51.0, [0.1, 0.01, 0.0, 0.0], "equidistant")
    rectified = [("/c/camera_info", "sensor_msgs/msg/CameraInfo", T0_NS, info)]
    rectified += image_messages("ros2", images, "/c/image_rect_color")
    camera = open_source(write_bag(tmp_path, "ros2", rectified)).camera
    assert camera is not None
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (40, 41, 30, 22)  # of P
    (tmp_path / "raw").mkdir()
    raw = [rectified[0], *image_messages("ros2", images, "/c/image_raw")]
    camera = open_source(write_bag(tmp_path / "raw", "ros2", raw)).camera
    assert camera is not None
    assert not camera.is_distorted
    assert camera.fx != 51.0


def test_uncalibrated_camera_info_and_zero_stamps(tmp_path: Path, images: list[np.ndarray]) -> None:
    store = store_of("ros1")
    info = info_message(store, 0.0, [])
    info.K[:] = 0
    messages: list[Message] = [("/cam0/camera_info", "sensor_msgs/msg/CameraInfo", T0_NS, info)]
    for i, image in enumerate(images):
        message = image_message(store, image, "rgb8", 0)
        messages.append(("/cam0/image_raw", "sensor_msgs/msg/Image", T0_NS + i * 10**8, message))
    source = open_source(write_bag(tmp_path, "ros1", messages))
    assert source.camera is None
    assert source.warnings == [
        "camera_info says that the camera is not calibrated (zeros): give --calib or --fov-deg"
    ]
    assert [f.timestamp_s for f in source] == pytest.approx([T0_NS / 1e9 + 0.1 * i for i in range(N)])


@pytest.mark.parametrize("kind", ["ros1", "ros2"])
@pytest.mark.parametrize(
    ("topic", "roi", "size", "four"),
    [
        ("/c/image_raw", (0, 0, 0, 0), (32, 24), (25.5, 26, 15.25, 11.25)),  # binned by 2: (31 + .5) / 2 - .5
        ("/c/image_raw", (8, 16, 24, 32), (32, 24), (51, 52, 15, 15)),
        ("/c/image_raw", (8, 16, 24, 32), (16, 12), (25.5, 26, 7.25, 7.25)),  # both
        ("/c/image_raw", (8, 16, 24, 32), (64, 48), (51, 52, 31, 23)),  # the whole sensor came nevertheless
        ("/c/image_rect", (8, 16, 24, 32), (32, 24), (40, 41, 14, 14)),
        ("/c/image_rect", (0, 0, 0, 0), (64, 48), (40, 41, 30, 22)),
    ],
)
def test_regions_and_binning_of_a_sensor(
    tmp_path: Path, picture, kind: str, topic: str, roi: tuple[int, ...], size: tuple[int, int], four: tuple[float, ...]
) -> None:
    """K and P are of the whole sensor of 64x48; roi: y, x, height, width, as its message has them."""
    store = store_of(kind)
    info = info_message(store, 51.0, [0.0] * 5)
    y, x, height, width = roi
    info.roi = store.types["sensor_msgs/msg/RegionOfInterest"](
        x_offset=x, y_offset=y, height=height, width=width, do_rectify=False
    )
    info.binning_x = info.binning_y = (width or 64) // size[0]
    messages: list[Message] = [("/c/camera_info", "sensor_msgs/msg/CameraInfo", T0_NS, info)]
    shown = [picture(i, *size) for i in range(2)]
    camera = open_source(write_bag(tmp_path, kind, messages + image_messages(kind, shown, topic))).camera
    assert camera is not None
    assert (camera.width, camera.height) == size
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == pytest.approx(four)


@pytest.mark.parametrize("kind", ["ros1", "ros2"])
def test_a_bag_played_twice_goes_on_and_one_wild_stamp_costs_one_image(tmp_path: Path, picture, kind: str) -> None:
    n, store, messages = 8, store_of(kind), []
    for i in range(2 * n):
        stamp_ns = T0_NS + (i % n) * 50_000_000 + (86_400 * 10**9 if i == 3 else 0)
        message = image_message(store, picture(i), "rgb8", stamp_ns)
        messages.append(("/cam0/image_raw", "sensor_msgs/msg/Image", T0_NS + i * 50_000_000, message))
    source = open_source(write_bag(tmp_path, kind, messages))
    frames = list(source)
    kept = [i for i in range(2 * n) if i != 3]
    assert [int(f.image[0, 0, 2]) // 10 for f in frames] == kept
    assert [f.timestamp_s for f in frames] == pytest.approx([T0_NS / 1e9 + 0.05 * i for i in kept], abs=1e-5)
    assert source.warnings == [
        "1 image skipped, timestamp far from those before and after: message 3",
        "1 image and those after moved on in time, the clock starts again there (recordings joined?): message 8",
    ]


@pytest.mark.parametrize("kind", ["ros1", "mcap", "ros2"])
def test_a_bag_cut_off_is_one_clear_error(tmp_path: Path, images: list[np.ndarray], kind: str) -> None:
    path = write_bag(tmp_path, kind, image_messages(kind, images))
    file = next(path.glob("*.db3")) if kind == "ros2" else path
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputError, match="bag") as caught:
        list(open_source(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.bag", "a.mcap", "a.db3"])
def test_text_called_bag(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("these are words\n")
    with pytest.raises(InputError, match="not a readable bag"):
        open_source(tmp_path / name)


def sixteen_bits(image: np.ndarray, dtype: str) -> np.ndarray:
    """High bytes of the image, low bytes of 10: not the same the other way round."""
    return (image.astype(np.uint16) * 256 + 10).astype(dtype)


def rgb_as(image: np.ndarray, encoding: str) -> np.ndarray:
    """The array that a camera driver would send for an RGB image."""
    r, g, b = (image[..., c] for c in range(3))
    alpha = np.full_like(r, 9)
    return {
        "rgb8": image, "bgr8": np.dstack([b, g, r]), "8UC3": np.dstack([b, g, r]),
        "rgba8": np.dstack([r, g, b, alpha]), "bgra8": np.dstack([b, g, r, alpha]), "8UC4": np.dstack([b, g, r, alpha]),
        "rgb16": sixteen_bits(image, "<u2"), "bgr16": sixteen_bits(np.dstack([b, g, r]), ">u2"),
    }[encoding]  # fmt: skip


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "8UC3", "rgba8", "bgra8", "8UC4", "rgb16", "bgr16"])
@pytest.mark.parametrize("padding", [0, 6])
def test_colour_encodings(picture, encoding: str, padding: int) -> None:
    sent = rgb_as(picture(3), encoding)
    message = image_message(store_of("ros2"), sent, encoding, padding=padding)
    np.testing.assert_allclose(message_pixels(message).astype(int), picture(3), atol=1 if "16" in encoding else 0)


@pytest.mark.parametrize(("encoding", "dtype"), [("mono8", "u1"), ("8UC1", "u1"), ("mono16", "<u2"), ("16UC1", ">u2")])
def test_grey_encodings(picture, encoding: str, dtype: str) -> None:
    grey = picture(2, grey=True)
    sent = grey if dtype == "u1" else sixteen_bits(grey, dtype)
    message = image_message(store_of("ros1"), sent, encoding, padding=2)
    np.testing.assert_allclose(message_pixels(message).astype(int), grey, atol=0 if dtype == "u1" else 1)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_bayer_patterns(pattern: str, bits: int) -> None:
    """A sensor under even light of the colour (200, 100, 50): each pixel measures one channel of it."""
    level = {"r": 200, "g": 100, "b": 50}
    tile = np.array([[level[pattern[0]], level[pattern[1]]], [level[pattern[2]], level[pattern[3]]]])
    sent = np.tile(tile, (8, 8)).astype(np.uint8)
    sent = sent if bits == 8 else sent.astype(np.uint16) * 257
    image = message_pixels(image_message(store_of("ros2"), sent, f"bayer_{pattern}{bits}"))
    np.testing.assert_array_equal(image[2:-2, 2:-2].reshape(-1, 3), [[200, 100, 50]] * 144)


@pytest.mark.parametrize(
    ("encoding", "order"), [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuyv", "yuyv"), ("yuv422_yuy2", "yuyv")]
)
def test_yuv_encodings(encoding: str, order: str) -> None:
    """An even red in BT.601 studio range is (y, u, v) = (81, 90, 240)."""
    value = {"y": 81, "u": 90, "v": 240}
    sent = np.tile(np.array([value[c] for c in order], np.uint8).reshape(1, 2, 2), (6, 4, 1))
    image = message_pixels(image_message(store_of("ros2"), sent, encoding))
    assert image.shape == (6, 8, 3)
    assert np.abs(image.astype(int) - [255, 0, 0]).max() <= 3


def test_messages_that_cannot_be_used(picture) -> None:
    store = store_of("ros2")
    with pytest.raises(BadImageError, match="encoding '32FC1' is not supported"):
        message_pixels(image_message(store, np.zeros((4, 4), np.float32), "32FC1"))
    message = image_message(store, picture(0), "rgb8")
    message.data = message.data[:-5]
    with pytest.raises(BadImageError, match="fewer bytes"):
        message_pixels(message)


class TestHostileMessages:
    def message(self, **changes: Any) -> Any:
        store = store_of("ros2")
        message = image_message(store, np.arange(12, dtype=np.uint8).reshape(3, 4), "mono8")
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    @pytest.mark.parametrize(
        "changes", [{"width": 2**31, "step": 2**31}, {"height": 2**31}, {"step": 3}, {"height": 0}]
    )
    def test_sizes_that_the_data_do_not_fill_are_refused(self, changes: dict[str, int]) -> None:
        with pytest.raises(BadImageError):
            message_pixels(self.message(**changes))

    def test_a_row_of_four_gigabytes_is_not_made(self) -> None:
        """The padding of the last row may be missing: none is put there, however long the message says that it is."""
        pixels = message_pixels(self.message(height=1, width=12, step=2**32 - 1))
        np.testing.assert_array_equal(pixels, [np.arange(12)])

    def test_a_size_beyond_the_limit_is_named(self) -> None:
        with pytest.raises(BadImageError, match="20000x20000 is too large"):
            message_pixels(self.message(height=20_000, width=20_000, step=20_000))


@pytest.mark.parametrize(("n_small", "size", "n_other"), [(2, (64, 48), 2), (4, (64, 48), 4), (6, (32, 24), 3)])
def test_the_usual_size_of_the_first_images_counts_and_others_are_scaled(
    tmp_path: Path, picture: Callable[..., np.ndarray], n_small: int, size: tuple[int, int], n_other: int
) -> None:
    """The larger size where both are as many. Nine images say it."""
    n = 8 if n_small == 4 else 9
    images = [picture(i, 32, 24) if i < n_small else picture(i) for i in range(n)]
    source = open_source(write_bag(tmp_path, "mcap", image_messages("mcap", images)))
    frames = list(source)
    assert {f.image.shape[1::-1] for f in frames} == {size}
    assert len(frames) == len(images)
    assert any(f"{n_other} images scaled to {size[0]}x{size[1]}" in w for w in source.warnings)


def test_only_the_first_nine_say_the_size(tmp_path: Path, picture: Callable[..., np.ndarray]) -> None:
    images = [picture(i, 32, 24) for i in range(5)] + [picture(i) for i in range(20)]
    source = open_source(write_bag(tmp_path, "mcap", image_messages("mcap", images)))
    assert next(iter(source)).image.shape == (24, 32, 3)


@pytest.mark.parametrize("name", ["a.bag", "a.mcap", "a.db3", "a/a.db3", "a/other"])
def test_a_pipe_in_the_place_of_a_file_is_refused(tmp_path: Path, images: list[np.ndarray], name: str) -> None:
    """Who opens it would wait for ever."""
    write_bag(tmp_path, "ros2", image_messages("ros2", images))
    file = tmp_path / name
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    with pytest.raises(InputError, match=rf"{name.rpartition('/')[2]}.*(pipe|neither a file)"):
        open_source(file if "/" not in name else tmp_path / "a")
