"""Protocols between the parts: everything that can be replaced by another implementation or a stand-in."""

from collections.abc import Iterator
from typing import Protocol

from vgslam.types import (
    Array,
    Camera,
    Edge,
    Frame,
    Ids,
    Keyframe,
    Observations,
    PoseEstimate,
    Trajectory,
    WindowInput,
    WindowPrediction,
)


class FrameSource(Protocol):
    """Frames in time order. Iterating twice gives the same frames again (live sources excepted).

    `kind` is the recognised format; `name` a short title; `camera` the pinhole of the (undistorted) frames or None
    when not calibrated; `n_frames` None when not known in advance; `truth` the reference camera trajectory
    (T_world_cam, metres) or None; `warnings` one line each, for what was tolerated (appended to while iterating).
    """

    kind: str
    name: str
    camera: Camera | None
    n_frames: int | None
    truth: Trajectory | None
    warnings: list[str]

    def __iter__(self) -> Iterator[Frame]: ...


class Predictor(Protocol):
    """Multi-view geometry of a window of keyframes.

    `predict` returns None when the window does not determine the geometry (too little parallax, pure rotation).
    """

    model_id: str

    def predict(self, window: WindowInput) -> WindowPrediction | None: ...


class ViewedMap(Protocol):
    """What a viewer reads of the map; `vgslam.map.slam_map.SlamMap` has it all."""

    keyframes: list[Keyframe]
    observed: list[Observations]
    edges: dict[tuple[int, int], Edge]

    def pose_of(self, estimate: PoseEstimate) -> Array | None: ...

    def covariance_of(self, estimate: PoseEstimate) -> Array | None: ...

    def T_world_keyframes(self, keyframe_ids: Ids) -> Array: ...

    def session_frames(self) -> list[PoseEstimate]: ...

    def trajectory(self) -> Trajectory: ...


class Viewer(Protocol):
    """Shows a run while it goes on.

    `show` is called after each frame with what the tracker said, the map's newest state and the wall-clock seconds
    that the frame took; it only reads, must return soon, and may leave out what it has no time for. `close` is called
    once, whatever ended the run, and shows the last state. `where` says, in one line, how to look; empty when there is
    nothing to look at.
    """

    where: str

    def show(self, frame: Frame, estimate: PoseEstimate, slam_map: ViewedMap, latency_s: float) -> None: ...

    def close(self, slam_map: ViewedMap) -> None: ...
