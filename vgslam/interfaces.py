"""Protocols between the parts: everything that can be replaced by another implementation or a stand-in."""

from collections.abc import Iterator
from typing import Protocol

from vgslam.types import Camera, Frame, Trajectory, WindowInput, WindowPrediction


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
