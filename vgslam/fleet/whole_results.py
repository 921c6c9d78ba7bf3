"""The folder of a run that was made in pieces: the same files as of any run."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vgslam.errors import VgslamError
from vgslam.evaluation.evaluate import Evaluation
from vgslam.fleet.pieces import OVERLAP, Join
from vgslam.fleet.task import TaskResult
from vgslam.fleet.whole import Whole
from vgslam.map.slam_map import SlamMap
from vgslam.results.report import RunReport
from vgslam.results.run_folder import REPORT, RunWriter
from vgslam.results.saved_depth import Form
from vgslam.session.extras import Extras
from vgslam.session.late_steps import LateSteps
from vgslam.session.outcome import Poses
from vgslam.session.run import closed_loops
from vgslam.types import Status, Trajectory


@dataclass(frozen=True)
class Piece:
    """A piece and what became of it. folder: of its results, None where it has none."""

    frames: range
    result: TaskResult
    folder: Path | None = None

    @property
    def report(self) -> RunReport | None:
        """What its run said; None where that cannot be read."""
        try:
            return None if self.folder is None else RunReport.read(self.folder / REPORT)
        except VgslamError:
            return None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON for the report."""
        r = self.result
        return {
            "frames": [self.frames.start, self.frames.stop - 1], "ending": str(r.ending), "error": r.error,
            "n_poses": r.facts.n_poses, "n_components": r.facts.n_components, "wall_s": r.wall_s,
            "peak_mib": r.peak_mib, "was_there": r.was_there,
        }  # fmt: skip


@dataclass
class InPieces:
    """All pieces, and how they were joined."""

    pieces: Sequence[Piece]
    joins: Sequence[Join]
    engine: str
    calibration: str  # where the camera comes from
    n_joined_by_places: int = 0  # components that were joined by places that they show, as no seam did

    def to_dict(self) -> dict[str, Any]:
        """The entry in the report."""
        return {
            "n": len(self.pieces), "overlap_frames": OVERLAP, "engine": self.engine, "calibration": self.calibration,
            "pieces": [p.to_dict() for p in self.pieces], "joins": [j.to_dict() for j in self.joins],
            "n_joined_by_places": self.n_joined_by_places,
        }  # fmt: skip

    def lines(self) -> list[str]:
        """What did not go as it should, for people."""
        found = []
        for n, p in enumerate(self.pieces):
            if p.folder is None:
                at = f"frames {p.frames.start} to {p.frames.stop - 1}"
                found.append(f"piece {n + 1} of {len(self.pieces)} ({at}) has no map: {p.result.error}")
        found += [
            f"pieces {j.first + 1} and {j.second + 1} were not joined on their common frames: {j.reason}"
            for j in self.joins if j.seam is None
        ]  # fmt: skip
        if self.n_joined_by_places:
            found.append(f"{self.n_joined_by_places} component(s) were joined by places that both show instead")
        return found


@dataclass
class WholeResults:
    """Writes a whole map as the results of a run."""

    writer: RunWriter
    report: RunReport
    steps: LateSteps  # each may fail by itself
    say: Callable[[str], None]
    depth: Form | None = None  # the form in which the depth of keyframes is saved; None to leave it out
    poses: Poses = field(init=False)

    def fill(self, whole: Whole, about: InPieces) -> None:
        """The figures of the report that follow from the map and from the reports of the pieces."""
        report, m = self.report, whole.slam_map
        frames = m.session_frames()
        trajectory, keyframes = m.trajectory(), m.keyframe_trajectory()
        self.poses = Poses(frames, trajectory, keyframes)
        counts = Counter(f.status for f in frames)
        report.n_frames, report.n_keyframes, report.n_poses = len(frames), len(m.keyframes), len(trajectory)
        report.statuses = {str(s): counts[s] for s in Status if counts[s]}
        report.n_components = len({k.component_id for k in m.keyframes})
        report.loops, report.n_loops_refused = closed_loops(m, whole.loops), whole.n_refused
        if whole.refined is not None:
            report.refinement = whole.refined.to_dict() | {"lines": whole.refined.lines()}
        about.n_joined_by_places = whole.n_joined
        report.pieces = about.to_dict()
        report.stage_cpu_s = {name: round(s, 4) for name, s in whole.stages.cpu_s.items()}
        report.warnings += [*about.lines(), *whole.notes]
        for n, piece in enumerate(about.pieces):
            self._add(n, piece)

    def _add(self, n: int, piece: Piece) -> None:
        said, report = piece.report, self.report
        if said is None:
            return
        report.model_id = report.model_id or said.model_id
        report.n_losses += said.n_losses
        report.lost_s = round(report.lost_s + said.lost_s, 6)
        report.n_loops_refused += said.n_loops_refused
        report.static_share = max(report.static_share, said.static_share)
        for name, s in said.stage_cpu_s.items():
            report.stage_cpu_s[name] = round(report.stage_cpu_s.get(name, 0.0) + s, 4)
        first = piece.frames.start
        report.transitions += [{**t, "frame_id": t["frame_id"] + first, "piece": n} for t in said.transitions]
        mine = [f"piece {n + 1}: {line}" for line in said.warnings if line not in report.warnings]
        report.warnings += mine

    def write(self, m: SlamMap, truth: Trajectory | None, name: str) -> Evaluation | None:
        """All files but the last report."""
        self.poses = Poses(m.session_frames(), m.trajectory(), m.keyframe_trajectory())
        p = self.poses
        with self.steps.keeping("writing the poses"):
            self.writer.flush(p.trajectory, p.keyframes, p.frames, self.report)
        if not len(p.trajectory):
            return None
        extras = Extras(self.writer, self.report, self.steps, self.say, self.depth)
        return extras.write(m, p, truth, name)
