"""A run in progress: its results so far, and what has to reach the disk."""

import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vgslam.interfaces import PoseSink, Viewer
from vgslam.map.slam_map import SlamMap
from vgslam.metric.fulfil import MetricRequest
from vgslam.poses_out.frame_pose import FramePose
from vgslam.reloc.closing import Closed
from vgslam.results.environment import peak_memory_mib
from vgslam.results.report import WITHOUT_NETWORK, RunReport
from vgslam.results.run_folder import RunWriter
from vgslam.session.adaptation import Adaptation
from vgslam.session.choose_camera import describe_camera, final_estimate, main_camera, recorded_camera
from vgslam.session.late_steps import LateSteps
from vgslam.session.main_loop import MainLoop, Tracked
from vgslam.session.masks import mask_png
from vgslam.session.network import OpenedNetwork
from vgslam.session.outcome import find_world
from vgslam.session.saving import SavingBeside
from vgslam.session.second_process import SecondProcess
from vgslam.session.self_calibration import CalibrationEstimate
from vgslam.session.tracking_args import TrackingArgs
from vgslam.system import SlamSystem
from vgslam.two_lanes import TwoLaneSystem
from vgslam.types import Camera, PoseEstimate, Status, Trajectory
from vgslam.viewer.open import NullViewer


