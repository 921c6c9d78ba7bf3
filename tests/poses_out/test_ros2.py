"""Poses for ROS 2: frames, axes and covariance, with stand-ins for rclpy and its messages, and with those of ROS."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest
from ros2_peers import HAS_ROS, WITHOUT_ROS, environment
from synthetic import pose

from vgslam.errors import ConfigError, MissingDependencyError
from vgslam.geometry import se3
from vgslam.poses_out.frame_pose import FramePose
from vgslam.poses_out.open import open_sink
from vgslam.poses_out.ros2 import UNKNOWN_VARIANCE, Ros2Options, in_map
from vgslam.types import Array, Status


def a_covariance(seed: int = 0) -> Array:
    A = np.random.default_rng(seed).normal(size=(6, 6))
    return A @ A.T


class Record(types.SimpleNamespace):
    """A message: any field, made when it is first asked for."""

    def __getattr__(self, name: str) -> "Record":
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, Record())
        return vars(self)[name]


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> Record:
    """A stand-in for rclpy and its messages that records what is published, by topic."""
    log = Record(published={}, calls=[], fails=False)

    def publish(topic: str, message: Record) -> None:
        if log.fails:
            raise RuntimeError("the context was shut down")
        log.published.setdefault(topic, []).append(message)

    node = types.SimpleNamespace(
        create_publisher=lambda kind, topic, depth: types.SimpleNamespace(publish=lambda m: publish(topic, m)),
        destroy_node=lambda: log.calls.append("destroyed"),
    )
    executor = types.SimpleNamespace(add_node=lambda n: None, shutdown=lambda: log.calls.append("executor"))
    modules = {
        "rclpy": {"Context": object, "init": lambda **_: None, "shutdown": lambda context: log.calls.append("rclpy")},
        "rclpy.executors": {"SingleThreadedExecutor": lambda context: executor},
        "rclpy.node": {"Node": lambda name, **_: node},
        "rclpy.signals": {"SignalHandlerOptions": types.SimpleNamespace(NO=0)},
        "rclpy.qos": {"QoSProfile": Record, "DurabilityPolicy": Record()},
        "nav_msgs": {}, "nav_msgs.msg": {"Odometry": Record},
        "geometry_msgs": {}, "geometry_msgs.msg": {"TransformStamped": Record},
        "tf2_msgs": {}, "tf2_msgs.msg": {"TFMessage": Record},
    }  # fmt: skip
    for name, members in modules.items():
        module = types.ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    return log


def rotation(q: Record) -> Array:
    return se3.rotation_from_quaternion(np.array([q.x, q.y, q.z, q.w]))


def tracked(T: Array, **values: object) -> FramePose:
    return FramePose(0, 12.75, Status.TRACKED, T, a_covariance(), **values)  # type: ignore[arg-type]


class TestAxes:
    def test_a_camera_that_goes_forward_right_and_down_in_its_first_view(self) -> None:
        """z forward, x right, y down becomes x forward, y left, z up."""
        T = np.eye(4)
        T[:3, 3] = (2, 3, 5)
        np.testing.assert_allclose(in_map(T, is_upright=False)[:3, 3], (5, -2, -3))
        np.testing.assert_allclose(in_map(T, is_upright=True), T)

    def test_the_body_of_the_first_camera_stands_in_the_map_unturned(self, ros: Record) -> None:
        open_sink("ros2:").send(tracked(np.eye(4)))
        (message,) = ros.published["/vgslam/odometry"]
        np.testing.assert_allclose(rotation(message.pose.pose.orientation), np.eye(3), atol=1e-12)

    def test_a_level_camera_in_an_upright_map(self, ros: Record) -> None:
        """It looks along the map's y axis: its x axis (right) is the map's x, its y axis (down) is the map's -z."""
        T = np.array([[1.0, 0, 0, 1], [0, 0, 1, 2], [0, -1, 0, 3], [0, 0, 0, 1]])
        open_sink("ros2:").send(tracked(T, is_upright=True))
        (message,) = ros.published["/vgslam/odometry"]
        p = message.pose.pose.position
        assert (p.x, p.y, p.z) == (1, 2, 3)
        R = rotation(message.pose.pose.orientation)
        np.testing.assert_allclose(R @ [1, 0, 0], [0, 1, 0], atol=1e-12)  # the body's forward axis
        np.testing.assert_allclose(R @ [0, 0, 1], [0, 0, 1], atol=1e-12)  # its upward axis

    def test_covariance_is_that_of_bodies_that_scatter_in_the_map(self, ros: Record) -> None:
        T, small = pose((30, 50, -20), (4, 5, 6)), 1e-4 * a_covariance(3)
        xi = np.random.default_rng(0).multivariate_normal(np.zeros(6), small, 2000)
        sink = open_sink("ros2:")
        sink.send(FramePose(0, 1.0, Status.TRACKED, T, small))
        for x in xi:
            sink.send(FramePose(0, 1.0, Status.TRACKED, T @ se3.exp(x), small))
        first, *others = [m.pose for m in ros.published["/vgslam/odometry"]]
        p0, R0 = first.pose.position, rotation(first.pose.orientation)
        moved = [(m.pose.position.x - p0.x, m.pose.position.y - p0.y, m.pose.position.z - p0.z) for m in others]
        turned = [se3.so3_log(rotation(m.pose.orientation) @ R0.T) for m in others]
        seen = np.cov(np.hstack([moved, turned]).T)
        np.testing.assert_allclose(np.reshape(first.covariance, (6, 6)), seen, atol=0.12 * np.abs(seen).max())


