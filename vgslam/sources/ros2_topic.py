"""Images of a ROS 2 topic as they are published, by the stamps of their messages."""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any

from vgslam.errors import InputError
from vgslam.ros2_node import Listener, Ros2Node, ros_needed
from vgslam.sources import ros_images as ros
from vgslam.sources.live import LiveImage
from vgslam.types import Camera

DEPTH = 10
"""Images that the middleware keeps while we are busy."""
LOOK_S = 0.1
"""Longest wait for an image before it is looked who publishes, and whether the source was closed."""
FIRST_S = 10.0
"""The first image is waited for at least this long, as nodes that start together take a while to find one another."""
TOLD_S = 5.0
"""After this long a line says that nothing comes, and what there is."""
SILENT_S = 10.0
"""A publisher that is there and sends nothing for this long has stopped."""
LEFT_S = 1.0
"""Without a publisher, what is still under way comes within this time."""
INFO_S = {True: 3.0, False: 1.0}
"""How long the first image waits for a camera_info that somebody publishes, and that nobody does as far as is known."""
_LOG = logging.getLogger(__name__)


class Ros2Feed:
    """The Feed of a topic (sensor_msgs/Image or CompressedImage, any QoS), whose node stays until `close`, so that a
    publisher that comes back is heard at once. give_up_s: how long to wait for one that has left. wants_camera: whether
    camera_info is waited for."""

    def __init__(self, topic: str, give_up_s: float = 60.0, wants_camera: bool = True) -> None:
        self._topic, self._give_up_s, self._wants_camera = topic, give_up_s, wants_camera
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._node: Ros2Node | None = None
        self._images: Listener | None = None
        self._infos: list[Listener] = []
        self._arrived: deque[Any] = deque(maxlen=DEPTH)
        self._info: Any = None
        self._last_ns = 0
        self._has_begun = self._is_told = False

    def __call__(self) -> Iterator[LiveImage]:
        """Raises MissingDependencyError without ROS 2, ConfigError where it cannot be started, InputError for a name
        that is none, a topic that carries no images, one where nothing comes, and a publisher that has left."""
        images = self._open()
        began_s = last_s = time.monotonic()
        while self._step():
            if self._arrived and not self._has_begun:
                self._await_info()
                self._has_begun = True
            while self._arrived:
                yield self._live_image(self._arrived.popleft())
                last_s = time.monotonic()
            self._check_silence(images, time.monotonic() - last_s, last_s > began_s)

    def camera(self, width: int, height: int) -> Camera | None:
        """What camera_info says of the camera; None without one, or where it is not calibrated. Raises
        CalibrationError."""
        if self._info is None or self._images is None:
            return None
        return ros.camera_of_info(self._name, self._info, self._images.topic, (width, height))

    @property
    def uncalibrated(self) -> str | None:
        """What makes `camera` None where a camera_info has come."""
        return None if self._info is None else ros.UNCALIBRATED

    def close(self) -> None:
        """Leave ROS 2; safe to call twice, and from another thread."""
        self._closed.set()
        with self._lock:
            if self._node is not None:
                self._node.close()
                self._node = None

    @property
    def _name(self) -> str:
        return f"ros2:{self._topic}"

    def _open(self) -> Listener:
        """The node, with its listeners, made when it is first asked for."""
        with self._lock:
            if self._images is not None:
                return self._images
            with ros_needed():
                from sensor_msgs.msg import CameraInfo, CompressedImage, Image
            self._node = Ros2Node("vgslam_images")
            try:
                topic = self._node.node.resolve_topic_name(self._topic)
            except Exception as error:  # rclpy has a kind for each way in which a name is wrong
                raise InputError(f"{self._name}: not the name of a topic; as in ros2:/camera/image_raw") from error
            kinds = {ros.IMAGE: Image, ros.COMPRESSED: CompressedImage}
            self._images = Listener(self._node, topic, kinds, self._keep_image, DEPTH)
            beside = ros.info_topics(topic) if self._wants_camera else []
            self._infos = [Listener(self._node, name, {ros.INFO: CameraInfo}, self._keep_info, 1) for name in beside]
            return self._images

    def _keep_image(self, message: Any) -> None:  # rclpy asks for the signature of what it calls: no bare `append`
        self._arrived.append(message)

    def _keep_info(self, message: Any) -> None:
        if self._info is None:
            self._info = message

    def _step(self) -> bool:
        """Hear what has come, in the way that the publishers of now call for; False when the source was closed."""
        if self._closed.is_set():
            return False
        with self._lock:
            if self._node is None or self._images is None:
                return False
            self._node.spin(LOOK_S)
            for listener in (self._images, *self._infos):
                listener.follow()
            while self._infos and self._info is not None:
                self._infos.pop().close()
        return True

    def _await_info(self) -> None:
        """Keep the newest images waiting until a camera_info is there, or none is to be expected."""
        began_s = time.monotonic()
        while self._infos and self._info is None and self._step():
            is_published = any(listener.n_publishers for listener in self._infos)
            if time.monotonic() - began_s >= INFO_S[is_published]:
                return

    def _live_image(self, message: Any) -> LiveImage:
        stamp_ns = ros.stamp_ns_of(message)
        load = partial(ros.message_pixels, message)
        if stamp_ns == 0:
            return LiveImage(load, notes=("its images have no stamps: their times are those of arrival",))
        went_back, self._last_ns = stamp_ns < self._last_ns, stamp_ns
        notes = ("the stamps of its images went back: the times of the run go on all the same",) if went_back else ()
        return LiveImage(load, stamp_ns / 1e9, is_absolute=True, notes=notes, stamp_ns=stamp_ns)

    def _check_silence(self, images: Listener, silent_s: float, had_images: bool) -> None:
        """Raises InputError where nothing has come for too long."""
        if had_images:
            if not images.n_publishers and silent_s > LEFT_S:
                raise InputError(f"{self._name}: its publisher has left")
            if silent_s > SILENT_S:
                raise InputError(f"{self._name}: no image for {SILENT_S:g} s, though it is published")
            return
        if self._has_begun:
            if silent_s > self._give_up_s:
                raise InputError(f"{self._name}: no image for {self._give_up_s:g} s")
            return
        if images.other_kinds and not images.n_publishers:
            raise InputError(f"{self._name}: carries {', '.join(images.other_kinds)}, not images; {self._there()}")
        longest_s = max(self._give_up_s, FIRST_S)
        if silent_s > longest_s:
            raise InputError(f"{self._name}: no image within {longest_s:g} s; {self._there()}")
        if silent_s > TOLD_S and not self._is_told:
            self._is_told = True
            _LOG.warning("%s: no image yet, waiting for up to %g s; %s", self._name, longest_s, self._there())

    def _there(self) -> str:
        """What is published, for who has the name wrong."""
        with self._lock:
            if self._node is None or self._images is None:
                return "closed"
            if self._images.n_publishers:
                return "a publisher is there and sends nothing"
            topics = self._node.node.get_topic_names_and_types()
            own = self._images.topic
        found = sorted(name for name, kinds in topics if {ros.IMAGE, ros.COMPRESSED} & set(kinds) and name != own)
        if found:
            return f"image topics are {', '.join(found)}"
        return "there is no image topic; is ROS_DOMAIN_ID that of the camera, and does `ros2 topic list` show it?"
