"""Cameras, GStreamer and ROS 2, with stand-ins for what a test machine has not."""

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from live_servers import jpeg, number_of, picture
from live_sources import ALL, encoded, numbers

from vgslam.errors import InputError
from vgslam.sources import live_devices
from vgslam.sources.live_open import open_live


class TestDevices:
    """With stand-ins for what a test machine has not: a camera, GStreamer, ROS 2."""

    def test_a_camera_that_is_pulled_out(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        released = []

        class Capture:
            def __init__(self, device: object) -> None:
                self.n, self.device = 0, device

            def set(self, *_: object) -> None:
                return

            def isOpened(self) -> bool:
                return True

            def read(self) -> tuple[bool, np.ndarray | None]:
                self.n += 1
                return (True, picture(self.n)[..., ::-1]) if self.n < 4 else (False, None)

            def release(self) -> None:
                released.append(self.device)

        monkeypatch.setattr(live_devices.cv2, "VideoCapture", Capture)
        monkeypatch.setattr(live_devices.Path, "exists", lambda _: True)
        source = open_live("2", ALL)
        assert numbers(source) == [1, 2, 3]
        assert "no more images" in source.warnings[0]
        assert released == [2]

    @pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
    def test_a_pipeline_of_gstreamer(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "video.mkv").write_bytes(encoded("matroska", "mjpeg", 12))
        program = tmp_path / "gst-launch-1.0"
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\ncat {tmp_path}/video.mkv\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        monkeypatch.setattr(live_devices.cv2, "getBuildInformation", lambda: "")
        assert numbers(open_live("gst:v4l2src device=/dev/video1 ! jpegdec", ALL)) == list(range(12))
        words = (tmp_path / "words").read_text()
        assert words.startswith("-q v4l2src device=/dev/video1 ! jpegdec ! videoconvert")
        assert "fdsink" in words

    @pytest.mark.parametrize("topic", ["/cam/image_raw", "/cam/image/compressed"])
    def test_a_topic_of_ros(self, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
        log: list[object] = []
        stamps = [(7, 500_000_000), (8, 0), (8, 250_000_000)]
        is_compressed = topic.endswith("compressed")

        class Executor:
            def __init__(self, context: object) -> None:
                self.left = list(enumerate(stamps))

            def add_node(self, node: object) -> None:
                log.append("added")

            def spin_once(self, timeout_sec: float) -> None:
                if not self.left:
                    raise InputError("the topic is silent")
                i, (sec, nanosec) = self.left.pop(0)
                header = SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec))
                image = picture(i)
                fields = {"format": "jpeg", "data": jpeg(image)} if is_compressed else {
                    "encoding": "rgb8", "height": 48, "width": 64, "step": 192, "data": image.tobytes(),
                    "is_bigendian": 0,
                }  # fmt: skip
                self.callback(SimpleNamespace(header=header, **fields))

        node = SimpleNamespace(destroy_node=lambda: log.append("destroyed"))
        node.create_subscription = lambda kind, name, callback, qos: (
            log.append((kind, name, qos)), setattr(Executor, "callback", staticmethod(callback))
        )  # fmt: skip
        modules = {
            "rclpy": {"Context": object, "init": lambda context: None, "create_node": lambda name, context: node,
                      "shutdown": lambda context: log.append("shut down"),
                      "executors": SimpleNamespace(SingleThreadedExecutor=Executor)},
            "rclpy.qos": {"qos_profile_sensor_data": "sensor data"},
            "sensor_msgs": {}, "sensor_msgs.msg": {"Image": "Image", "CompressedImage": "CompressedImage"},
        }  # fmt: skip
        for name, members in modules.items():
            module = ModuleType(name)
            vars(module).update(members)
            monkeypatch.setitem(sys.modules, name, module)
        source = open_live(f"ros2:{topic}", ALL)
        frames = list(source)
        assert [number_of(f.image) for f in frames] == [0, 1, 2]
        assert [f.timestamp_s for f in frames] == [7.5, 8.0, 8.25]
        kind = "CompressedImage" if is_compressed else "Image"
        assert (kind, topic, "sensor data") in log
        assert log[-2:] == ["destroyed", "shut down"]
