"""Protocols between the parts: everything that can be replaced by another implementation or a stand-in."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from vgslam.types import (
    Array,
    Camera,
    Edge,
    Frame,
    Ids,
    Image,
    Keyframe,
    Observations,
    PoseEstimate,
    Trajectory,
)

if TYPE_CHECKING:  # what plug-ins are handed and hand back, defined in the rooms that they serve
    from vgslam.network.backbone import BackboneSpec, GivenCameras, SceneGeometry
    from vgslam.network.frame_mask import FrameMask
    from vgslam.network.preprocess import NetworkImages
    from vgslam.network.vggt import Head
    from vgslam.network.weights_info import WeightsInfo
    from vgslam.poses_out.frame_pose import FramePose
    from vgslam.reloc.loops import Meeting
    from vgslam.sources.options import SourceOptions
    from vgslam.sources.recording import Recording

TokensT = TypeVar("TokensT")


class FrameSource(Protocol):
    """Frames in time order. Iterating twice gives the same frames again (live sources excepted)."""

    kind: str
    """The recognised format."""
    name: str
    """A short title."""
    camera: Camera | None
    """The pinhole camera of the (undistorted) frames; None when not calibrated."""
    n_frames: int | None
    """None when not known in advance."""
    truth: Trajectory | None
    """The reference camera trajectory (T_world_cam, metres) or None."""
    warnings: list[str]
    """One line for each thing that was tolerated; grows while iterating."""

    def __iter__(self) -> Iterator[Frame]: ...


class SourceKind(Protocol):
    """One way in which frames are kept on disk; a module with these two functions is one. Registry: `sources.kinds`."""

    def matches(self, path: Path) -> bool:
        """Whether an existing file or folder is of this kind. Asked of plug-ins when the package's own data sets do not
        recognise it, before it is taken for a plain folder of images or a video."""
        ...

    def open(self, path: Path, options: "SourceOptions") -> "Recording":
        """The undecoded images of `path`. Selection, decoding, checks and undistortion are done for all kinds alike.
        Raises InputError with one line that names the path and the next step."""
        ...


class PoseSink(Protocol):
    """Takes poses as they happen. Registry: `poses_out.open.POSE_SINKS`. `send` returns at once, whatever the reader
    does. `close` waits a moment for what is under way; it is safe to call twice."""

    where: str
    """One line that says where the poses can be read; empty if that is clear."""
    n_dropped: int
    """Poses left out because the reader was too slow."""
    failure: str | None
    """One line that says why no poses are sent any more; None while all is well."""

    def send(self, pose: "FramePose") -> None: ...

    def close(self) -> None: ...


class LoopVerifier(Protocol):
    """Decides whether two keyframes that look alike show the same place. Registry: `reloc.verifiers.LOOP_VERIFIERS`."""

    def verify(self, a: int, b: int) -> "Meeting | None":
        """How keyframe b is placed by what it shows of keyframe a; None if that cannot be said for sure. Called on a
        thread beside the tracking (on one core a recording has none); the map is read only."""
        ...


class Backbone(Protocol[TokensT]):
    """A feed-forward network that sees a window of frames at once. Registry: `network.open_backbone.BACKBONES`."""

    spec: "BackboneSpec"
    weights: "WeightsInfo"

    def prepare(self, images: Sequence[Image]) -> "NetworkImages":
        """Images (H,W,3) uint8 RGB of any size -> the network's input, by the backbone's own resolution policy."""
        ...

    def max_frames(self, height_px: int, width_px: int) -> int:
        """Frames of this network size that fit into the memory budget (at least 2, else it refuses to start)."""
        ...

    def encode(
        self, images: "NetworkImages", want: "Collection[Head]", mask: "FrameMask | None" = None,
        given: "GivenCameras | None" = None,
    ) -> TokensT:  # fmt: skip
        """The expensive part, once per window: tokens on the device, only those that the heads in `want` read. given:
        poses and cameras of *all* images, for networks that are told them before they look. Passed only where
        `spec.takes_cameras`; a backbone without that may leave the argument out."""
        ...

    def decode(
        self, tokens: TokensT, images: "NetworkImages", want: "Collection[Head]", queries: Array | None = None,
        known_cameras: Sequence[Camera] | None = None,
    ) -> "SceneGeometry":  # fmt: skip
        """Results of the heads in `want`. queries (N,2): px of frame 0 of the network's images, for tracks.
        known_cameras: calibrated cameras of the *source* images; they replace the predicted intrinsics. This is where
        results come from the device to the CPU, and the only place."""
        ...


class PosedMap(Protocol):
    """Where frames are in the world; `SlamMap` provides it, and a snapshot of it."""

    def pose_of(self, estimate: PoseEstimate) -> Array | None: ...

    def covariance_of(self, estimate: PoseEstimate) -> Array | None: ...

    def is_upright(self, estimate: PoseEstimate) -> bool: ...


class ViewedMap(Protocol):
    """The part of the map that a viewer reads; `vgslam.map.slam_map.SlamMap` provides it."""

    keyframes: list[Keyframe]
    observed: list[Observations]
    edges: dict[tuple[int, int], Edge]

    def pose_of(self, estimate: PoseEstimate) -> Array | None: ...

    def covariance_of(self, estimate: PoseEstimate) -> Array | None: ...

    def T_world_keyframes(self, keyframe_ids: Ids) -> Array: ...

    def session_frames(self) -> list[PoseEstimate]: ...

    def trajectory(self) -> Trajectory: ...


class Viewer(Protocol):
    """Shows a run while it goes on. `show` is called after each frame with the tracker's result, the map's newest state
    and the wall-clock seconds that the frame took. It only reads, must return soon, and may leave out what it has no
    time for. `close` is called once, however the run ended, and shows the last state."""

    where: str
    """One line that says how to look; empty when there is nothing to look at."""

    def show(self, frame: Frame, estimate: PoseEstimate, slam_map: ViewedMap, latency_s: float) -> None: ...

    def close(self, slam_map: ViewedMap) -> None: ...
