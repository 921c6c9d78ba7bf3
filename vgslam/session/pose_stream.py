"""Poses of a stream, one after another, for programs that embed the system: what `Slam.open` returns."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from vgslam.frontend.guide import VggtUse
from vgslam.interfaces import FrameSource
from vgslam.map.slam_map import SlamMap
from vgslam.network.options import NO_NETWORK, NetworkOptions
from vgslam.poses_out.frame_pose import FramePose, PoseCallback
from vgslam.session.main_loop import MainLoop
from vgslam.session.map_session import MapSession
from vgslam.session.network import open_network
from vgslam.session.open_system import SystemOptions, open_system
from vgslam.slam_config import SlamConfig
from vgslam.sources.live import LiveOptions, LiveSource
from vgslam.sources.live_open import in_real_time, is_live, open_live
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions
from vgslam.system import SlamSystem
from vgslam.types import Camera

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamOptions:
    """Choices for `PoseStream.open`. Without camera, calib and fov_deg the source's own calibration is used, else the
    camera of slam_map, else the field of view is estimated from the first frames."""

    camera: Camera | None = None
    """Camera of the images as they arrive, without distortion."""
    calib: Path | None = None
    """Calibration file."""
    fov_deg: float | None = None
    """Horizontal field of view, in degrees."""
    mask: Path | None = None
    """PNG of the images' size, black where nothing is to be used."""
    real_time: bool = False
    """Play a recording at its own times, and drop frames when there is no time for them."""
    keep_all: bool = False
    """Drop no frame of a live source."""
    give_up_s: float = 60.0
    """How long to try to reconnect to a stream that broke off, in s."""
    config: SlamConfig = field(default_factory=SlamConfig)
    """Settings of tracking and mapping."""
    slam_map: SlamMap | None = None
    """A map to continue."""
    is_localizing: bool = False
    """Only find the camera in the map, which stays as it is."""
    network: str = NO_NETWORK
    """A network that helps the geometry, as in `vggt`."""
    weights: str | None = None
    """Weights of the network; the default is the small network of the package."""
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:N or mps."""
    use: VggtUse = field(default_factory=VggtUse)
    """What the network is used for."""
    adjust_at_end: bool = False
    """Adjust the map of a live source as a whole when the stream has ended: `close` then takes some seconds more, at
    most `config.refine.seconds` of CPU. That of a recording always is."""
    say: Callable[[str], None] = _log.info
    """Gets lines for a person: what is opened, how the camera is found, the terms of the network. By default they go to
    the log `vgslam.session.pose_stream`; `say=print` shows them."""

    def __post_init__(self) -> None:
        for name in ("calib", "mask"):  # `Slam.open` takes any options: a name as text is what most people give
            if isinstance(given := getattr(self, name), str):
                object.__setattr__(self, name, Path(given))


class PoseStream:
    """Iterating gives a FramePose for each frame until the stream ends or `close` is called; `slam.map` is the map.
    Leaving a `with` block, or the end of the loop, closes the source. Not for several threads at once."""

    def __init__(self, slam: SlamSystem, source: FrameSource) -> None:
        self.slam, self.source = slam, source
        self._loop = MainLoop(source, slam, MapSession.in_memory(slam.map, slam.is_localizing))
        self._is_finished = False

    @staticmethod
    def open(name: str | Path, options: StreamOptions | None = None) -> "PoseStream":
        """Connects to what `vgslam live` takes (`rtsp://...`, `http://...`, a camera's index, a pipe, ...) or opens a
        recording. Raises InputError, CalibrationError, ConfigError, WeightsError, MissingDependencyError."""
        options = options or StreamOptions()
        network = open_network(
            NetworkOptions(options.network, options.weights, options.device), options.say, options.use
        )  # fmt: skip
        map_session = MapSession.in_memory(options.slam_map, options.is_localizing)
        source = _source(str(name), options)
        is_live = isinstance(source, LiveSource)
        what = f"{source.name}: {source.kind}, live" if is_live else f"{name}: {source.kind}, {source.n_frames} frames"
        options.say(what)
        try:
            choice = SystemOptions(_config(source, options), options.camera, options.fov_deg, options.mask)
            slam, _ = open_system(source, map_session, network, choice, options.say)
        except BaseException:
            if isinstance(source, LiveSource):
                source.close()
            raise
        return PoseStream(slam, source)

    def __iter__(self) -> Iterator[FramePose]:
        try:
            for tracked in self._loop.run():
                latency_s = time.monotonic() - tracked.arrived_s
                yield FramePose.of(tracked.estimate, self.slam.posed, None, latency_s, tracked.frame.stamp_ns)
        finally:
            self.close()

    def run(self, on_pose: PoseCallback) -> None:
        """Call on_pose with each pose until the stream ends; what it raises ends the stream."""
        for pose in self:
            on_pose(pose)

    def close(self) -> None:
        """End the stream and finish the map; safe to call twice, and from within the loop."""
        self._loop.close()
        if not self._is_finished:
            self._is_finished = True
            self._loop.finish()

    def __enter__(self) -> "PoseStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _config(source: FrameSource, options: StreamOptions) -> SlamConfig:
    config = options.config
    if options.adjust_at_end or not isinstance(source, LiveSource):
        return config
    return replace(config, refine=replace(config.refine, is_on=False))


def _source(name: str, options: StreamOptions) -> FrameSource:
    live_options = LiveOptions(options.calib, options.keep_all, options.give_up_s)
    if is_live(name):
        source = open_live(name, live_options)
        source.open()
        return source
    recorded = open_source(Path(name), SourceOptions(calib=options.calib))
    return in_real_time(recorded, live_options) if options.real_time else recorded
