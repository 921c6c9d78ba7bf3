"""`vgslam run`: camera poses for every frame of a sequence."""

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from vgslam import beside
from vgslam.commands.terminal import run_in_terminal
from vgslam.errors import ConfigError
from vgslam.interfaces import FrameSource
from vgslam.session.network import AUTO
from vgslam.session.tracking_args import TrackingArgs
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions


@dataclass
class RunArgs(TrackingArgs):
    """Tracks a camera through a sequence: poses for every frame, dense depth, a coloured cloud, plots and a report."""

    path: tyro.conf.Positional[Path]
    """A video file, a folder of images, a data set (TUM RGB-D, EuRoC, KITTI odometry, 7-Scenes) or a ROS bag."""
    network: str = field(default=AUTO, kw_only=True)
    """Network that is asked where geometry is weak: vggt, by default the package's own (--weights says which one), or
    none; auto is vggt where torch is installed. A run in which nothing is weak never opens it, and costs what it costs
    without."""
    source: str = "auto"
    """Kind of source: auto, images, plain, video, tum, euroc, kitti, 7scenes, ros1, ros2, mcap, or one that another
    package adds (docs/extend.md)."""
    start: int = 0
    """First image used, counted from 0."""
    end: int | None = None
    """Image after the last one used."""
    stride: int = 1
    """Use every n-th image."""
    max_frames: int | None = None
    """Use at most this many images, counted after stride."""
    topic: str | None = None
    """Image topic of a bag, or the camera of a data set that has several."""
    fps: float | None = None
    """Frame rate of sources without timestamps, in Hz; by default 30."""
    stream: int | None = None
    """Number of the stream in a video file that has several, by default the largest. A warning lists them."""
    cores: int = 2
    """CPU cores to use, 1 or 2, of those that there are. A second one reads ahead, shares work on images, scores and
    plots; the results are the same to the last bit."""
    realtime: bool = False
    """Play the sequence at its own times, as a camera would: frames for which there is no time are dropped."""


def run_run(args: RunArgs) -> int:
    """Runs, writes, prints; returns the exit code, as `run_in_terminal`."""
    if args.cores not in (1, 2):
        raise ConfigError(f"--cores {args.cores}: give 1 or 2")
    beside.allow(args.cores)
    return run_in_terminal(args, lambda: _opened(args), str(args.path), args.path.resolve().stem)


def _opened(args: RunArgs) -> FrameSource:
    source = open_source(args.path, source_options(args))
    if not args.realtime:
        return source
    from vgslam.sources.live_open import in_real_time

    return in_real_time(source)


def source_options(args: RunArgs) -> SourceOptions:
    """The options of the input, from the arguments."""
    return SourceOptions(
        args.source, args.calib, args.truth, args.start, args.end, args.stride, args.max_frames, args.topic, args.fps,
        args.stream,
    )  # fmt: skip