@dataclass
class Run:
    """Everything that has to reach the disk, whatever ends it. title: the input as it was given."""

    args: TrackingArgs
    title: str
    loop: MainLoop
    writer: RunWriter
    report: RunReport
    viewer: Viewer
    sinks: list[PoseSink]
    adaptation: Adaptation
    began_cpu_s: float
    began_s: float
    steps: LateSteps
    """What fails when the frames are through, or while results are saved along the way."""
    request: MetricRequest = field(default_factory=MetricRequest)
    network: OpenedNetwork | None = None
    estimated: CalibrationEstimate | None = None
    """How the camera was estimated; None where it was known."""
    second: SecondProcess = field(default_factory=SecondProcess)
    """A process that draws plots and scores beside this one."""
    latencies_s: "array[float]" = field(default_factory=lambda: array("d"))
    _saving: SavingBeside = field(default_factory=SavingBeside)

    @property
    def slam(self) -> SlamSystem:
        return self.loop.slam

    @property
    def n_frames(self) -> int:
        return len(self.slam.map.frames) - self.loop.map_session.n_frames_before

    def frames(self, of: SlamMap | None = None) -> list[PoseEstimate]:
        """The rows of the run's frames, numbered as in the source; of: a copy of the map, instead of the map."""
        return [self._numbered(f) for f in (of or self.slam.map).session_frames()]

    def _numbered(self, frame: PoseEstimate) -> PoseEstimate:
        first = self.loop.map_session.first_frame_id
        return replace(frame, frame_id=frame.frame_id - first) if first else frame

    def trajectory(self, of: SlamMap | None = None) -> Trajectory:
        """The run's poses, numbered as in the source; of: as in `frames`."""
        return self._as_in_source((of or self.slam.map).trajectory())

    def keyframes(self, of: SlamMap | None = None) -> Trajectory:
        """Poses of the keyframes that the run has added, numbered as in the source; of: as in `frames`."""
        added = (of or self.slam.map).keyframe_trajectory()
        return Trajectory(np.zeros(0), np.zeros((0, 4, 4))) if self.args.localize else self._as_in_source(added)

    def _as_in_source(self, trajectory: Trajectory) -> Trajectory:
        return replace(trajectory, frame_ids=trajectory.frame_ids - self.loop.map_session.first_frame_id)

    def hand_out(self, tracked: Tracked) -> None:
        """Give a frame's pose to the sinks."""
        latency_s = time.monotonic() - tracked.arrived_s
        self.latencies_s.append(latency_s)
        if self.sinks:
            session = self.loop.map_session
            name = session.path.name if session.path else None
            pose = FramePose.of(tracked.estimate, self.slam.posed, name, latency_s, tracked.frame.stamp_ns)
            pose = replace(pose, frame_id=pose.frame_id - session.first_frame_id)
            for sink in self.sinks:
                sink.send(pose)

    def show(self, tracked: Tracked) -> None:
        """Show the frame in the viewer; one that fails shows no more."""
        try:
            self.viewer.show(tracked.frame, tracked.estimate, self.slam.map, tracked.took_s)
        except Exception as error:
            self.steps.failed("the viewer", error)
            self.viewer = NullViewer()

    def learn(self, tracked: Tracked) -> None:
        """Let the network learn from a frame."""
        self.adaptation.after_frame(tracked.frame.image, tracked.frame.id, self.slam.tracker.camera.of_frames)

    def save_when_due(self, _: Tracked) -> None:
        """Bring folder and map to the newest state from time to time. What cannot be written now is a warning: it is
        tried again, at last when the frames are through. Beside a camera that does not wait, on a thread."""
        if isinstance(self.slam, TwoLaneSystem):
            self._saving.when_due(self.slam, self)
            return
        if self.writer.is_flush_due(self.n_frames):
            with self.steps.tried("saving along the way"):
                self.save()
        with self.steps.tried("saving the map along the way"):
            self.loop.map_session.save_when_due()

    @property
    def saves_due(self) -> tuple[bool, bool]:
        """Whether the folder of the run, and the map, are to be saved now."""
        return self.writer.is_flush_due(self.n_frames), self.loop.map_session.is_save_due

    def save_frozen(self, frozen: SlamMap, due: tuple[bool, bool]) -> None:
        """Save what is due, from a copy of the map."""
        if due[0]:
            with self.steps.tried("saving along the way"):
                self.save(frozen)
        if due[1]:
            with self.steps.tried("saving the map along the way"):
                self.loop.map_session.save_frozen(frozen)

    def rest(self) -> None:
        """Wait until nothing is saved any more."""
        self._saving.rest(self)

    def save(self, of: SlamMap | None = None) -> None:
        """Bring the folder to the newest state; of: as in `frames`."""
        report, frames, slam, session = self.report, self.frames(of), self.slam, self.loop.map_session
        counts = Counter(f.status for f in frames)
        report.model_id = self.adaptation.model_id or WITHOUT_NETWORK
        report.n_frames, report.n_keyframes = len(frames), len(self.keyframes(of))
        report.map = session.describe()
        report.statuses = {str(s): counts[s] for s in Status if counts[s]}
        report.n_poses = counts[Status.TRACKED] + counts[Status.RELOCALIZED]
        report.n_losses, report.n_components = slam.n_losses, slam.n_components
        first = session.first_frame_id
        report.transitions = [replace(t, frame_id=t.frame_id - first).to_dict() for t in slam.states.transitions]
        report.lost_s = round(slam.states.lost_s, 6)
        report.loops, report.n_loops_refused = closed_loops(slam.map, slam.loops.closed), len(slam.loops.refused)
        report.stage_cpu_s = {k: round(v, 4) for k, v in slam.stage_cpu_s.items()}
        report.set_timing(time.process_time() - self.began_cpu_s, time.monotonic() - self.began_s)
        report.peak_memory_mib = peak_memory_mib()
        failures = [f"poses: {sink.failure}" for sink in self.sinks if sink.failure is not None]
        report.warnings = [*self.loop.source.warnings, *slam.notes, *self.adaptation.warnings(), *failures]
        report.warnings += [f"could not be written along the way: {line}" for line in self.steps.notes]
        report.live = self._live()
        report.adaptation = self.adaptation.report()
        if self.network is not None:
            report.weights, report.network = self.network.about, self.network.report(slam.provisional.starts)
        if slam.refined is not None:
            report.refinement = slam.refined.to_dict() | {"lines": slam.refined.lines()}
        if self.estimated is not None and (camera := main_camera(of or slam.map)) is not None:
            report.camera = describe_camera(camera, self._estimate(camera))
        static = slam.watches.static
        report.static_share = round(static.most_share, 4)
        self.writer.flush(self.trajectory(of), self.keyframes(of), frames, report)
        if static.found is not None:
            times = slam.tracker.camera.enlarged
            self.writer.write_static_mask(mask_png(static.found[::times, ::times], self.loop.source))

    def write_camera(self) -> None:
        """Write the camera of the source's images, if the run has determined it better than it was given."""
        camera = main_camera(self.slam.map)
        if camera is None:
            return
        found = recorded_camera(camera, self.loop.source, self.slam.refined, self._estimate(camera))
        if found is not None:
            self.writer.write_camera(found)

    def _estimate(self, camera: Camera) -> CalibrationEstimate | None:
        return None if self.estimated is None else final_estimate(self.estimated, camera, self.slam.refined)

    def find_world(self) -> None:
        """Make the result metric and upright, as `outcome.find_world`."""
        if not self.request.is_empty:
            with self.loop.signals.held(), self.loop.map_session.changing():
                find_world(self.slam.map, self.request, self.report)

    def _live(self) -> dict[str, Any] | None:
        """The report's entry for a source that does not wait."""
        s = self.loop.live
        if s is None:
            return None
        ms = 1000.0 * np.array(self.latencies_s if len(self.latencies_s) else [np.nan])
        return {
            "n_captured": s.n_captured, "n_dropped": s.n_dropped, "dropped": s.dropped, "n_damaged": s.n_damaged,
            "n_reconnects": s.n_reconnects, "latency_p50_ms": round(float(np.percentile(ms, 50)), 2),
            "latency_p95_ms": round(float(np.percentile(ms, 95)), 2), "latency_max_ms": round(float(ms.max()), 2),
            "latency_p99_ms": round(float(np.percentile(ms, 99)), 2),
            "n_pose_lines_dropped": sum(sink.n_dropped for sink in self.sinks),
            "mapping": self.slam.load.to_dict() if isinstance(self.slam, TwoLaneSystem) else None,
        }  # fmt: skip


def closed_loops(m: SlamMap, closed: Sequence[Closed]) -> list[dict[str, int | float | None]]:
    """One row for each loop: its two frames, how far it moved the later one (map units), the component it joined."""
    k = m.keyframes
    return [
        {"frame_a": k[x.id_a].frame_id, "frame_b": k[x.id_b].frame_id, "shift": round(x.shift, 4), "joined": x.joined}
        for x in closed
    ]
