"""Poses for ROS 2: nav_msgs/Odometry and tf, with the axes and frames of REP 103 and REP 105."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from vgslam.errors import ConfigError
from vgslam.geometry.se3 import quaternion_from_rotation
from vgslam.guards.wording import one_line
from vgslam.poses_out.frame_pose import FramePose
from vgslam.ros2_node import Ros2Node, ros_needed
from vgslam.types import Array

R_LINK_OPTICAL: Array = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Axes of an optical frame (x right, y down, z forward) in those of the body (x forward, y left, z up), REP 103."""
UNKNOWN_VARIANCE = 1e6  # variance of what is not known: the velocity, and a pose without covariance
DEPTH = 10  # messages that the middleware keeps for readers
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ros2Options:
    """Names in `--poses ros2:/TOPIC,map=FRAME,camera=FRAME,tf=no`."""

    topic: str = "/vgslam"
    """Odometry is published on TOPIC/odometry."""
    map: str = "map"
    """The frame of the map."""
    camera: str = "camera_link"
    """The frame of the camera's body: x forward, y left, z up."""
    has_tf: bool = True
    """Whether the transforms are published too."""

    @staticmethod
    def parse(rest: str) -> "Ros2Options":
        """What follows `ros2:`. Raises ConfigError."""
        topic, *pairs = rest.split(",")
        found = {}
        for pair in pairs:
            name, _, value = pair.partition("=")
            if name not in ("map", "camera", "tf") or not value or (name == "tf" and value not in ("yes", "no")):
                raise ConfigError(f"--poses ros2:{rest}: expected ros2:/TOPIC,map=FRAME,camera=FRAME,tf=yes or no")
            found[name] = value
        names = {name: value for name, value in found.items() if name != "tf"}
        return Ros2Options(topic.rstrip("/") or "/vgslam", has_tf=found.get("tf") != "no", **names)

    @property
    def optical(self) -> str:
        """The camera's optical frame, called as REP 103 suggests."""
        return self.camera.removesuffix("_link").removesuffix("_frame") + "_optical_frame"


class Ros2Sink:
    """Publishes each pose as nav_msgs/Odometry, and as the transforms map -> camera_link -> camera_optical_frame where
    tf2_msgs is installed.

    The map's z axis points up where gravity is known, else as the first camera was held; lengths are map units. Poses
    of another component than the first have a map frame of their own, as they cannot be compared. Stamps are those of
    the images. Frames without a pose are not published. Raises MissingDependencyError without ROS 2, ConfigError for a
    name that ROS does not take, and where ROS 2 cannot be started.
    """

    failure: str | None = None

    def __init__(self, options: Ros2Options | None = None) -> None:
        with ros_needed():
            from geometry_msgs.msg import TransformStamped
            from nav_msgs.msg import Odometry
        self._names = options or Ros2Options()
        self._odometry, self._transform = Odometry, TransformStamped
        self.n_dropped = 0
        self._node: Ros2Node | None = Ros2Node("vgslam_poses")
        topic = f"{self._names.topic}/odometry"
        try:
            self._publisher = self._node.node.create_publisher(Odometry, topic, DEPTH)
        except Exception as error:  # rclpy has a kind for each way in which a name is wrong
            self._node.close()
            name = f"--poses ros2:{self._names.topic}"
            raise ConfigError(f"{name}: not the name of a topic; give one, as in ros2:/vgslam") from error
        self._tf: _Transforms | None = None
        about = ""
        if self._names.has_tf:
            try:
                self._tf = _Transforms(self._node, self._names)
                about = f" and tf {self._names.map} -> {self._names.camera} -> {self._names.optical}"
            except ImportError:
                about = " without tf, as tf2_msgs is not installed"
        self.where = f"poses: ROS 2 {topic}{about}"

    def send(self, pose: FramePose) -> None:
        """Publish; the middleware keeps the queues."""
        if self._node is None or pose.T_world_cam is None:
            return
        if self.failure is not None:
            self.n_dropped += 1
            return
        try:
            message = self._message(pose, in_map(pose.T_world_cam, pose.is_upright))
            self._publisher.publish(message)
            if self._tf is not None:
                self._tf.send(message)
        except Exception as error:  # as when ROS was shut down around it
            self.failure = f"ROS 2: no more poses are published ({one_line(f'{type(error).__name__}: {error}')})"
            self.n_dropped += 1
            _LOG.error(self.failure, exc_info=error)

    def _message(self, pose: FramePose, T_map_cam: Array) -> Any:
        message = self._odometry()
        stamp_ns = round(pose.timestamp_s * 1e9) if pose.stamp_ns is None else pose.stamp_ns
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
        message.header.frame_id = self._names.map + (f"_{pose.component_id}" if pose.component_id else "")
        message.child_frame_id = self._names.camera
        _fill(message.pose.pose.position, message.pose.pose.orientation, T_map_cam[:3, 3],
              quaternion_from_rotation(T_map_cam[:3, :3] @ R_LINK_OPTICAL.T))  # fmt: skip
        unknown = UNKNOWN_VARIANCE * np.eye(6)
        known = pose.covariance is not None and np.isfinite(pose.covariance).all()
        covariance = ros_covariance(pose.covariance, T_map_cam) if known and pose.covariance is not None else unknown
        message.pose.covariance = covariance.ravel().tolist()
        message.twist.covariance = unknown.ravel().tolist()
        return message

    def close(self) -> None:
        """Take the node down."""
        if self._node is not None:
            self._node.close()
            self._node = None


