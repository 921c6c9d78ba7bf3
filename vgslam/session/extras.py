"""Results of a run that can be left out: the cloud, the depth of keyframes, the score, the path's length, plots."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from vgslam.beside import Job
from vgslam.evaluation.evaluate import Evaluation
from vgslam.evaluation.scores import end_to_start_percent
from vgslam.map.cloud import point_cloud
from vgslam.map.slam_map import SlamMap
from vgslam.results.plots import Drawing, drawings
from vgslam.results.report import RunReport
from vgslam.results.run_folder import RunWriter
from vgslam.results.saved_depth import DEPTH_FOLDER, Form, save_depth
from vgslam.results.status import StatusTable
from vgslam.session.late_steps import LateSteps
from vgslam.session.outcome import Poses, score, scoring
from vgslam.session.second_process import SecondProcess
from vgslam.types import Trajectory


@dataclass(frozen=True)
class Extras:
    """Writes them into a run's folder and report, each as a step of its own that may fail."""

    writer: RunWriter
    report: RunReport
    steps: LateSteps
    say: Callable[[str], None]
    """Gets messages."""
    depth: Form | None = None
    """The form in which the depth of keyframes is saved; None to leave it out."""
    second: SecondProcess = field(default_factory=SecondProcess)
    """Where scores are made and plots are drawn, if it was started."""

    def write(
        self, m: SlamMap, poses: Poses, truth: Trajectory | None, name: str, first_frame_id: int = 0
    ) -> Evaluation | None:
        """Everything about a map and its poses; name: of the source. Returns the comparison with the truth."""
        steps, evaluation = self.steps, None
        scored = None if truth is None else self.second.begin(scoring(truth, poses))
        steps.extra("the cloud", lambda: self.writer.write_cloud(*point_cloud(m)))
        if self.depth is not None:
            steps.extra("the depth", partial(self._save_depth, m, first_frame_id, self.depth))
        if scored is not None:
            evaluation = steps.extra("the score", lambda: score(scored.result, self.report, self.say))
        self.report.end_to_start_percent = steps.extra("the length", lambda: end_to_start_percent(poses.trajectory))
        begin = partial(self._begun_plots, m, poses, truth, evaluation, name)
        for plot, drawing in (steps.extra("the plots", begin) or {}).items():
            steps.extra(f"the plot {plot}", partial(self._plot, plot, drawing.result))
        return evaluation

    def _begun_plots(
        self, m: SlamMap, poses: Poses, truth: Trajectory | None, evaluation: Evaluation | None, name: str
    ) -> dict[str, Job[bytes]]:
        statuses = StatusTable.of(poses.frames, poses.trajectory)
        found = drawings(poses.trajectory, statuses, truth, evaluation, m.keyframes, name)
        return {plot: self.second.begin(draw) for plot, draw in found.items()}

    def _save_depth(self, m: SlamMap, first_frame_id: int, form: Form) -> None:
        n = save_depth(self.writer.path, m, first_frame_id, form)
        self.say(f"depth of {n} keyframes: {self.writer.path / DEPTH_FOLDER}/")

    def _plot(self, name: str, draw: Drawing) -> None:
        self.writer.write_plot(name, draw())
