"""The data that the parts of vgslam hand to each other: validated containers without algorithms.

Images are uint8 RGB, depth and confidence float32, poses float64. `T_a_b` takes coordinates in b to a.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3

Array = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]
Ids = npt.NDArray[np.int64]

__all__ = [
    "Camera", "Edge", "EdgeKind", "Frame", "Keyframe", "Observations", "PoseEstimate", "Sim3", "Status", "Trajectory",
    "WindowInput", "WindowPrediction",
]  # fmt: skip


class Status(StrEnum):
    """The state of a frame's pose. Only TRACKED and RELOCALIZED frames have one. UNSURE: in doubt, but not given up.
    The frames after it decide: at the end of a run it is TRACKED or LOST."""

    INITIALIZING = "INITIALIZING"
    TRACKED = "TRACKED"
    RELOCALIZED = "RELOCALIZED"
    LOST = "LOST"
    UNSURE = "UNSURE"

    @property
    def has_pose(self) -> bool:
        """Whether a frame in this state has a pose."""
        return self in (Status.TRACKED, Status.RELOCALIZED)


class EdgeKind(StrEnum):
    ODOMETRY = "ODOMETRY"
    LOOP = "LOOP"
    RELOC = "RELOC"


def check_pose(name: str, T: Array) -> None:
    """Raises ValueError, naming the field, unless T (..., 4, 4) is finite and rigid."""
    if T.shape[-2:] != (4, 4):
        raise ValueError(f"{name}: expected 4x4 matrices, got shape {T.shape}")
    if not np.isfinite(T).all():
        raise ValueError(f"{name}: holds numbers that are not finite")
    R = T[..., :3, :3]
    if np.abs(R @ np.swapaxes(R, -1, -2) - np.eye(3)).max(initial=0.0) > 1e-4:
        raise ValueError(f"{name}: rotation part is not orthonormal")
    if (np.linalg.det(R) < 0).any():
        raise ValueError(f"{name}: rotation part is a reflection")
    if np.abs(T[..., 3, :] - np.array([0.0, 0.0, 0.0, 1.0])).max(initial=0.0) > 1e-9:
        raise ValueError(f"{name}: last row is not (0, 0, 0, 1)")


@dataclass(frozen=True)
class Frame:
    """One image of a source."""

    id: int
    """Frame id; ids count from 0 without gaps."""
    timestamp_s: float
    """Time; strictly increases from frame to frame."""
    image: Image
    """(H,W,3) uint8 RGB, already undistorted."""
    camera: Camera | None = None
    """None when the source is not calibrated."""
    name: str | None = None
    """Name of its file; None where it comes from no file of its own (videos, bags, cameras)."""
    stamp_ns: int | None = None
    """The stamp that a live image came with, to the nanosecond; None without one. Where such stamps go back,
    timestamp_s does not."""

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(f"frame {self.id}: image must be (H,W,3) uint8, not {self.image.shape} {self.image.dtype}")
        if not np.isfinite(self.timestamp_s):
            raise ValueError(f"frame {self.id}: timestamp is not finite")


@dataclass(frozen=True)
class PoseEstimate:
    """The tracker's result for one frame."""

    frame_id: int
    timestamp_s: float
    status: Status
    ref_id: int = -1
    """The keyframe that the pose is relative to."""
    T_ref_cam: Array | None = None
    """(4,4) in units of keyframe `ref_id`; None unless status is TRACKED or RELOCALIZED."""
    covariance: Array | None = None
    """(6,6) of xi (rotation rad x3, translation in keyframe units x3) in T_ref_cam exp(xi). Like every covariance, it
    has the axes of the camera and the units of the pose beside it, here those of the keyframe; `SlamMap.covariance_of`
    gives it in map units."""
    n_inliers: int = 0
    inlier_ratio: float = 0.0
    """In [0,1]."""
    component_id: int = 0
    rotation_only: bool = False
    """Whether only the rotation is measured; the position is that of the frame before, and its covariance is wide."""

    def __post_init__(self) -> None:
        if self.status.has_pose != (self.T_ref_cam is not None):
            raise ValueError(f"frame {self.frame_id}: status {self.status} and pose do not agree")
        if self.T_ref_cam is not None:
            check_pose("T_ref_cam", self.T_ref_cam)


