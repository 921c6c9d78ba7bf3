"""A node in ROS 2, for images that come and poses that go: rclpy is loaded on use, and signals stay the program's"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from vgslam.errors import ConfigError, MissingDependencyError
from vgslam.guards.wording import first_line, one_line

HOW_TO_INSTALL = (
    "source the ROS 2 installation (`source /opt/ros/DISTRO/setup.bash`) and start vgslam with its Python, or where "
    "there is none: pip install 'vgslam[ros2]' (Linux on x86-64)"
)

LARGEST_DOMAIN = 232  # larger ones have no UDP ports


@contextmanager
def ros_needed() -> Iterator[None]:
    """Around imports of ROS 2. Raises MissingDependencyError for what is not installed, and in other words for what is
    there and cannot be loaded, as when it was built for another Python."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or "." in error.name:  # a part of a package that was found
            raise _unusable(error) from error
        raise MissingDependencyError(f"ROS 2 topics need {error.name}: {HOW_TO_INSTALL}") from error
    except (ImportError, OSError) as error:
        raise _unusable(error) from error


def _unusable(error: Exception) -> MissingDependencyError:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    reason = one_line(first_line(error))
    return MissingDependencyError(
        f"ROS 2 is installed and cannot be loaded by this Python {python} ({reason}); {HOW_TO_INSTALL}"
    )


def _check_domain(domain: str) -> None:
    """Raises ConfigError for a domain that does not exist: the middleware would end the process."""
    if domain and not (domain.isdecimal() and int(domain) <= LARGEST_DOMAIN):
        raise ConfigError(f"ROS_DOMAIN_ID is '{domain}'; it must be a number from 0 to {LARGEST_DOMAIN}")


class Ros2Node:
    """A node with a context of its own, so that it neither disturbs other nodes of the process nor takes over Ctrl-C.
    `node` is rclpy's. Not for several threads at once. Raises MissingDependencyError where ROS 2 is missing,
    ConfigError where it cannot be started as its environment variables say."""

    def __init__(self, name: str) -> None:
        with ros_needed():
            import rclpy
            from rclpy.executors import SingleThreadedExecutor
            from rclpy.node import Node
            from rclpy.signals import SignalHandlerOptions
        _check_domain(os.environ.get("ROS_DOMAIN_ID", ""))
        self._rclpy = rclpy
        self._context: Any = rclpy.Context()
        try:
            # without arguments of its own rclpy would take those of the program
            rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
            self.node: Any = Node(
                f"{name}_{os.getpid()}", context=self._context, enable_rosout=False, start_parameter_services=False
            )
        except Exception as error:  # rclpy raises errors of many kinds, RuntimeError among them
            raise ConfigError(
                f"ROS 2 cannot be started ({one_line(str(error))}); see its environment variables: `env | grep -e ROS "
                "-e RMW`"
            ) from error
        self._executor: Any = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)

    def spin(self, longest_s: float) -> None:
        """Handle what has come, or wait for it for longest_s at most."""
        self._executor.spin_once(timeout_sec=longest_s)

    def close(self) -> None:
        """Leave ROS 2."""
        self._executor.shutdown()
        self.node.destroy_node()
        self._rclpy.shutdown(context=self._context)


class Listener:
    """Hears a topic in the way in which its publishers offer it: as one of `kinds` (message types by their names),
    reliably where all of them are reliable, and what was published before where all of them keep that. depth: messages
    that the middleware keeps for us. Nothing is heard before the first `follow`."""

    def __init__(
        self, node: Ros2Node, topic: str, kinds: Mapping[str, Any], on_message: Callable[[Any], object], depth: int
    ) -> None:  # fmt: skip
        self._node, self.topic, self._kinds, self._depth = node.node, topic, kinds, depth
        self._on_message = on_message
        self._subscription: Any = None
        self._offered: tuple[str, bool, bool] | None = None
        self.n_publishers = 0
        """Publishers of a fitting type."""
        self.other_kinds: tuple[str, ...] = ()
        """Types that are published there and are none of `kinds`."""

    def follow(self) -> None:
        """Look who publishes, and subscribe anew where that calls for another way."""
        from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

        publishers = self._node.get_publishers_info_by_topic(self.topic)
        fitting = [p for p in publishers if p.topic_type in self._kinds]
        self.n_publishers = len(fitting)
        self.other_kinds = tuple(sorted({p.topic_type for p in publishers} - set(self._kinds)))
        if not fitting:
            return
        is_reliable = all(p.qos_profile.reliability == ReliabilityPolicy.RELIABLE for p in fitting)
        is_kept = all(p.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in fitting)
        self._subscribe((min(p.topic_type for p in fitting), is_reliable, is_kept))

    def close(self) -> None:
        """Hear no more of it."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        self._subscription = self._offered = None

    def _subscribe(self, offered: tuple[str, bool, bool]) -> None:
        from rclpy.event_handler import SubscriptionEventCallbacks
        from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

        if offered == self._offered:
            return
        self.close()
        kind, is_reliable, is_kept = offered
        profile = QoSProfile(
            depth=self._depth,
            reliability=ReliabilityPolicy.RELIABLE if is_reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if is_kept else DurabilityPolicy.VOLATILE,
        )
        quiet = SubscriptionEventCallbacks(use_default_callbacks=False)  # the usual ones print on the terminal
        self._subscription = self._node.create_subscription(
            self._kinds[kind], self.topic, self._on_message, profile, event_callbacks=quiet
        )
        self._offered = offered
