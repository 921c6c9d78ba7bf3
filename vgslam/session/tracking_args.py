"""Options of a run, whatever its frames come from."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import tyro

from vgslam.errors import ConfigError
from vgslam.frontend.guide import VggtUse
from vgslam.network.options import NO_NETWORK, NetworkOptions
from vgslam.session.adaptation import AdaptOptions
from vgslam.slam_config import SlamConfig


@dataclass(kw_only=True)
class TrackingArgs:
    """Options of `vgslam run` and `vgslam live` alike."""

    out: Path | None = None
    """Folder for the results; by default out/NAME-DATE-TIME."""
    overwrite: bool = False
    """Replace the results of an earlier run in that folder."""
    calib: Path | None = None
    """Calibration file (docs/calibration.md), or FILE#CAMERA. The default is the data set's own. #CAMERA takes one of
    several in the file."""
    fov_deg: float | None = None
    """Horizontal field of view in degrees, if there is no calibration; by default it is estimated."""
    mask: Path | None = None
    """PNG of the frames' size, black where nothing is to be used: the car, a watermark. White is used. Black pixels get
    no corners, no matches and no depth, as in COLMAP. A run that finds parts that never move writes static_mask.png,
    which can be given here."""
    truth: Path | None = None
    """Trajectory to compare with (TUM, KITTI or EuRoC). The default is the data set's own."""
    save_depth: Literal["png", "npz", "exr"] | None = None
    """Save the depth of keyframes in depth/ of the results. png: 16 bits (millimetres where lengths are metres, else
    what depth.json says) and 8 bits of confidence, in the pixels of the image; npz and exr: floating point, in the
    depth map's own pixels. depth.json says unit, step, camera and pose. A keyframe in six has dense depth
    (--slam.mapper.dense-every). Not with --localize, which makes no keyframes."""
    network: str = NO_NETWORK
    """Network that is asked where geometry is weak: none, or vggt-s or vggt-s2 of the package, vggt (--weights says
    which one), da3-small or da3-base, which are fetched from Hugging Face (docs/networks.md), or a backbone that
    another package adds (docs/extend.md)."""
    weights: str | None = None
    """Weights of the network: a Hugging Face id, a file or a folder; by default the small network of the package, or
    those that are published.
    `random` is for trials without meaning. NAME:WEIGHTS asks a backbone that another package adds (docs/extend.md)."""
    device: str = "auto"
    """Run the network on cpu, cuda, cuda:N or mps."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the network."""
    gpu_memory: str | None = None
    """Memory that the network may use, as in 8GiB; by default what is free."""
    readout: Literal["auto", "head", "solver", "rays"] = "auto"
    """Where the network's poses come from: its camera head, or solved from its flow and depth where it has flow, or
    from the rays of da3-small and da3-base."""
    network_size: int | None = None
    """Longest side in px of the images that da3-small and da3-base see; the default is 504, half of it takes a fifth of
    the time."""
    accept_licence: str | None = None
    """Accept the licence of weights for non-commercial use, by its name: CC-BY-NC-4.0 (--network da3-large)."""
    no_refine: bool = False
    """Leave the map as tracking and loops made it, without adjusting it as a whole at the end."""
    refine_seconds: float | None = None
    """Time for that adjustment, in s of CPU; by default 60. When it is over, the steps that were made are kept."""
    fixed_calib: bool = False
    """Keep the calibration as it is when the map is adjusted."""
    map: Path | None = None
    """Folder of a map: continued if it exists, else begun. It is saved as the run goes and at its end."""
    localize: bool = False
    """Only find the camera in the map; the map stays as it is."""
    metric: bool = False
    """The depth that the map is made of is metric, so scale cannot drift: loops correct places and rotations alone (a
    pose graph over SE(3)). Not for what comes with the program."""
    scale_from: str | None = None
    """Metres from a length, markers, positions or depth. frames:A,B=METRES is the distance between the cameras of two
    frames; points:FRAME:u,v;FRAME:u,v=METRES that between what two pixels show; aruco:DICTIONARY:EDGE_M means markers,
    as in aruco:APRILTAG_36h11:0.16; positions:FILE[=SIGMA_M] GPS or odometry over time, as TUM or CSV, which also takes
    out drift; depth[:SEQUENCE][=UNITS_PER_M] the depth images of this sequence, or of another. `vgslam map scale` does
    it for saved maps."""
    gravity: str | None = None
    """z up, from: upright, positions, accelerometer:FILE. upright: the camera is held upright on average; positions:
    the z axis of --scale-from positions; accelerometer: a CSV file with time,ax,ay,az in the axes of the camera."""
    memory: str = "64MiB"
    """Memory for images and depth of keyframes. Older ones go to disk and come back when they are needed."""
    vggt: VggtUse = field(default_factory=VggtUse)
    """What the network is used for."""
    adapter: Path | None = None
    """Adapter of the network, as `vgslam adapt` or an earlier run with --adapt wrote it."""
    adapt: Literal["off", "sync", "background"] = "off"
    """Let the network learn from what it sees: in a process beside the tracking, which never waits (background), or
    between frames, repeatably (sync). What is learned is used only if windows that are held back get better, and is
    written as adapter.safetensors into the results and the map."""
    adaptation: AdaptOptions = field(default_factory=AdaptOptions)
    """Settings of --adapt."""
    viewer: str | None = None
    """Show the run in rerun: `spawn` (a window), `web` (in a browser) or a file FILE.rrd to open later."""
    poses: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Hand out each pose as it happens: `-` (JSON on standard output), tcp:HOST:PORT, unix:PATH or ros2:/NAME.
    Whoever connects to tcp or unix gets the same lines; ros2 publishes Odometry and tf. NAME:... is a
    sink that another package adds (docs/extend.md). May be given several times."""
    config: Path | None = None
    """YAML file with settings, as `vgslam config` prints them or the config.yaml of another run. A file with those of
    `slam` alone will do. Options on the command line win over it."""
    quiet: bool = False
    """No progress bar."""
    json: bool = False
    """Print report.json on standard output at the end. Everything else goes to standard error."""
    slam: SlamConfig = field(default_factory=SlamConfig)
    """Settings of tracking and mapping."""

    def slam_config(self) -> SlamConfig:
        """The settings of tracking and mapping, as changed by other options."""
        loops, refine = self.slam.loops, self.slam.refine
        refine = replace(
            refine, is_on=refine.is_on and not self.no_refine,
            seconds=refine.seconds if self.refine_seconds is None else self.refine_seconds,
            is_calibration_fixed=refine.is_calibration_fixed or self.fixed_calib,
        )  # fmt: skip
        return replace(self.slam, loops=replace(loops, is_metric=loops.is_metric or self.metric), refine=refine)

    def check(self) -> None:
        """Raises ConfigError for options that do not go together."""
        if self.localize and (self.scale_from is not None or self.gravity is not None):
            raise ConfigError("--localize leaves the map as it is; scale it with `vgslam map scale`")
        if self.localize and self.save_depth is not None:
            what = "--save-depth is the depth of keyframes that a run makes, and --localize makes none"
            raise ConfigError(f"{what}; leave it out, or get the map's by `vgslam map export MAP --format depth-png`")
        if self.metric and self.scale_from is not None:
            raise ConfigError("--metric says that the scale is known, --scale-from looks for it; give one of them")

    def network_options(self) -> NetworkOptions:
        """The options of the network."""
        return NetworkOptions(
            self.network, self.weights, self.device, self.precision, self.gpu_memory, self.readout, self.network_size,
            self.accept_licence,
        )

    def settings(self) -> "TrackingArgs":
        """The settings that are written down with a run, to be used for another one."""
        return self
