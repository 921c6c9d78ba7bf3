"""Tracking a source to its end, whatever ends it, with everything on the disk: what `run` and `live` have in common."""

import sys
import time
from array import array
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from vgslam.config import to_yaml
from vgslam.errors import ConfigError, EvaluationError, InputError, TrackingError
from vgslam.evaluation.baselines import end_to_start_percent
from vgslam.evaluation.evaluate import Evaluation
from vgslam.interfaces import FrameSource, PoseSink, Viewer
from vgslam.map.cloud import point_cloud
from vgslam.poses_out.frame_pose import FramePose
from vgslam.poses_out.open import STDOUT, opened_sinks
from vgslam.results.environment import peak_memory_mib
from vgslam.results.plots import plot_run
from vgslam.results.report import RunReport
from vgslam.results.run_folder import RunWriter
from vgslam.results.status import StatusTable
from vgslam.session.adaptation import Adaptation, open_adaptation
from vgslam.session.find_camera import describe_camera, find_camera
from vgslam.session.map_session import MapSession
from vgslam.session.network_guide import open_guide
from vgslam.session.outcome import Poses, print_outcome, score
from vgslam.session.stop_signals import StopSignals, exit_code
from vgslam.session.tracking_args import TrackingArgs
from vgslam.session.viewing import shown, stay
from vgslam.slam import Slam
from vgslam.sources.live import LiveSource
from vgslam.sources.live_address import public
from vgslam.types import Camera, Frame, PoseEstimate, Status, Trajectory


@dataclass(frozen=True)
class Stop:
    """Why a run ended before its input did."""

    reason: str
    exit_code: int


@dataclass
class Run:
    """A run in progress: everything that has to reach the disk, whatever ends it. title: the input as it was given."""

    args: TrackingArgs
    title: str
    source: FrameSource
    writer: RunWriter
    report: RunReport
    slam: Slam
    session: MapSession
    viewer: Viewer
    sinks: list[PoseSink]
    adaptation: Adaptation
    signals: StopSignals
    began_cpu_s: float
    began_s: float
    latencies_s: "array[float]" = field(default_factory=lambda: array("d"))

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

    def hand_out(self, estimate: PoseEstimate, arrived_s: float) -> None:
        """Give the pose of a frame that arrived at arrived_s (monotonic) to whoever wants it."""
        latency_s = time.monotonic() - arrived_s
        self.latencies_s.append(latency_s)
        if self.sinks:
            name = self.session.path.name if self.session.path else None
            pose = FramePose.of(estimate, self.slam.map, name, latency_s)
            pose = replace(pose, frame_id=pose.frame_id - self.session.first_frame_id)
            for sink in self.sinks:
                sink.send(pose)

    def learn(self, frame: Frame) -> None:
        """Let the network learn from a frame."""
        model_id = self.adaptation.after_frame(frame.image, frame.id, self.slam.tracker.camera)
        self.report.model_id = model_id or self.report.model_id

    def save(self) -> None:
        """Bring the folder to the newest state."""
        report, frames = self.report, self.frames()
        counts = Counter(f.status for f in frames)
        report.n_frames, report.n_keyframes = len(frames), len(self.keyframes())
        report.map = self.session.describe()
        report.statuses = {str(s): counts[s] for s in Status if counts[s]}
        report.n_poses = counts[Status.TRACKED] + counts[Status.RELOCALIZED]
        report.n_losses, report.n_components = self.slam.n_losses, self.slam.n_components
        states, first = self.slam.states, self.session.first_frame_id
        report.transitions = [replace(t, frame_id=t.frame_id - first).to_dict() for t in states.transitions]
        report.lost_s = round(states.lost_s, 6)
        report.loops, report.n_loops_refused = closed_loops(self.slam), len(self.slam.loops.refused)
        report.stage_cpu_s = {k: round(v, 4) for k, v in self.slam.stage_cpu_s.items()}
        report.set_timing(time.process_time() - self.began_cpu_s, time.monotonic() - self.began_s)
        report.peak_memory_mib = peak_memory_mib()
        failures = [f"poses: {sink.failure}" for sink in self.sinks if sink.failure is not None]
        warnings = [*self.source.warnings, *self.slam.notes, *self.adaptation.warnings(), *failures]
        report.warnings = warnings
        report.live = self._live()
        report.adaptation = self.adaptation.report()
        self.writer.flush(self.trajectory(), self.keyframes(), frames, report)

    def _live(self) -> dict[str, Any] | None:
        """For the report: what came of a source that does not wait."""
        if not isinstance(self.source, LiveSource):
            return None
        s = self.source
        ms = 1000.0 * np.array(self.latencies_s if len(self.latencies_s) else [np.nan])
        return {
            "n_captured": s.n_captured, "n_dropped": s.n_dropped, "n_damaged": s.n_damaged,
            "n_reconnects": s.n_reconnects, "latency_p50_ms": round(float(np.percentile(ms, 50)), 2),
            "latency_p95_ms": round(float(np.percentile(ms, 95)), 2), "latency_max_ms": round(float(ms.max()), 2),
            "n_pose_lines_dropped": sum(sink.n_dropped for sink in self.sinks),
        }  # fmt: skip


