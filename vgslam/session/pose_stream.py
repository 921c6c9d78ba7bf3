"""Poses of a stream, one after another, for programs that embed the system: what `Slam.open` returns."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vgslam.interfaces import FrameSource
from vgslam.poses_out.frame_pose import FramePose, PoseCallback
from vgslam.session.choose_camera import camera_with_fov, estimated_camera
from vgslam.slam import Slam, SlamConfig
from vgslam.sources.live import LiveOptions, LiveSource
from vgslam.sources.live_open import in_real_time, is_live, open_live
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions
from vgslam.types import Camera

if TYPE_CHECKING:
    from vgslam.map.slam_map import SlamMap


@dataclass(frozen=True)
class StreamOptions:
    """Choices for `PoseStream.open`.

    Without camera, calib and fov_deg the source's own calibration is used, else the field of view is estimated from the
    first frames.
    """

    camera: Camera | None = None
    """Camera of the images as they arrive, without distortion."""
    calib: Path | None = None
    """Calibration file."""
    fov_deg: float | None = None
    """Horizontal field of view, in degrees."""
    real_time: bool = False
    """Play a recording at its own times and drop what there is no time for."""
    keep_all: bool = False
    """Drop no frame of a live source."""
    give_up_s: float = 60.0
    """How long a stream that broke off is tried again, in s."""
    config: SlamConfig = field(default_factory=SlamConfig)
    """Settings of tracking and mapping."""
    slam_map: "SlamMap | None" = None
    """A map to go on with."""
    is_localizing: bool = False
    """Only find the camera in the map, which stays as it is."""


class PoseStream:
    """Iterating gives a FramePose for each frame until the stream ends or `close` is called; `slam.map` is the map.

    Leaving a `with` block, or the end of the loop, closes the source. Not for several threads at once.
    """

    def __init__(self, slam: Slam, source: FrameSource) -> None:
        self.slam, self.source = slam, source
        self._is_finished = False
        self._next_id = slam.first_frame_id

    @staticmethod
    def open(name: str | Path, options: StreamOptions | None = None) -> "PoseStream":
        """Connects to what `vgslam live` takes (`rtsp://...`, `http://...`, a camera's index, a pipe, ...) or opens a
        recording. Raises InputError, CalibrationError,
        ConfigError, MissingDependencyError."""
        options = options or StreamOptions()
        source = _source(str(name), options)
        try:
            camera = options.camera or source.camera or _camera(source, options)
            slam = Slam(camera, _config(source, options), None, None, options.slam_map, options.is_localizing)
        except BaseException:
            _close(source)
            raise
        return PoseStream(slam, source)

    def __iter__(self) -> Iterator[FramePose]:
        slam, live = self.slam, self.source if isinstance(self.source, LiveSource) else None
        try:
            for frame in self.source:
                began_s = time.monotonic() if live is None else live.arrived_s
                estimate = slam.process(replace(frame, id=self._next_id))
                self._next_id += 1
                yield FramePose.of(estimate, slam.map, None, time.monotonic() - began_s)
        finally:
            self.close()

    def run(self, on_pose: PoseCallback) -> None:
        """Call on_pose with each pose until the stream ends; what it raises ends the stream."""
        for pose in self:
            on_pose(pose)

    def close(self) -> None:
        """End the stream and give the map its last word; safe to call twice, and from within the loop."""
        _close(self.source)
        if not self._is_finished:
            self._is_finished = True
            self.slam.finish()

    def __enter__(self) -> "PoseStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _config(source: FrameSource, options: StreamOptions) -> SlamConfig:
    """What does not wait has its loops looked for in the background."""
    config = options.config
    if not isinstance(source, LiveSource):
        return config
    return replace(config, loops=replace(config.loops, in_background=True))


def _close(source: FrameSource) -> None:
    if isinstance(source, LiveSource):
        source.close()


def _source(name: str, options: StreamOptions) -> FrameSource:
    live_options = LiveOptions(options.calib, options.keep_all, options.give_up_s)
    if is_live(name):
        source = open_live(name, live_options)
        source.open()
        return source
    recorded = open_source(Path(name), SourceOptions(calib=options.calib))
    return in_real_time(recorded, live_options) if options.real_time else recorded


def _camera(source: FrameSource, options: StreamOptions) -> Camera:
    if options.fov_deg is not None:
        return camera_with_fov(source, options.fov_deg)
    return estimated_camera(source, options.config).camera
