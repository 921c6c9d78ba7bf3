"""Cameras of this computer and GStreamer pipelines."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from vgslam.errors import InputError, MissingDependencyError
from vgslam.sources.image_files import rgb
from vgslam.sources.live import LiveImage
from vgslam.sources.live_av import pipe_images


def camera_images(device: str) -> Iterator[LiveImage]:
    """Images of a camera: an index or /dev/videoN, through OpenCV. Raises InputError."""
    index = int(device.removeprefix("/dev/video")) if device.removeprefix("/dev/video").isdigit() else None
    path = Path(device if index is None else f"/dev/video{index}")
    if sys.platform.startswith("linux") and not path.exists():
        raise InputError(f"camera {device}: there is no {path}; plug it in, or look for others with `ls /dev/video*`")
    capture = cv2.VideoCapture(device if index is None else index)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    yield from _captured(capture, f"camera {device}")


def gstreamer_images(pipeline: str) -> Iterator[LiveImage]:
    """Images of a GStreamer pipeline, as for gst-launch-1.0 but without a sink, run by OpenCV or else by
    gst-launch-1.0. Raises MissingDependencyError where neither is there, InputError when the pipeline gives nothing."""
    if "GStreamer:                   YES" in cv2.getBuildInformation():
        to_opencv = " ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1"
        sink = "" if "appsink" in pipeline else to_opencv
        yield from _captured(cv2.VideoCapture(pipeline + sink, cv2.CAP_GSTREAMER), f"pipeline '{pipeline}'")
        return
    program = shutil.which("gst-launch-1.0")
    if program is None:
        raise MissingDependencyError("GStreamer pipelines need gst-launch-1.0 (apt install gstreamer1.0-tools "
                                     "gstreamer1.0-plugins-good) or an OpenCV built with GStreamer")  # fmt: skip
    tail = "! videoconvert ! jpegenc ! matroskamux streamable=true ! fdsink fd=1"
    words = [program, "-q", *shlex.split(pipeline), *tail.split()]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield from pipe_images(process.stdout, f"pipeline '{pipeline}'")
        finally:
            process.kill()


def _captured(capture: Any, name: str) -> Iterator[LiveImage]:
    try:
        if not capture.isOpened():
            raise InputError(f"{name}: cannot be opened; is another program using it, and may you read it?")
        while True:
            is_read, image = capture.read()
            if not is_read:
                raise InputError(f"{name}: gives no more images")
            yield LiveImage(partial(rgb, image))
    finally:
        capture.release()