@dataclass(frozen=True)
class WindowInput:
    """The data from which the geometry of a window of N keyframes is computed. Feature tracks and earlier geometry are
    optional. Track observation m says that landmark `track_id[m]` is seen in window image `track_frame[m]` at
    `track_px[m]`; a landmark is seen at most once in an image."""

    frame_ids: Ids
    """(N,): the frames of the keyframes."""
    images: Sequence[Image]
    """N arrays (H,W,3)."""
    camera: Camera
    """The camera of all images: the current guess if the source is not calibrated."""
    track_frame: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """(M,): index of the window image."""
    track_id: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """(M,): landmark id."""
    track_px: Array = field(default_factory=lambda: np.zeros((0, 2)))
    """(M,2)."""
    T_window_cam: Array | None = None
    """(N,4,4): the map's estimate, first camera at the identity; None before initialisation."""
    landmark_ids: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """(L,) ascending: landmarks that the map already has."""
    landmarks: Array = field(default_factory=lambda: np.zeros((0, 3)))
    """(L,3) in the same frame of reference as T_window_cam."""
    dense_frames: tuple[int, ...] = ()
    """Window indices whose dense depth is wanted. A network, which gets depth for free, fills the others too."""

    def __post_init__(self) -> None:
        n = len(self.frame_ids)
        if n == 0 or len(self.images) != n:
            raise ValueError(f"window: {n} frame ids and {len(self.images)} images")
        if not (len(self.track_frame) == len(self.track_id) == len(self.track_px)):
            raise ValueError("window: track_frame, track_id and track_px differ in length")
        if len(self.landmark_ids) != len(self.landmarks):
            raise ValueError("window: landmark_ids and landmarks differ in length")
        if self.T_window_cam is not None:
            check_pose("T_window_cam", self.T_window_cam)


class MadeBy(StrEnum):
    """Where the geometry of a window comes from."""

    TRACKS = "tracks"
    NETWORK = "network"


@dataclass(frozen=True)
class WindowPrediction:
    """Geometry of a window of N keyframes in its own gauge: first camera at the identity, median depth 1."""

    frame_ids: Ids
    """(N,): the frames of the keyframes."""
    T_window_cam: Array
    """(N,4,4)."""
    cameras: list[Camera]
    """N cameras of the depth maps' resolution."""
    depth: Float32
    """(N,h,w) along the optical axis, 0 where unknown."""
    confidence: Float32
    """(N,h,w) in [0,1]."""
    raw_scale: float = 1.0
    """The maker's own unit in window units: raw = raw_scale * window."""
    is_metric: bool = False
    """Whether the raw unit is the metre."""
    made_by: MadeBy = MadeBy.TRACKS
    """Feature tracks or a network."""
    landmark_ids: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """(L,); empty without tracks to triangulate."""
    landmarks: Array = field(default_factory=lambda: np.zeros((0, 3)))
    """(L,3) in the window frame."""
    landmark_rel_sigma: Array = field(default_factory=lambda: np.zeros(0))
    """(L,): relative standard deviation of the landmarks' depth."""

    def __post_init__(self) -> None:
        n = len(self.frame_ids)
        check_pose("T_window_cam", self.T_window_cam)
        if len(self.T_window_cam) != n or len(self.cameras) != n or len(self.depth) != n:
            raise ValueError("window prediction: frame_ids, poses, cameras and depth differ in length")
        if self.depth.shape != self.confidence.shape:
            raise ValueError("window prediction: depth and confidence differ in shape")
        if np.abs(self.T_window_cam[0] - np.eye(4)).max() > 1e-6:
            raise ValueError("window prediction: the first camera must be the identity")
        if not np.isfinite(self.depth).all() or (self.depth < 0).any():
            raise ValueError("window prediction: depth must be finite and >= 0")
        if not (np.isfinite(self.raw_scale) and self.raw_scale > 0):
            raise ValueError("window prediction: raw_scale must be positive")


