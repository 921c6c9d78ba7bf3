"""Cameras of this computer, GStreamer pipelines and ROS 2 topics."""

import queue
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vgslam.errors import InputError, MissingDependencyError
from vgslam.sources.live import LiveImage
from vgslam.sources.live_av import pipe_images
from vgslam.sources.recording import Pixels


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
    """Images of a GStreamer pipeline, written as for gst-launch-1.0, without its sink.

    OpenCV runs it where it was built with GStreamer; else gst-launch-1.0 does. Raises MissingDependencyError where
    neither is there, InputError when the pipeline gives nothing.
    """
    if "GStreamer:                   YES" in cv2.getBuildInformation():
        to_opencv = " ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1"
        sink = "" if "appsink" in pipeline else to_opencv
        yield from _captured(cv2.VideoCapture(pipeline + sink, cv2.CAP_GSTREAMER), f"pipeline '{pipeline}'")
        return
    program = shutil.which("gst-launch-1.0")
    if program is None:
        raise MissingDependencyError(
            "GStreamer pipelines need gst-launch-1.0 (Debian: apt install gstreamer1.0-tools gstreamer1.0-plugins-good)"
            " or an OpenCV built with GStreamer"
        )
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
            yield LiveImage(partial(_rgb, image))
    finally:
        capture.release()


def _rgb(image: Pixels) -> Pixels:
    return np.ascontiguousarray(image[..., ::-1])


def ros2_images(topic: str) -> Iterator[LiveImage]:
    """Images of a ROS 2 topic (sensor_msgs/Image or CompressedImage), by the stamps of its messages.

    Raises MissingDependencyError without rclpy, InputError when nothing comes within 10 s.
    """
    try:
        import rclpy
        from rclpy.qos import qos_profile_sensor_data
        from sensor_msgs.msg import CompressedImage, Image
    except ImportError as err:
        raise MissingDependencyError(
            "a ROS 2 topic needs rclpy: source the ROS 2 installation (`source /opt/ros/DISTRO/setup.bash`) and start "
            "vgslam with its Python"
        ) from err
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("vgslam_images", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    newest: queue.Queue[Any] = queue.Queue(maxsize=4)
    message_type = CompressedImage if topic.endswith("compressed") else Image
    node.create_subscription(message_type, topic, _offer(newest), qos_profile_sensor_data)
    try:
        while True:
            for _ in range(100):
                executor.spin_once(timeout_sec=0.1)
                if not newest.empty():
                    break
            else:
                raise InputError(f"ros2:{topic}: no image within 10 s; `ros2 topic list` names the topics there are")
            message = newest.get_nowait()
            stamp_s = message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec
            yield LiveImage(partial(_ros_pixels, message), stamp_s, is_absolute=True)
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


def _offer(newest: "queue.Queue[Any]") -> Callable[[Any], None]:
    def put(message: Any) -> None:
        if newest.full():
            newest.get_nowait()
        newest.put_nowait(message)

    return put


def _ros_pixels(message: Any) -> Pixels:
    from vgslam.sources.ros_images import message_pixels

    return message_pixels(message)