def track(args: TrackingArgs, open_frames: Callable[[], FrameSource], title: str, stem: str) -> int:
    """Runs, writes, prints; returns 0, 130 after Ctrl-C, 143 after SIGTERM, 2 for a source that broke off. Raises a
    VgslamError for everything else that stops it, KeyboardInterrupt for a second Ctrl-C.

    title: the input as it was given; stem: what the default folder of the results is called after.
    """
    if not args.json:
        with StopSignals() as signals:
            return _track(args, open_frames, title, stem, signals)[0]
    if STDOUT in args.poses:
        raise ConfigError("--json and --poses - both want standard output; hand out the poses by tcp: or unix:")
    out = sys.stdout
    with redirect_stdout(sys.stderr), StopSignals() as signals:
        code, report = _track(args, open_frames, title, stem, signals)
    out.write(report.to_json())
    return code


def _track(
    args: TrackingArgs, open_frames: Callable[[], FrameSource], title: str, stem: str, signals: StopSignals
) -> tuple[int, RunReport]:  # fmt: skip
    began = time.process_time(), time.monotonic()
    guided = open_guide(
        args.predictor, args.weights, args.device, args.precision, args.gpu_memory, args.vggt, args.readout
    )
    source = open_frames()
    try:
        with ExitStack() as stack:
            sinks = stack.enter_context(opened_sinks(args.poses))
            session = stack.enter_context(MapSession.open(args.map, args.localize, args.memory))
            out = args.out or Path("out") / f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
            writer = RunWriter(out, args.overwrite)
            _announce(title, source, sinks)
            camera, estimated = find_camera(args, source, session.camera)
            writer.write_config(to_yaml(replace(args.settings(), out=out)))
            session.begin(source.name, camera)
            guide = guided.guide if guided else None
            proposer = guided.proposer() if guided else None  # before adapters change the names of the weights
            adaptation = stack.enter_context(open_adaptation(guide, args.adapt, args.adapter, args.adaptation))
            settings = args.slam_config(isinstance(source, LiveSource))
            slam = Slam(camera, settings, None, guide, session.slam_map, session.is_localizing)
            slam.relocalizer.proposer = proposer
            command = ["vgslam", *map(public, sys.argv[1:])]
            report = RunReport(command=command, source_kind=source.kind, source_name=source.name)
            report.n_source_frames, report.model_id = source.n_frames, slam.predictor.model_id
            if guided is not None:
                report.model_id, report.weights = guided.guide.model_id, guided.weights
                slam.notes += guided.notes
            report.camera = describe_camera(camera, estimated)
            with shown(args.viewer, source.name, args.overwrite, session.slam_map) as viewer:
                run = Run(
                    args, title, source, writer, report, slam, session, viewer, sinks, adaptation, signals, *began
                )
                stop = _loop(run)
            code = _finish(run, stop)
    finally:
        if isinstance(source, LiveSource):
            source.close()
    stay(args.viewer)
    return code, report


def _announce(title: str, source: FrameSource, sinks: list[PoseSink]) -> None:
    n = "unknown number of" if source.n_frames is None else source.n_frames
    print(f"{title}: {source.kind}, live" if isinstance(source, LiveSource) else f"{title}: {source.kind}, {n} frames")
    for sink in sinks:
        if sink.where:
            print(sink.where)
    sys.stdout.flush()


def closed_loops(slam: Slam) -> list[dict[str, int | float | None]]:
    """One row a loop: its two frames, how far it moved the later one (map units), the component it joined."""
    k = slam.map.keyframes
    return [
        {"frame_a": k[x.id_a].frame_id, "frame_b": k[x.id_b].frame_id, "shift": round(x.shift, 4), "joined": x.joined}
        for x in slam.loops.closed
    ]


def _loop(run: Run) -> Stop | None:
    """Process all frames and finish what they have begun; returns what stopped it, None when the input was processed to
    its end."""
    run.report.finish("still running, or killed")
    stop = None
    try:
        _process_all(run)
    except (KeyboardInterrupt, InputError) as error:
        if not run.n_frames:
            raise
        if not run.session.is_whole:
            _keep(run, error)
            raise
        stop = _stop(run, error)
    except BaseException as error:
        _keep(run, error)
        raise
    return _finish_map(run) or stop


