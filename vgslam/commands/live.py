"""`vgslam live`: poses from a camera, a network stream, a pipe or a ROS 2 topic, as they happen."""

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import tyro

from vgslam.commands.terminal import Told, run_in_terminal
from vgslam.errors import ConfigError, InputError
from vgslam.poses_out.open import check_target
from vgslam.session.telemetry import check_port
from vgslam.session.tracking_args import TrackingArgs
from vgslam.sources.live import LiveOptions, LiveSource
from vgslam.sources.live_address import public
from vgslam.sources.live_open import KNOWN, in_real_time, is_live, open_live
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.sources.trajectory_rows import is_untimed
from vgslam.types import Trajectory


@dataclass
class LiveArgs(TrackingArgs):
    """Tracks a live source: always the newest frame, poses as they happen. Ctrl-C or SIGTERM ends it
    and keeps everything, as `vgslam run` would."""

    address: tyro.conf.Positional[str]
    """A camera (0, /dev/video0), an address (rtsp://, http://), a ROS 2 topic (ros2:/image), `-` for a pipe, or a
    recording, which is played at its own times. Addresses are whatever ffmpeg reads, and rtsp+listen:// to be sent to;
    a pipe is as in `ffmpeg ... | vgslam live -`; a GStreamer pipeline is gst:..."""
    every_frame: bool = False
    """Let the stream wait instead of dropping frames. The latency grows where tracking is too slow."""
    max_frames: int | None = None
    """End after this many frames."""
    duration_s: float | None = None
    """End after this time, in s."""
    stream: int | None = None
    """Number of the video stream in an address, a pipe or a file that has several, by default the largest. A warning
    lists them."""
    give_up_s: float = 60.0
    """How long to try to reconnect to a stream that broke off, in s."""
    stats: Literal["off", "line", "json"] = "off"
    """Once a second, a line on standard error, for people or as JSON: frame rate, latency, how far mapping is behind,
    dropped frames, CPU and memory."""
    metrics_port: int | None = None
    """The same for Prometheus, at http://127.0.0.1:PORT/metrics; 0 takes a free port."""

    def settings(self) -> TrackingArgs:
        """The settings without those of the stream, so that they fit `run` as well."""
        return TrackingArgs(**{f.name: getattr(self, f.name) for f in fields(TrackingArgs)})


def run_live(args: LiveArgs) -> int:
    """Runs until the stream ends or Ctrl-C or SIGTERM comes; returns 0. Raises a VgslamError for what stops it."""
    for name in ("max_frames", "duration_s"):
        value = getattr(args, name)
        if value is not None and not value > 0:
            raise ConfigError(f"--{name.replace('_', '-')} must be positive, got {value}")
    if args.stream is not None and args.stream < 0:
        raise ConfigError(f"--stream must be 0 or more, got {args.stream}")
    if args.metrics_port is not None:
        check_port(args.metrics_port)
    for target in args.poses:
        check_target(target)
    told = Told(args.stats, args.metrics_port)
    return run_in_terminal(args, lambda: _opened(args), public(args.address), "live", told)


def _opened(args: LiveArgs) -> LiveSource:
    """The source, connected and with its first image seen."""
    options = LiveOptions(
        args.calib, args.every_frame, args.give_up_s, args.max_frames, args.duration_s, stream=args.stream
    )
    if is_live(args.address):
        notes: list[str] = []
        truth = None if args.truth is None else _truth(args.truth, notes)
        source = open_live(args.address, replace(options, truth=truth))
        source.warnings += notes
        source.open()
        return source
    path = Path(args.address)
    if not path.exists():
        raise InputError(f"{args.address}: neither a live source nor a file; give {KNOWN}")
    recorded = open_source(path, SourceOptions(calib=args.calib, truth=args.truth, stream=args.stream))
    return in_real_time(recorded, options)


def _truth(path: Path, notes: list[str]) -> Trajectory:
    """The reference, mended as far as possible, with a line for each such thing. Raises InputError."""
    if is_untimed(path):
        raise InputError(f"{path}: KITTI rows carry no time, and a stream needs it; give a TUM trajectory")
    return read_trajectory(path, is_metric=True, notes=notes)


def live_defaults(run_defaults: TrackingArgs, named: Collection[str] = ()) -> LiveArgs:
    """The defaults of `live`, changed by a file with settings of `run`, which gives `named`; its network too only
    then."""
    values: dict[str, Any] = {f.name: getattr(run_defaults, f.name) for f in fields(TrackingArgs)}
    if "network" not in named:
        values["network"] = TrackingArgs.network
    return LiveArgs(tyro.MISSING, **values)
