"""What can be chosen about a run, whatever its frames come from."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import tyro

from vgslam.frontend.guide import VggtUse
from vgslam.session.adaptation import AdaptOptions
from vgslam.slam import SlamConfig


@dataclass(kw_only=True)
class TrackingArgs:
    """Options of `vgslam run` and `vgslam live` alike."""

    out: Path | None = None
    """Folder for the results; the default is out/NAME-DATE-TIME."""

    overwrite: bool = False
    """Replace the results of an earlier run in the output folder."""

    calib: Path | None = None
    """Camera calibration: JSON, OpenCV YAML or ROS camera_info YAML. The default is the data set's own."""

    fov_deg: float | None = None
    """Horizontal field of view in degrees, where there is no calibration; the default is to estimate it."""

    truth: Path | None = None
    """Trajectory to compare with (TUM, KITTI or EuRoC); the default is the data set's own."""

    predictor: Literal["sfm", "vggt"] = "sfm"
    """Where the geometry comes from: sfm needs no network and no weights; vggt asks a network as well (--weights)."""

    weights: str | None = None
    """Weights of the network: a Hugging Face id, a file, a folder, or `random` for a trial without meaning; the default
    is the small network of the package."""

    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:N or mps."""

    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the network."""

    gpu_memory: str | None = None
    """Memory that the network may use, as in 8GiB; the default is what is free."""

    readout: Literal["auto", "head", "solver"] = "auto"
    """Where the network's poses come from: its camera head, or solved from its flow and depth where it has flow."""

    map: Path | None = None
    """Folder of a saved map: continued if it exists, begun if not, saved as the run goes and at its end."""

    localize: bool = False
    """Only find the camera in the map; the map stays as it is."""

    metric: bool = False
    """The depth that the map is made of is metric, so scale cannot drift: loops correct places and rotations alone (a
    pose graph over SE(3)). Not for the predictors that come with the program."""

    memory: str = "1GiB"
    """Memory for images and depth of keyframes; older ones go to disk and come back when they are needed."""

    vggt: VggtUse = field(default_factory=VggtUse)
    """What the network is used for."""

    adapter: Path | None = None
    """Adapter of the network, as `vgslam adapt` or an earlier run with --adapt wrote it."""

    adapt: Literal["off", "sync", "background"] = "off"
    """Let the network learn from what it sees: off; background: in a process beside the tracking, which never waits;
    sync: in between frames, repeatable. What is learned is served only if windows that are held back get better, and
    is written as adapter.safetensors into the results and the map."""

    adaptation: AdaptOptions = field(default_factory=AdaptOptions)
    """Settings of --adapt."""

    viewer: str | None = None
    """Show the run in rerun: `spawn` (a window), `web` (a server for a browser) or a file FILE.rrd to open later."""

    poses: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Hand out each pose as it happens: `-` (lines of JSON on standard output), tcp:HOST:PORT or unix:PATH (the same
    to whoever connects) or ros2:/NAME (Odometry and tf). May be given several times."""

    config: Path | None = None
    """YAML file with settings: those of `slam`, all as `vgslam config` prints them, or the config.yaml of another run.
    Options on the command line win over it."""

    quiet: bool = False
    """No progress bar."""

    json: bool = False
    """Print the report (report.json) on standard output at the end, and everything else on standard error."""

    slam: SlamConfig = field(default_factory=SlamConfig)
    """Settings of tracking and mapping."""

    def slam_config(self, is_live: bool = False) -> SlamConfig:
        """The settings of tracking and mapping, with what other options say of them, and what a source that does not
        wait asks for."""
        loops = self.slam.loops
        loops = replace(loops, is_metric=loops.is_metric or self.metric, in_background=loops.in_background or is_live)
        return replace(self.slam, loops=loops)

    def settings(self) -> "TrackingArgs":
        """What is written down of a run, to be used for another one."""
        return self
