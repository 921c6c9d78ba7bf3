"""`vgslam run`: camera poses for every frame of a sequence."""

import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vgslam.backend.cloud import point_cloud
from vgslam.commands.map_session import MapSession, uninterrupted
from vgslam.commands.network_guide import open_guide
from vgslam.commands.outcome import Poses, print_outcome, score
from vgslam.commands.viewing import shown, stay
from vgslam.config import to_yaml
from vgslam.errors import ConfigError, EvaluationError, InputError, TrackingError
from vgslam.evaluation.baselines import end_to_start_percent
from vgslam.evaluation.evaluate import Evaluation
from vgslam.frontend.guide import VggtUse
from vgslam.interfaces import FrameSource, Viewer
from vgslam.results.environment import peak_memory_mib
from vgslam.results.plots import plot_run
from vgslam.results.report import RunReport
from vgslam.results.run_folder import RunWriter
from vgslam.results.status import StatusTable
from vgslam.self_calibration import CalibrationEstimate, estimate_camera
from vgslam.slam import Slam, SlamConfig
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions
from vgslam.types import Camera, Frame, PoseEstimate, Status, Trajectory


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

    memory: str = "1GiB"
    """Memory for images and depth of keyframes; older ones go to disk and come back when they are needed."""

    vggt: VggtUse = field(default_factory=VggtUse)
    """What the network is used for."""

    viewer: str | None = None
    """Show the run in rerun: `spawn` (a window), `web` (a server for a browser) or a file FILE.rrd to open later."""

    config: Path | None = None
    """YAML file with settings: those of `slam`, all as `vgslam config` prints them, or the config.yaml of another run.
    Options on the command line win over it."""

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
    session: MapSession
    viewer: Viewer
    began_cpu_s: float
    began_s: float

    @property
    def n_frames(self) -> int:
        return len(self.slam.map.frames) - self.session.n_frames_before

    def frames(self) -> list[PoseEstimate]:
        """What is known of the run's frames, numbered as in the source."""
        return [self._numbered(f) for f in self.slam.map.session_frames()]

    def _numbered(self, frame: PoseEstimate) -> PoseEstimate:
        first = self.session.first_frame_id
        return replace(frame, frame_id=frame.frame_id - first) if first else frame

    def trajectory(self) -> Trajectory:
        """The run's poses, numbered as in the source."""
        return self._as_in_source(self.slam.map.trajectory())

    def keyframes(self) -> Trajectory:
        """Poses of the keyframes that the run has added, numbered as in the source."""
        added = self.slam.map.keyframe_trajectory()
        return Trajectory(np.zeros(0), np.zeros((0, 4, 4))) if self.args.localize else self._as_in_source(added)

    def _as_in_source(self, trajectory: Trajectory) -> Trajectory:
        return replace(trajectory, frame_ids=trajectory.frame_ids - self.session.first_frame_id)

    def save(self) -> None:
        """Bring the folder to the newest state."""
        report, frames = self.report, self.frames()
        counts = Counter(f.status for f in frames)
        report.n_frames, report.n_keyframes = len(frames), len(self.keyframes())
        report.map = self.session.describe()
        report.statuses = {str(s): counts[s] for s in Status if counts[s]}
        report.n_poses = counts[Status.TRACKED] + counts[Status.RELOCALIZED]
        report.n_losses, report.n_components = self.slam.n_losses, self.slam.n_components
        report.loops, report.n_loops_refused = closed_loops(self.slam), len(self.slam.loops.refused)
        report.stage_cpu_s = {k: round(v, 4) for k, v in self.slam.stage_cpu_s.items()}
        report.set_timing(time.process_time() - self.began_cpu_s, time.monotonic() - self.began_s)
        report.peak_memory_mib = peak_memory_mib()
        report.warnings = [*self.source.warnings, *self.slam.notes]
        self.writer.flush(self.trajectory(), self.keyframes(), frames, report)