class TestMessages:
    def test_stamps_are_those_of_the_images(self, ros: Record) -> None:
        sink = open_sink("ros2:/drone/")
        stamp_ns = 1_700_000_000_123_456_789  # no float64 holds it
        sink.send(tracked(np.eye(4), stamp_ns=stamp_ns))
        sink.send(tracked(np.eye(4)))
        stamps = [(m.header.stamp.sec, m.header.stamp.nanosec) for m in ros.published["/drone/odometry"]]
        assert stamps == [(1_700_000_000, 123_456_789), (12, 750_000_000)]

    def test_frames_without_a_pose_are_not_published(self, ros: Record) -> None:
        sink = open_sink("ros2:")
        sink.send(FramePose(1, 12.85, Status.LOST))
        sink.close()
        sink.send(tracked(np.eye(4)))
        sink.close()
        assert "/vgslam/odometry" not in ros.published
        assert ros.calls == ["executor", "destroyed", "rclpy"]

    def test_another_component_has_another_map(self, ros: Record) -> None:
        sink = open_sink("ros2:")
        for component in (0, 2):
            sink.send(tracked(np.eye(4), component_id=component))
        assert [m.header.frame_id for m in ros.published["/vgslam/odometry"]] == ["map", "map_2"]
        assert [m.transforms[0].header.frame_id for m in ros.published["/tf"]] == ["map", "map_2"]

    @pytest.mark.parametrize("covariance", [None, np.full((6, 6), np.inf)])
    def test_what_is_not_known_is_wide(self, covariance: Array | None, ros: Record) -> None:
        open_sink("ros2:").send(FramePose(0, 1.0, Status.TRACKED, np.eye(4), covariance))
        (message,) = ros.published["/vgslam/odometry"]
        np.testing.assert_array_equal(np.reshape(message.pose.covariance, (6, 6)), UNKNOWN_VARIANCE * np.eye(6))
        np.testing.assert_array_equal(np.reshape(message.twist.covariance, (6, 6)), UNKNOWN_VARIANCE * np.eye(6))

    def test_a_middleware_that_breaks_down_costs_the_poses_and_not_the_run(self, ros: Record) -> None:
        sink = open_sink("ros2:")
        ros.fails = True
        sink.send(tracked(np.eye(4)))
        sink.send(tracked(np.eye(4)))
        assert sink.failure is not None
        assert "context was shut down" in sink.failure
        assert sink.n_dropped == 2


