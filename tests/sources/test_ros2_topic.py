"""Topics of ROS 2, from cameras that are processes of their own."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ros2_peers import HAS_ROS, WITHOUT_ROS, CameraNode, camera, encoded, environment
from waiting import HANG_S, until

from vgslam.errors import CalibrationError, InputError
from vgslam.sources import ros2_topic, ros_images
from vgslam.sources.live import BrokenOffError, LiveOptions, LiveSource
from vgslam.sources.live_open import open_live

COLOR = (60, 140, 220)
INFO = {
    "width": 64, "height": 48, "k": [50.0, 0.0, 31.0, 0.0, 51.0, 23.0, 0.0, 0.0, 1.0], "d": [0.0] * 5,
    "distortion_model": "plumb_bob",
}  # fmt: skip
N = 12

needs_ros = pytest.mark.skipif(not HAS_ROS, reason=WITHOUT_ROS)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CameraNode]:
    """Makes settings of a camera of N coloured images, number i in the upper half: 8 i."""
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    images = np.tile(np.array(COLOR, np.uint8), (N, 48, 64, 1))
    images[:, :24] = 8 * np.arange(N)[:, None, None, None]
    np.save(tmp_path / "images.npy", images)

    def settings(**values: Any) -> CameraNode:
        return CameraNode(str(tmp_path / "images.npy"), f"/cam{tmp_path.name.replace('-', '_')}/image", **values)

    return settings


def number_of(image: np.ndarray) -> int:
    return round(float(image[4:20].mean()) / 8)


def all_of(source: LiveSource) -> dict[int, Any]:
    """Frames by their number, until the publisher has left."""
    found: dict[int, Any] = {}
    with pytest.raises(BrokenOffError, match="has left"):
        found.update((number_of(frame.image), frame) for frame in source)
    return found


@needs_ros
@pytest.mark.parametrize(
    ("encoding", "is_reliable", "is_latched"),
    [("rgb8", True, True), ("bayer_grbg8", False, False), ("jpeg", True, False)],
)
def test_images_stamps_and_camera_info(
    encoding: str, is_reliable: bool, is_latched: bool, node: Callable[..., CameraNode]
) -> None:
    settings = node(encoding=encoding, is_reliable=is_reliable, is_latched=is_latched, info=json.dumps(INFO))
    topic = settings.topic + ("/compressed" if encoding == "jpeg" else "")
    source = open_live(f"ros2:{topic}", LiveOptions(keep_all=True, give_up_s=0.0))
    with camera(settings):
        assert source.open() == (64, 48)
        frames = all_of(source)
    assert set(frames) >= set(range(3, N))  # a best-effort reader may miss the first
    for i, frame in frames.items():
        assert frame.stamp_ns == settings.stamp_ns(i)
        assert frame.timestamp_s == frame.stamp_ns / 1e9
        np.testing.assert_allclose(frame.image[28:44, 4:60].mean((0, 1)), COLOR, atol=3)
    assert source.camera is not None
    assert (source.camera.fx, source.camera.fy, source.camera.cx, source.camera.cy) == (50, 51, 31, 23)
    assert source.n_damaged == 0


@needs_ros
@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "mono8", "bayer_rggb8", "bayer_bggr8", "bayer_gbrg8"])
def test_messages_of_ros_itself_hold_these_pixels(encoding: str) -> None:
    from sensor_msgs.msg import Image

    image = np.tile(np.array(COLOR, np.uint8), (8, 10, 1))
    data = encoded(image, encoding)
    message = Image(encoding=encoding, height=8, width=10, step=data.nbytes // 8, data=data.tobytes())
    expected = image[..., 1] if encoding == "mono8" else image
    np.testing.assert_array_equal(ros_images.message_pixels(message), expected)


@needs_ros
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_publisher_that_goes_and_comes_back_with_an_earlier_clock_and_less_quality(
    sign: signal.Signals, node: Callable[..., CameraNode]
) -> None:
    """One that is killed says nothing, and is taken for silent until the middleware gives it up."""
    first = node(repeats=True)
    source = open_live(f"ros2:{first.topic}", LiveOptions(keep_all=True, give_up_s=HANG_S))
    earlier = node(is_reliable=False, encoding="mono8", stamps_ns=tuple(5 * 10**9 + i for i in range(N)))
    frames = []
    with ExitStack() as processes:

        def come_back() -> None:
            process.wait(HANG_S)
            if sign is signal.SIGTERM:
                until(lambda: any("has left" in line for line in source.warnings))
            processes.enter_context(camera(earlier))

        process = processes.enter_context(camera(first))
        back = threading.Thread(target=come_back)
        for frame in source:
            frames.append(frame)
            if len(frames) == 5:
                process.send_signal(sign)
                back.start()
            if sum(f.stamp_ns < 6 * 10**9 for f in frames) == 2:
                break
        source.close()
        back.join(HANG_S)
    assert sign is signal.SIGKILL or source.n_reconnects == 1
    assert (np.diff([f.timestamp_s for f in frames]) > 0).all()
    assert any("went back" in line for line in source.warnings)


@needs_ros
def test_a_source_that_cannot_be_opened_ends_its_capture(node: Callable[..., CameraNode]) -> None:
    """Or a thread in the middleware at the end of the program makes it abort."""
    settings = node(info=json.dumps(INFO | {"height": 0}), repeats=True)
    source = open_live(f"ros2:{settings.topic}", LiveOptions(give_up_s=HANG_S))
    with camera(settings), pytest.raises(CalibrationError, match="camera_info"):
        source.open()
    assert source._thread is not None
    assert not source._thread.is_alive()


@needs_ros
def test_an_image_without_a_stamp_has_its_time_of_arrival(node: Callable[..., CameraNode]) -> None:
    settings = node(stamps_ns=(0,) * N)
    source = open_live(f"ros2:{settings.topic}", LiveOptions(keep_all=True, give_up_s=0.0))
    with camera(settings):
        frames = list(all_of(source).values())
    assert len(frames) > N // 2
    assert all(frame.stamp_ns is None and frame.timestamp_s > 1.7e9 for frame in frames)
    assert any("no stamps" in line for line in source.warnings)


@needs_ros
class TestNothingComes:
    def test_a_topic_that_carries_something_else(self, node: Callable[..., CameraNode]) -> None:
        settings = node(info=json.dumps(INFO), is_latched=True)
        with camera(settings), pytest.raises(InputError, match="CameraInfo, not images; image topics are /cam"):
            open_live(f"ros2:{settings.topic.removesuffix('image')}camera_info").open()

    def test_a_topic_without_a_publisher(
        self, node: Callable[..., CameraNode], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is said before it is given up, with the topics that there are."""
        settings = node()
        monkeypatch.setattr(ros2_topic, "FIRST_S", 4.0)
        monkeypatch.setattr(ros2_topic, "TOLD_S", 0.1)
        source = open_live("ros2:/nobody/image", LiveOptions(give_up_s=0.0))
        with camera(settings), pytest.raises(InputError, match=f"no image within 4 s.*{settings.topic}"):
            source.open()
        assert "no image yet" in caplog.text
        assert source._thread is not None
        assert not source._thread.is_alive()

    @pytest.mark.parametrize("topic", ["", "/cam//image", "/1cam", "/cam image"])
    def test_what_is_no_name(self, topic: str, node: Callable[..., CameraNode]) -> None:
        node()
        with pytest.raises(InputError, match="not the name of a topic"):
            open_live(f"ros2:{topic}").open()

    def test_closing_ends_the_wait(self, node: Callable[..., CameraNode]) -> None:
        node()
        source = open_live("ros2:/nobody/image", LiveOptions(give_up_s=HANG_S))
        failure: list[Exception] = []

        def wait() -> None:
            try:
                source.open()
            except InputError as error:
                failure.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        until(lambda: getattr(source._feed, "_node", None) is not None)
        source.close()
        waiting.join(HANG_S)
        assert not waiting.is_alive()
        assert source._thread is not None
        until(lambda: not source._thread.is_alive())
        assert len(failure) == 1


def test_ros_for_another_python_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "rclpy").mkdir()
    (tmp_path / "rclpy" / "__init__.py").write_text("import rclpy._rclpy_pybind11")
    where = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-m", "vgslam", "live", "ros2:/image", "--out", tmp_path / "out"],
        capture_output=True, text=True, timeout=HANG_S, env=os.environ | {"PYTHONPATH": where},
    )  # fmt: skip
    assert done.returncode == 6
    assert len(done.stderr.splitlines()) == 1
    assert "installed and cannot be loaded by this Python" in done.stderr
    assert "_rclpy_pybind11" in done.stderr