@dataclass
class Keyframe:
    """A node of the map."""

    id: int
    frame_id: int
    timestamp_s: float
    image: Image
    camera: Camera
    S_world_keyframe: Sim3
    """The only thing that optimisation changes."""
    component_id: int = 0
    depth: Float32 | None = None
    """(h,w) float32 in keyframe units along the optical axis, 0 where unknown; None until computed."""
    confidence: Float32 | None = None
    """(h,w) float32 in [0,1]; None until computed."""
    depth_camera: Camera | None = None
    """Camera of the depth map's resolution; None until computed."""


class Observations(NamedTuple):
    """The landmarks that a keyframe sees. Both arrays are read-only, and a change replaces the whole object, so whoever
    holds one has ids with their own pixels."""

    ids: Ids
    """(n,): landmark ids."""
    pixels: Array
    """(n,2)."""

    @staticmethod
    def of(ids: npt.ArrayLike, pixels: npt.ArrayLike) -> "Observations":
        """Copies of ids and pixels. Raises ValueError if they differ in length."""
        own = np.array(ids, np.int64), np.array(pixels, np.float64)
        if len(own[0]) != len(own[1]):
            raise ValueError(f"{len(own[0])} observed landmarks and {len(own[1])} pixels")
        for array in own:
            array.flags.writeable = False
        return Observations(*own)


@dataclass(frozen=True)
class Edge:
    """A measurement S_a_b between keyframes a and b."""

    id_a: int
    id_b: int
    S_a_b: Sim3
    sigmas: Array
    """(7,): rotation rad x3, translation (units of a) x3, log-scale."""
    kind: EdgeKind
    inlier_ratio: float = 1.0

    def __post_init__(self) -> None:
        if self.id_a == self.id_b:
            raise ValueError(f"edge from keyframe {self.id_a} to itself")
        if np.shape(self.sigmas) != (7,) or not (np.isfinite(self.sigmas).all() and (self.sigmas > 0).all()):
            raise ValueError("edge sigmas must be 7 positive finite numbers")


@dataclass(frozen=True)
class Trajectory:
    """Poses of N frames."""

    timestamps_s: Array
    """(N,), strictly increasing."""
    T_world_cam: Array
    """(N,4,4)."""
    frame_ids: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """(N,): the frames that the poses belong to."""
    component_ids: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """(N,): the connected piece of the map that each pose belongs to."""
    is_metric: bool = False
    """Whether lengths are metres; otherwise they are map units."""

    def __post_init__(self) -> None:
        n = len(self.timestamps_s)
        if len(self.T_world_cam) != n:
            raise ValueError("trajectory: timestamps and poses differ in length")
        if n:
            check_pose("T_world_cam", self.T_world_cam)
        if not np.isfinite(self.timestamps_s).all() or (np.diff(self.timestamps_s) <= 0).any():
            raise ValueError("trajectory: timestamps must be finite and strictly increasing")
        for name, values in (("frame_ids", np.arange(n)), ("component_ids", np.zeros(n, np.int64))):
            if len(getattr(self, name)) != n:
                if len(getattr(self, name)):
                    raise ValueError(f"trajectory: {name} and poses differ in length")
                object.__setattr__(self, name, values)

    def __len__(self) -> int:
        return len(self.timestamps_s)

    def of_component(self, component_id: int) -> "Trajectory":
        """The poses of one component."""
        mine = self.component_ids == component_id
        return Trajectory(
            self.timestamps_s[mine], self.T_world_cam[mine], self.frame_ids[mine], self.component_ids[mine],
            self.is_metric,
        )