class _Transforms:
    """The transforms of tf as messages on /tf and /tf_static. Raises ImportError without tf2_msgs."""

    def __init__(self, node: Ros2Node, names: Ros2Options) -> None:
        from geometry_msgs.msg import TransformStamped
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from tf2_msgs.msg import TFMessage

        self._stamped, self._message = TransformStamped, TFMessage
        self._moving = node.node.create_publisher(TFMessage, "/tf", 100)
        kept = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        fixed = TransformStamped()
        fixed.header.frame_id, fixed.child_frame_id = names.camera, names.optical
        _fill(fixed.transform.translation, fixed.transform.rotation, np.zeros(3),
              quaternion_from_rotation(R_LINK_OPTICAL))  # fmt: skip
        self._fixed = node.node.create_publisher(TFMessage, "/tf_static", kept)
        self._fixed.publish(TFMessage(transforms=[fixed]))

    def send(self, odometry: Any) -> None:
        """Publish the transform that a message of odometry stands for."""
        transform = self._stamped()
        transform.header, transform.child_frame_id = odometry.header, odometry.child_frame_id
        position = odometry.pose.pose.position
        transform.transform.translation.x = position.x
        transform.transform.translation.y = position.y
        transform.transform.translation.z = position.z
        transform.transform.rotation = odometry.pose.pose.orientation
        self._moving.publish(self._message(transforms=[transform]))


def _fill(position: Any, rotation: Any, p: Array, q: Array) -> None:
    position.x, position.y, position.z = map(float, p)
    rotation.x, rotation.y, rotation.z, rotation.w = map(float, q)


def in_map(T_world_cam: Array, is_upright: bool) -> Array:
    """T_map_cam (4,4): the pose in a world whose axes are x forward, y left, z up. A world that is upright already
    stays as it is; another has the axes of a first camera, which then stood level and looked forward."""
    if is_upright:
        return T_world_cam
    T = T_world_cam.copy()
    T[:3] = R_LINK_OPTICAL @ T_world_cam[:3]
    return T


def ros_covariance(covariance: Array, T_world_cam: Array) -> Array:
    """Covariance (6,6) of (rotation, translation) in the camera's axes -> of (translation, rotation about the fixed
    axes of the world), as geometry_msgs/PoseWithCovariance has it (6,6)."""
    R, zero = T_world_cam[:3, :3], np.zeros((3, 3))
    J = np.block([[zero, R], [R, zero]])
    turned = J @ covariance @ J.T
    return 0.5 * (turned + turned.T)  # to the last bit, as some readers check