def run_run(args: RunArgs) -> int:
    """Runs, writes, prints; returns 0, or 130 after Ctrl-C. Raises a VgslamError for everything else that stops it."""
    began_cpu_s, began_s = time.process_time(), time.monotonic()
    guided = open_guide(
        args.predictor, args.weights, args.device, args.precision, args.gpu_memory, args.vggt, args.readout
    )
    source = open_source(args.path, source_options(args))
    with MapSession.open(args.map, args.localize, args.memory) as session:
        out = args.out or Path("out") / f"{args.path.resolve().stem}-{datetime.now():%Y%m%d-%H%M%S}"
        writer = RunWriter(out, args.overwrite)
        n = "unknown number of" if source.n_frames is None else source.n_frames
        print(f"{args.path}: {source.kind}, {n} frames")
        camera, estimated = find_camera(args, source, session.camera)
        writer.write_config(to_yaml(replace(args, out=out)))
        session.begin(source.name, camera)
        guide = guided.guide if guided else None
        slam = Slam(camera, args.slam, None, guide, session.slam_map, session.is_localizing)
        report = RunReport(command=["vgslam", *sys.argv[1:]], source_kind=source.kind, source_name=source.name)
        report.n_source_frames, report.model_id = source.n_frames, slam.predictor.model_id
        if guided is not None:
            report.model_id, report.weights = guided.guide.model_id, guided.weights
            slam.notes += guided.notes
        report.camera = describe_camera(camera, estimated)
        with shown(args.viewer, source.name, args.overwrite, session.slam_map) as viewer:
            run = Run(args, source, writer, report, slam, session, viewer, began_cpu_s, began_s)
            stopped_by = _loop(run)
        code = _finish(run, stopped_by)
    stay(args.viewer)
    return code


def source_options(args: RunArgs) -> SourceOptions:
    """What the arguments say about the input."""
    return SourceOptions(
        args.source, args.calib, args.truth, args.start, args.end, args.stride, args.max_frames, args.topic, args.fps
    )


def find_camera(
    args: RunArgs, source: FrameSource, of_map: Camera | None = None
) -> tuple[Camera, CalibrationEstimate | None]:
    """The source's camera, or one with the given field of view, or that of the map, or with the estimated field."""
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
    if of_map is not None:
        print(f"no calibration: the map's camera is taken, field of view {of_map.fov_deg[0]:.1f} degrees")
        return of_map, None
    print("no calibration: estimating the field of view from the first frames (--calib or --fov-deg skips this)")
    estimate = estimate_camera(source, args.slam)
    note = "" if estimate.is_reliable else "; the motion does not determine it well, a calibration would help"
    print(f"field of view {estimate.camera.fov_deg[0]:.1f} degrees, +- {estimate.sigma_deg:.1f}{note}")
    return estimate.camera, estimate


def closed_loops(slam: Slam) -> list[dict[str, int | float | None]]:
    """One row a loop: its two frames, how far it moved the later one (map units), the component it joined."""
    k = slam.map.keyframes
    return [
        {"frame_a": k[x.id_a].frame_id, "frame_b": k[x.id_b].frame_id, "shift": round(x.shift, 4), "joined": x.joined}
        for x in slam.loops.closed
    ]


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
                arrived_s = time.monotonic()
                with uninterrupted():
                    estimate = run.slam.process(replace(frame, id=frame.id + run.slam.first_frame_id))
                run.viewer.show(frame, estimate, run.slam.map, time.monotonic() - arrived_s)
                progress.update(task, advance=1, description=_describe(run, estimate))
                if run.writer.is_flush_due(run.n_frames):
                    run.save()
                run.session.save_when_due()
            with uninterrupted():
                run.slam.finish()
        except KeyboardInterrupt:
            return "interrupted (Ctrl-C)"
        except InputError as error:
            if not run.n_frames:
                raise
            return str(error)
        except BaseException as error:
            run.report.finish(f"{type(error).__name__}: {error}")
            run.save()
            run.session.save_what_is_whole()
            raise
    return None


def _check_size(frame: Frame, camera: Camera) -> None:
    h, w = frame.image.shape[:2]
    if (w, h) != (camera.width, camera.height):
        raise InputError(f"frame {frame.id} is {w}x{h}, the camera {camera.width}x{camera.height}")


def _describe(run: Run, estimate: PoseEstimate) -> str:
    rate = run.n_frames / max(time.monotonic() - run.began_s, 1e-6)
    return f"{estimate.status:<12} {rate:5.1f} frames/s, {len(run.slam.map.keyframes)} keyframes"


def _finish(run: Run, stopped_by: str | None) -> int:
    """Write everything, score, draw, print."""
    run.report.finish(stopped_by)
    run.save()
    m, frames = run.slam.map, run.frames()
    if not frames:
        raise InputError(f"{run.args.path}: no frame could be read")
    run.session.save()
    trajectory = run.trajectory()
    evaluation: Evaluation | None = None
    if len(trajectory):
        run.writer.write_cloud(*point_cloud(m))
        evaluation = score(run.source.truth, Poses(frames, trajectory, run.keyframes()), run.report)
        run.report.end_to_start_percent = end_to_start_percent(trajectory)
        statuses = StatusTable.of(frames, trajectory)
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
            f"{run.args.path}: none of {len(frames)} frames could be tracked; it needs texture and a camera that "
            f"moves sideways (statuses are in {run.writer.path})"
        )
    return 0