def _stop(run: Run, error: KeyboardInterrupt | InputError) -> Stop:
    if isinstance(error, InputError):
        return Stop(str(error), error.exit_code)
    return Stop(run.signals.describe(), exit_code(error))


def _finish_map(run: Run) -> Stop | None:
    """The last word of the map, after a run that was stopped too; a second Ctrl-C ends it at once. Returns what stopped
    it. Whatever happens, the folder of the run holds its state of before."""
    run.slam.settle()
    run.save()
    try:
        with run.signals.held(), run.session.changing():
            run.slam.finish()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and run.session.is_whole:
            return _stop(run, error)
        run.report.finish(_reason(error))
        run.writer.write_report(run.report)
        raise
    return None


def _keep(run: Run, error: BaseException) -> None:
    """After what cannot be gone on from: the poses up to there and, where it is whole, the map."""
    run.report.finish(_reason(error))
    run.save()
    run.session.save()


def _reason(error: BaseException) -> str:
    return "interrupted twice" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"


def _process_all(run: Run) -> None:
    """Frame by frame. Ctrl-C is the usual end of what is live, and nothing to report."""
    live = run.source if isinstance(run.source, LiveSource) else None
    with _progress(run) as progress:
        task = progress.add_task("starting", total=run.source.n_frames)
        try:
            for frame in run.source:
                _check_size(frame, run.slam.tracker.camera)
                with run.signals.held():
                    _process(run, frame, progress, task)
        except KeyboardInterrupt:
            if live is None or not run.n_frames or not run.session.is_whole:
                raise
            live.close()


def _process(run: Run, frame: Frame, progress: Progress, task: TaskID) -> None:
    """One frame, and all that follows from it."""
    live = run.source if isinstance(run.source, LiveSource) else None
    began_s = time.monotonic()
    with run.session.changing():
        estimate = run.slam.process(replace(frame, id=frame.id + run.slam.first_frame_id))
    took_s = time.monotonic() - began_s
    run.hand_out(estimate, began_s if live is None else live.arrived_s)
    run.viewer.show(frame, estimate, run.slam.map, took_s)
    progress.update(task, advance=1, description=_describe(run, estimate, live))
    run.learn(frame)
    if run.writer.is_flush_due(run.n_frames):
        run.save()
    run.session.save_when_due()


def _progress(run: Run) -> Progress:
    is_hidden = run.args.quiet or not sys.stderr.isatty()
    text = TextColumn("{task.description}")
    if isinstance(run.source, LiveSource):
        return Progress(SpinnerColumn(), text, disable=is_hidden, transient=True)
    return Progress(
        text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), disable=is_hidden, transient=True
    )  # fmt: skip


def _check_size(frame: Frame, camera: Camera) -> None:
    h, w = frame.image.shape[:2]
    if (w, h) != (camera.width, camera.height):
        raise InputError(f"frame {frame.id} is {w}x{h}, the camera {camera.width}x{camera.height}")


def _describe(run: Run, estimate: PoseEstimate, live: LiveSource | None) -> str:
    rate = run.n_frames / max(time.monotonic() - run.began_s, 1e-6)
    text = f"{estimate.status:<12} {rate:5.1f} frames/s, {len(run.slam.map.keyframes)} keyframes"
    if live is None:
        return text
    latency_ms = 1000.0 * float(np.median(run.latencies_s[-30:]))
    text += f", {run.n_frames} frames, latency {latency_ms:.0f} ms, {live.n_dropped} dropped"
    return text + (f", {live.n_reconnects} times reconnected" if live.n_reconnects else "")


def _finish(run: Run, stop: Stop | None) -> int:
    """Write everything, score, draw, print."""
    run.report.finish(None if stop is None else stop.reason)
    map_folder = [run.session.folder.path] if run.session.folder is not None else []
    run.adaptation.finish([run.writer.path, *map_folder])
    run.save()
    m, frames = run.slam.map, run.frames()
    if not frames:
        raise InputError(f"{run.title}: no frame could be read")
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
    if stop is not None:
        print(f"stopped: {stop.reason}; everything up to there is in {run.writer.path}", file=sys.stderr)
        return stop.exit_code
    if run.args.truth is not None and evaluation is None and len(trajectory):
        return EvaluationError.exit_code
    if not len(trajectory):
        raise TrackingError(
            f"{run.title}: none of {len(frames)} frames could be tracked; it needs texture and a camera that "
            f"moves sideways (statuses are in {run.writer.path})"
        )
    return 0
