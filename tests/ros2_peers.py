"""Nodes of ROS 2 for the tests, each a process of its own: a camera that plays images, and a reader of odometry.

`python ros2_peers.py camera SETTINGS` and `python ros2_peers.py odometry TOPIC N`, SETTINGS being JSON (`CameraNode`).
"""

import array
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

HAS_ROS = importlib.util.find_spec("rclpy") is not None
WITHOUT_ROS = "needs rclpy: pip install 'vgslam[ros2]'"
OPENING_S = 300.0
"""How long a camera waits for its first reader."""
SILENT_S = 120.0
"""A reader that hears nothing for so long ends, so that who reads its lines does not wait for ever."""
RECEIVED_S = 2.0
"""How long a camera stays after its last image, so that it arrives."""


@dataclass(frozen=True)
class CameraNode:
    """A camera: it waits until it is heard, publishes its images, and leaves."""

    images: str
    """File with an array (N,H,W,3) uint8, RGB."""
    topic: str
    encoding: str = "rgb8"
    """That of sensor_msgs/Image, or `jpeg` for CompressedImage on TOPIC/compressed."""
    rate_hz: float = 20.0
    first: int = 0
    is_reliable: bool = True
    info: str = ""
    """JSON of the fields of CameraInfo; none is published without."""
    is_latched: bool = False
    """Whether camera_info is published once, and kept for who comes later, instead of with each image."""
    stamps_ns: tuple[int, ...] = ()
    """Stamps of the images; by default 1,700,000,000 s and 0.1 s for each, with an odd nanosecond."""
    repeats: bool = False
    """Whether to begin again at the end, until it is killed."""

    def stamp_ns(self, i: int) -> int:
        return self.stamps_ns[i] if self.stamps_ns else 1_700_000_000 * 10**9 + i * 10**8 + 7 * i + 1


def environment(folder: Path) -> dict[str, str]:
    """Variables for nodes that hear one another and nobody else, on this computer alone: the domain is that of this
    process."""
    return {
        "ROS_DOMAIN_ID": str(1 + os.getpid() % 100), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOG_DIR": str(folder / "log"), "OMP_NUM_THREADS": "1",
    }  # fmt: skip


@contextmanager
def started(*words: str) -> Iterator["subprocess.Popen[str]"]:
    """A node of this file with piped standard output; it is killed at the end."""
    command = [sys.executable, __file__, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def camera(settings: CameraNode) -> Any:
    """The process of a camera (see `started`)."""
    return started("camera", json.dumps(asdict(settings)))


def odometry(topic: str, n: int) -> Any:
    """The process of a reader, which prints a line of JSON for each message, and ends after n."""
    return started("odometry", topic, str(n))


def encoded(image: np.ndarray, encoding: str) -> np.ndarray:
    """(H,W,3) RGB as the bytes of an encoding, of which the Bayer patterns keep every pixel's own colour."""
    if encoding == "bgr8":
        return image[..., ::-1]
    if encoding == "mono8":
        return image[..., 1]
    if encoding.startswith("bayer"):
        mosaic = np.empty(image.shape[:2], np.uint8)
        for k, color in enumerate(encoding.removeprefix("bayer_").removesuffix("8")):
            mosaic[k // 2 :: 2, k % 2 :: 2] = image[k // 2 :: 2, k % 2 :: 2, "rgb".index(color)]
        return mosaic
    return image


def _play(settings: CameraNode) -> None:
    import rclpy
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import CameraInfo, CompressedImage, Image

    images = np.load(settings.images)
    rclpy.init(args=[])
    node = rclpy.create_node(f"camera_{os.getpid()}")
    reliability = ReliabilityPolicy.RELIABLE if settings.is_reliable else ReliabilityPolicy.BEST_EFFORT
    is_jpeg = settings.encoding == "jpeg"
    kind, topic = (CompressedImage, f"{settings.topic}/compressed") if is_jpeg else (Image, settings.topic)
    publisher = node.create_publisher(kind, topic, QoSProfile(depth=10, reliability=reliability))
    infos, info = None, CameraInfo()
    if settings.info:
        kept = DurabilityPolicy.TRANSIENT_LOCAL if settings.is_latched else DurabilityPolicy.VOLATILE
        profile = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=kept)
        infos = node.create_publisher(CameraInfo, f"{settings.topic.rsplit('/', 1)[0]}/camera_info", profile)
        for name, value in json.loads(settings.info).items():
            setattr(info, name, value)
        if settings.is_latched:
            infos.publish(info)
    end_s = time.monotonic() + OPENING_S
    while not publisher.get_subscription_count() and time.monotonic() < end_s:
        time.sleep(0.01)
    _tell("heard")
    n = 0
    while n < len(images) - settings.first or settings.repeats:
        i = settings.first + n % (len(images) - settings.first)
        message = _message(kind, images[i], settings.encoding)
        stamp_ns = settings.stamp_ns(settings.first + n)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
        message.header.frame_id = info.header.frame_id = "camera_optical_frame"
        if infos is not None and not settings.is_latched:
            info.header.stamp = message.header.stamp
            infos.publish(info)
        publisher.publish(message)
        n += 1
        time.sleep(1.0 / settings.rate_hz)
    _tell("played")
    time.sleep(RECEIVED_S)


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _message(kind: Any, image: np.ndarray, encoding: str) -> Any:
    message = kind()
    if encoding == "jpeg":
        message.format = "rgb8; jpeg compressed bgr8"
        data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 97])[1]
    else:
        data = encoded(image, encoding)
        message.encoding, (message.height, message.width) = encoding, image.shape[:2]
        message.step = image.shape[1] * (1 if data.ndim == 2 else 3)
    message.data = array.array("B", data.tobytes())
    return message


def _read(topic: str, n: int) -> None:
    import rclpy
    from nav_msgs.msg import Odometry

    rclpy.init(args=[])
    node = rclpy.create_node(f"reader_{os.getpid()}")
    left, last_s = [n], [time.monotonic()]

    def heard(m: Any) -> None:
        p, q = m.pose.pose.position, m.pose.pose.orientation
        row = {
            "stamp_ns": m.header.stamp.sec * 10**9 + m.header.stamp.nanosec, "frame": m.header.frame_id,
            "child": m.child_frame_id, "position": [p.x, p.y, p.z], "quaternion": [q.x, q.y, q.z, q.w],
            "covariance": [float(c) for c in m.pose.covariance],
            "twist_covariance": [float(c) for c in m.twist.covariance],
        }  # fmt: skip
        _tell(json.dumps(row))
        left[0], last_s[0] = left[0] - 1, time.monotonic()

    node.create_subscription(Odometry, topic, heard, 100)
    _tell("listens")
    while left[0] > 0 and time.monotonic() - last_s[0] < SILENT_S:
        rclpy.spin_once(node, timeout_sec=0.5)


if __name__ == "__main__":
    if sys.argv[1] == "camera":
        _play(CameraNode(**json.loads(sys.argv[2])))
    else:
        _read(sys.argv[2], int(sys.argv[3]))
