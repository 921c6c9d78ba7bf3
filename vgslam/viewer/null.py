"""The viewer of runs without a viewer."""

from vgslam.interfaces import ViewedMap
from vgslam.types import Frame, PoseEstimate


class NullViewer:
    """Shows nothing and takes no time."""

    where = ""

    def show(self, frame: Frame, estimate: PoseEstimate, slam_map: ViewedMap, latency_s: float) -> None:
        """Does nothing."""

    def close(self, slam_map: ViewedMap) -> None:
        """Does nothing."""
