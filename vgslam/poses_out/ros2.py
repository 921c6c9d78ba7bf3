"""Poses for ROS 2: nav_msgs/Odometry and tf. Needs a sourced ROS 2 installation; rclpy is loaded on use."""

from typing import Any

import numpy as np

from vgslam.errors import MissingDependencyError
from vgslam.poses_out.frame_pose import FramePose
from vgslam.types import Array

WORLD_FRAME, CAMERA_FRAME = "map", "camera_optical_frame"
UNKNOWN_VARIANCE = 1e6
"""Variance of the velocity, which is not estimated."""


class Ros2Sink:
    """Publishes each pose as nav_msgs/Odometry on NAME/odometry and as the transform map -> camera_optical_frame.

    The world has OpenCV axes (that of REP 103's optical frames), lengths are map units. Frames without a pose are not
    published. Raises MissingDependencyError without rclpy.
    """

    failure: str | None = None

    def __init__(self, name: str = "/vgslam") -> None:
        try:
            import rclpy
            from geometry_msgs.msg import TransformStamped
            from nav_msgs.msg import Odometry
            from tf2_ros import TransformBroadcaster
        except ImportError as error:
            raise MissingDependencyError(
                "poses for ROS 2 need rclpy, nav_msgs and tf2_ros: source the ROS 2 installation "
                "(`source /opt/ros/DISTRO/setup.bash`) and start vgslam with its Python"
            ) from error
        self.n_dropped = 0
        topic = f"{name.rstrip('/') or '/vgslam'}/odometry"
        self.where = f"poses: ROS 2 {topic} and tf {WORLD_FRAME} -> {CAMERA_FRAME}"
        self._rclpy, self._odometry, self._transform = rclpy, Odometry, TransformStamped
        self._context: Any = rclpy.Context()
        rclpy.init(context=self._context)
        self._node: Any = rclpy.create_node("vgslam_poses", context=self._context)
        self._publisher = self._node.create_publisher(Odometry, topic, 10)
        self._broadcaster = TransformBroadcaster(self._node)

    def send(self, pose: FramePose) -> None:
        """Publish; the middleware keeps the queues."""
        p, q = pose.position, pose.quaternion_xyzw
        if self._node is None or p is None or q is None or pose.T_world_cam is None:
            return
        seconds = int(np.floor(pose.timestamp_s))
        nanoseconds = min(round((pose.timestamp_s - seconds) * 1e9), 999_999_999)
        message, transform = self._odometry(), self._transform()
        for m in (message, transform):
            m.header.stamp.sec, m.header.stamp.nanosec = seconds, nanoseconds
            m.header.frame_id, m.child_frame_id = WORLD_FRAME, CAMERA_FRAME
        pairs = (
            (message.pose.pose.position, message.pose.pose.orientation),
            (transform.transform.translation, transform.transform.rotation),
        )
        for position, rotation in pairs:
            position.x, position.y, position.z = map(float, p)
            rotation.x, rotation.y, rotation.z, rotation.w = map(float, q)
        if pose.covariance is not None:
            message.pose.covariance = ros_covariance(pose.covariance, pose.T_world_cam).ravel().tolist()
        message.twist.covariance = (UNKNOWN_VARIANCE * np.eye(6)).ravel().tolist()
        self._publisher.publish(message)
        self._broadcaster.sendTransform(transform)

    def close(self) -> None:
        """Take the node down."""
        if self._node is not None:
            self._node.destroy_node()
            self._rclpy.shutdown(context=self._context)
            self._node = None


def ros_covariance(covariance: Array, T_world_cam: Array) -> Array:
    """Covariance (6,6) of (rotation, translation) in the camera's axes -> of (translation, rotation about the fixed
    axes of the world), as geometry_msgs/PoseWithCovariance has it (6,6)."""
    R, zero = T_world_cam[:3, :3], np.zeros((3, 3))
    J = np.block([[zero, R], [R, zero]])
    return J @ covariance @ J.T
