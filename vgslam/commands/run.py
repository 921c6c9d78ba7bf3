"""`vgslam run`: camera poses for every frame of a sequence."""

import sys
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import tyro
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vgslam.backend.cloud import point_cloud
from vgslam.commands.network_guide import open_guide
from vgslam.commands.outcome import print_outcome, score
from vgslam.config import to_yaml
from vgslam.errors import ConfigError, EvaluationError, InputError, TrackingError
from vgslam.evaluation.baselines import end_to_start_percent
from vgslam.evaluation.evaluate import Evaluation
from vgslam.frontend.guide import VggtUse
from vgslam.interfaces import FrameSource
from vgslam.results.environment import peak_memory_mib
from vgslam.results.plots import plot_run
from vgslam.results.report import RunReport
from vgslam.results.run_folder import RunWriter
from vgslam.results.status import StatusTable
from vgslam.self_calibration import CalibrationEstimate, estimate_camera
from vgslam.slam import Slam, SlamConfig
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions
from vgslam.types import Camera, Frame, PoseEstimate, Status


@dataclass
class RunArgs:
    """Tracks a camera through a sequence: poses for every frame, dense depth, a coloured cloud, plots and a report."""

    path: tyro.conf.Positional[Path]
    """A video file, a folder of images, a data set (TUM RGB-D, EuRoC, KITTI odometry, 7-Scenes) or a ROS bag."""

    out: Path | None = None
    """Folder for the results; the default is out/NAME-DATE-TIME."""

    overwrite: bool = False
    """Replace the results of an earlier run in the output folder."""

    source: str = "auto"
    """Kind of source: auto, images, plain, video, tum, euroc, kitti, 7scenes, ros1, ros2 or mcap."""

    calib: Path | None = None
    """Camera calibration: JSON, OpenCV YAML or ROS camera_info YAML. The default is the data set's own."""

    fov_deg: float | None = None
    """Horizontal field of view in degrees, where there is no calibration; the default is to estimate it."""

    truth: Path | None = None
    """Trajectory to compare with (TUM, KITTI or EuRoC); the default is the data set's own."""

    start: int = 0
    """First image used, counted from 0."""

    end: int | None = None
    """Image after the last one used."""

    stride: int = 1
    """Use every n-th image."""

    max_frames: int | None = None
    """Use at most so many images."""

    topic: str | None = None
    """Image topic of a bag, or the camera of a data set that has several."""

    fps: float | None = None
    """Frame rate of sources without timestamps."""

    predictor: Literal["sfm", "vggt"] = "sfm"
    """Where the geometry comes from: sfm needs no network and no weights; vggt asks a network as well (--weights)."""

    weights: str | None = None
    """Weights of the network: a Hugging Face id, a file, a folder, or `random` for a trial without meaning."""

    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:N or mps."""

    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the network."""

    gpu_memory: str | None = None
    """Memory that the network may use, as in 8GiB; the default is what is free."""

    vggt: VggtUse = field(default_factory=VggtUse)
    """What the network is used for."""

    config: Path | None = None
    """YAML file with settings of `slam`; options on the command line win over it."""

    quiet: bool = False
    """No progress bar."""

    slam: SlamConfig = field(default_factory=SlamConfig)
    """Settings of tracking and mapping."""


@dataclass
class Run:
    """A run in progress: everything that has to reach the disk, whatever ends it."""

    args: RunArgs
    source: FrameSource
    writer: RunWriter
    report: RunReport
    slam: Slam
    began_cpu_s: float
    began_s: float

    def save(self) -> None:
        """Bring the folder to the newest state."""
        m = self.slam.map
        report, counts = self.report, m.status_counts()
        report.n_frames = len(m.frames)
        report.n_keyframes = len(m.keyframes)
        report.statuses = {str(k): v for k, v in counts.items() if v}
        report.n_poses = counts[Status.TRACKED] + counts[Status.RELOCALIZED]
        report.n_losses, report.n_components = self.slam.n_losses, self.slam.n_components
        report.stage_cpu_s = {k: round(v, 4) for k, v in self.slam.stage_cpu_s.items()}
        report.set_timing(time.process_time() - self.began_cpu_s, time.monotonic() - self.began_s)
        report.peak_memory_mib = peak_memory_mib()
        report.warnings = [*self.source.warnings, *self.slam.notes]
        self.writer.flush(m.trajectory(), m.keyframe_trajectory(), m.frames, report)


def run_run(args: RunArgs) -> int:
    """Runs, writes, prints; returns 0, or 130 after Ctrl-C. Raises a VgslamError for everything else that stops it."""
    began_cpu_s, began_s = time.process_time(), time.monotonic()
    guided = open_guide(args.predictor, args.weights, args.device, args.precision, args.gpu_memory, args.vggt)
    source = open_source(args.path, source_options(args))
    out = args.out or Path("out") / f"{args.path.resolve().stem}-{datetime.now():%Y%m%d-%H%M%S}"
    writer = RunWriter(out, args.overwrite)
    n = "unknown number of" if source.n_frames is None else source.n_frames
    print(f"{args.path}: {source.kind}, {n} frames")
    camera, estimated = find_camera(args, source)
    writer.write_config(to_yaml(replace(args, out=out)))
    slam = Slam(camera, args.slam, guide=guided.guide if guided else None)
    report = RunReport(command=["vgslam", *sys.argv[1:]], source_kind=source.kind, source_name=source.name)
    report.n_source_frames, report.model_id = source.n_frames, slam.predictor.model_id
    if guided is not None:
        report.model_id, report.weights = guided.guide.model_id, guided.weights
        slam.notes += guided.notes
    report.camera = describe_camera(camera, estimated)
    run = Run(args, source, writer, report, slam, began_cpu_s, began_s)
    return _finish(run, _loop(run))