class TestTransforms:
    def test_map_to_camera_link_to_optical_frame(self, ros: Record) -> None:
        """The chain of both is the pose of the camera in the map."""
        sink = open_sink("ros2:")
        T = pose((10, 20, 30), (1, 2, 3))
        sink.send(tracked(T, stamp_ns=5))
        assert "tf map -> camera_link -> camera_optical_frame" in sink.where
        ((fixed,),) = [m.transforms for m in ros.published["/tf_static"]]
        ((moving,),) = [m.transforms for m in ros.published["/tf"]]
        assert (moving.header.frame_id, moving.child_frame_id) == ("map", "camera_link")
        assert (fixed.header.frame_id, fixed.child_frame_id) == ("camera_link", "camera_optical_frame")
        R = rotation(moving.transform.rotation) @ rotation(fixed.transform.rotation)
        np.testing.assert_allclose(R, in_map(T, False)[:3, :3], atol=1e-9)
        t = moving.transform.translation
        np.testing.assert_allclose((t.x, t.y, t.z), in_map(T, False)[:3, 3])
        assert moving.header.stamp.nanosec == 5

    def test_without_tf2_msgs_odometry_alone_which_is_said(
        self, ros: Record, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "tf2_msgs", None)
        monkeypatch.delitem(sys.modules, "tf2_msgs.msg")
        sink = open_sink("ros2:")
        sink.send(tracked(np.eye(4)))
        assert list(ros.published) == ["/vgslam/odometry"]
        assert "tf2_msgs is not installed" in sink.where


class TestOptions:
    def test_names(self) -> None:
        options = Ros2Options.parse("/drone/,map=odom,camera=left_camera_link,tf=no")
        assert options == Ros2Options("/drone", "odom", "left_camera_link", has_tf=False)
        assert options.optical == "left_camera_optical_frame"
        assert Ros2Options.parse("") == Ros2Options()

    def test_no_tf_if_it_is_not_wanted(self, ros: Record) -> None:
        sink = open_sink("ros2:/a,map=world,camera=cam,tf=no")
        sink.send(tracked(np.eye(4)))
        assert list(ros.published) == ["/a/odometry"]
        (message,) = ros.published["/a/odometry"]
        assert (message.header.frame_id, message.child_frame_id) == ("world", "cam")
        assert "tf" not in sink.where

    @pytest.mark.parametrize("rest", ["/a,tf=maybe", "/a,map=", "/a,speed=3", "/a,"])
    def test_others_are_refused(self, rest: str) -> None:
        with pytest.raises(ConfigError, match="expected ros2:/TOPIC"):
            Ros2Options.parse(rest)


def test_without_ros_the_next_step_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rclpy", None)
    monkeypatch.setitem(sys.modules, "geometry_msgs", None)
    with pytest.raises(MissingDependencyError, match=r"source .* pip install 'vgslam\[ros2\]'"):
        open_sink("ros2:")


@pytest.mark.skipif(not HAS_ROS, reason=WITHOUT_ROS)
class TestWithRosItself:
    @pytest.fixture(autouse=True)
    def own_domain(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in environment(tmp_path).items():
            monkeypatch.setenv(name, value)

    def test_its_messages_take_all_of_it(self) -> None:
        """Every field is of the type that ROS wants, or publishing fails."""
        sink = open_sink("ros2:/vgslam_test")
        sink.send(tracked(pose((10, 20, 30), (1, 2, 3)), stamp_ns=1_700_000_000_123_456_789, component_id=np.int64(1)))
        assert sink.failure is None
        assert sink.n_dropped == 0
        sink.close()
        sink.close()

    @pytest.mark.parametrize("name", ["a b", "/1a", "/a//b"])
    def test_what_is_no_name(self, name: str) -> None:
        with pytest.raises(ConfigError, match="not the name of a topic"):
            open_sink(f"ros2:{name}")

    @pytest.mark.parametrize("domain", ["233", "-1", "home"])
    def test_a_domain_that_is_none(self, domain: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ROS_DOMAIN_ID", domain)
        with pytest.raises(ConfigError, match="from 0 to 232"):
            open_sink("ros2:")
