"""The interface for programs: SLAM over frames of their own, or poses of a stream."""

from pathlib import Path
from typing import Any

from vgslam.session.pose_stream import PoseStream, StreamOptions
from vgslam.slam_config import SlamConfig
from vgslam.system import SlamSystem

__all__ = ["Slam", "SlamConfig"]


class Slam(SlamSystem):
    """`Slam(camera)` takes frames of your own, one by one (see `SlamSystem`); `Slam.open` gives the poses of a stream.
    It is a separate class because a stream is opened by `vgslam.session`, which is built on the system."""

    @staticmethod
    def open(source: str | Path, **options: Any) -> PoseStream:
        """Poses of a live stream (`rtsp://...`, a camera's index, ...) or a recording, one after another:
        `for pose in Slam.open("rtsp://...", fov_deg=70, network="vggt"): ...`. options: fields of
        `vgslam.session.pose_stream.StreamOptions`. Raises InputError and others, as `PoseStream.open`."""
        return PoseStream.open(source, StreamOptions(**options))