def source_options(args: RunArgs) -> SourceOptions:
    """What the arguments say about the input."""
    return SourceOptions(
        args.source, args.calib, args.truth, args.start, args.end, args.stride, args.max_frames, args.topic, args.fps
    )


def find_camera(args: RunArgs, source: FrameSource) -> tuple[Camera, CalibrationEstimate | None]:
    """The source's camera, or one with the given or the estimated field of view."""
    if source.camera is not None:
        if args.fov_deg is not None:
            raise ConfigError("the source is calibrated already; leave --fov-deg out or give another --calib")
        return source.camera, None
    if args.fov_deg is not None:
        if not 5.0 < args.fov_deg < 170.0:
            raise ConfigError(f"--fov-deg must be between 5 and 170 degrees, got {args.fov_deg}")
        first = next(iter(source), None)
        if first is None:
            raise InputError(f"{args.path}: no frame could be read")
        h, w = first.image.shape[:2]
        return Camera.from_fov(w, h, args.fov_deg), None
    print("no calibration: estimating the field of view from the first frames (--calib or --fov-deg skips this)")
    estimate = estimate_camera(source, args.slam)
    note = "" if estimate.is_reliable else "; the motion does not determine it well, a calibration would help"
    print(f"field of view {estimate.camera.fov_deg[0]:.1f} degrees, +- {estimate.sigma_deg:.1f}{note}")
    return estimate.camera, estimate


def describe_camera(camera: Camera, estimated: CalibrationEstimate | None) -> dict[str, object]:
    """The camera for the report."""
    described: dict[str, object] = {
        "fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy, "width": camera.width,
        "height": camera.height, "fov_x_deg": camera.fov_deg[0], "is_estimated": estimated is not None,
    }  # fmt: skip
    if estimated is not None:
        described["fov_sigma_deg"] = estimated.sigma_deg
        described["is_reliable"] = estimated.is_reliable
    return described


def _loop(run: Run) -> str | None:
    """Process all frames; returns what stopped it, None when the input was processed to its end."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    run.report.finish("still running, or killed")
    with Progress(*columns, disable=run.args.quiet or not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("starting", total=run.source.n_frames)
        try:
            for frame in run.source:
                _check_size(frame, run.slam.tracker.camera)
                estimate = run.slam.process(frame)
                progress.update(task, advance=1, description=_describe(run, estimate))
                if run.writer.is_flush_due(len(run.slam.map.frames)):
                    run.save()
            run.slam.finish()
        except KeyboardInterrupt:
            return "interrupted (Ctrl-C)"
        except InputError as error:
            if not run.slam.map.frames:
                raise
            return str(error)
        except BaseException as error:
            run.report.finish(f"{type(error).__name__}: {error}")
            run.save()
            raise
    return None


def _check_size(frame: Frame, camera: Camera) -> None:
    h, w = frame.image.shape[:2]
    if (w, h) != (camera.width, camera.height):
        raise InputError(f"frame {frame.id} is {w}x{h}, the camera {camera.width}x{camera.height}")


def _describe(run: Run, estimate: PoseEstimate) -> str:
    n = len(run.slam.map.frames)
    rate = n / max(time.monotonic() - run.began_s, 1e-6)
    return f"{estimate.status:<12} {rate:5.1f} frames/s, {len(run.slam.map.keyframes)} keyframes"


def _finish(run: Run, stopped_by: str | None) -> int:
    """Write everything, score, draw, print."""
    run.report.finish(stopped_by)
    run.save()
    m = run.slam.map
    if not m.frames:
        raise InputError(f"{run.args.path}: no frame could be read")
    trajectory = m.trajectory()
    evaluation: Evaluation | None = None
    if len(trajectory):
        run.writer.write_cloud(*point_cloud(m))
        evaluation = score(run.source.truth, m, run.report)
        run.report.end_to_start_percent = end_to_start_percent(trajectory)
        statuses = StatusTable.of(m.frames, trajectory)
        plots = plot_run(trajectory, statuses, run.source.truth, evaluation, m.keyframes, run.source.name)
        for name, png in plots.items():
            run.writer.write_plot(name, png)
    run.writer.write_report(run.report)
    print_outcome(run.report, run.writer.path, evaluation, run.slam)
    if stopped_by is not None:
        print(f"stopped: {stopped_by}; everything up to there is in {run.writer.path}", file=sys.stderr)
        return 130 if stopped_by.startswith("interrupted") else 2
    if run.args.truth is not None and evaluation is None and len(trajectory):
        return EvaluationError.exit_code
    if not len(trajectory):
        raise TrackingError(
            f"{run.args.path}: none of {len(m.frames)} frames could be tracked; it needs texture and a camera that "
            f"moves sideways (statuses are in {run.writer.path})"
        )
    return 0


