"""Cameras and GStreamer, with stand-ins for what a test machine has not."""

import os
from pathlib import Path

import numpy as np
import pytest
from live_servers import picture
from live_sources import ALL, encoded, numbers

from vgslam.sources import live_devices
from vgslam.sources.live import BrokenOffError
from vgslam.sources.live_open import open_live


class TestDevices:
    """With stand-ins for what a test machine has not: a camera, GStreamer."""

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
        with pytest.raises(BrokenOffError, match="after 3 frames: camera 2: gives no more images"):
            numbers(source)
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
