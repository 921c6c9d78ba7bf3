"""The pose and status of one frame, as other programs get them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vgslam.geometry.se3 import quaternion_from_rotation
from vgslam.interfaces import PosedMap
from vgslam.types import Array, PoseEstimate, Status


@dataclass(frozen=True)
class FramePose:
    """A frame's pose in the map, as the map was when the frame had been processed."""

    frame_id: int
    timestamp_s: float
    """Time of the frame by the source's clock."""
    status: Status
    T_world_cam: Array | None = None
    """(4,4), OpenCV axes (x right, y down, z forward), map units; None unless status is TRACKED or RELOCALIZED."""
    covariance: Array | None = None
    """(6,6) of xi (rotation rad x3, translation in map units x3) in T_world_cam exp(xi), so in the axes of the camera;
    None without a pose."""
    component_id: int = 0
    """Poses of one component share origin and scale; those of different components cannot be compared."""
    n_inliers: int = 0
    map_name: str | None = None
    """The map that the run works on; None if none is kept."""
    latency_s: float | None = None
    """Time since the frame arrived; None if not known."""
    stamp_ns: int | None = None
    """The stamp that the image came with, to the nanosecond; None without one."""
    is_upright: bool = False
    """Whether the z axis of the world is known to point up; else its axes are those of a first camera."""

    @staticmethod
    def of(
        estimate: PoseEstimate, slam_map: PosedMap, map_name: str | None = None, latency_s: float | None = None,
        stamp_ns: int | None = None,
    ) -> "FramePose":  # fmt: skip
        """The tracker's result for a frame, in the world of the map's newest state."""
        return FramePose(
            estimate.frame_id, estimate.timestamp_s, estimate.status, slam_map.pose_of(estimate),
            slam_map.covariance_of(estimate), estimate.component_id, estimate.n_inliers, map_name, latency_s,
            stamp_ns, slam_map.is_upright(estimate),
        )  # fmt: skip

    @property
    def has_pose(self) -> bool:
        return self.T_world_cam is not None

    @property
    def position(self) -> Array | None:
        """Centre of the camera (3,) in map units."""
        return None if self.T_world_cam is None else self.T_world_cam[:3, 3]

    @property
    def quaternion_xyzw(self) -> Array | None:
        """Rotation of T_world_cam as a unit quaternion (x, y, z, w), w >= 0."""
        return None if self.T_world_cam is None else quaternion_from_rotation(self.T_world_cam[:3, :3])

    def to_json(self) -> str:
        """One line of strict JSON without its end; matrices row by row; null for unknown values."""
        return json.dumps({
            "frame": self.frame_id, "timestamp_s": round(self.timestamp_s, 9), "status": self.status.value,
            "T_world_cam": _rows(self.T_world_cam), "position": _rows(self.position),
            "quaternion_xyzw": _rows(self.quaternion_xyzw), "covariance": _rows(self.covariance),
            "component": self.component_id, "map": self.map_name, "n_inliers": self.n_inliers,
            "latency_s": None if self.latency_s is None else round(self.latency_s, 6),
        }, allow_nan=False)  # fmt: skip


PoseCallback = Callable[[FramePose], object]


def _rows(values: Array | None) -> list[Any] | None:
    if values is None or not np.isfinite(values).all():
        return None
    return list(np.vectorize(lambda x: float(f"{x:.9g}"))(values).tolist())
