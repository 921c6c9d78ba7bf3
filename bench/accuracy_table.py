"""Figures of runs of one sequence from several starts, their median and worst, and the table of them."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from vgslam.evaluation.evaluate import Evaluation

FIGURES = {
    "coverage": ("coverage", ".3f"),
    "ate_m": ("ATE, m", ".4g"),
    "keyframe_ate_m": ("keyframe ATE, m", ".4g"),
    "rotation_deg": ("rotation (aligned by rotations), deg", ".3g"),
    "rpe_m": ("RPE, 1 frame, m", ".3g"),
    "rpe_max_m": ("the same, largest, m", ".3g"),
    "rpe_deg": ("RPE, 1 frame, deg", ".3g"),
    "cpu_ms": ("CPU, ms a frame", ".1f"),
    "peak_mib": ("MiB", ".0f"),
}
"""Each figure of a run that is summarised: its column's heading and the form of its numbers."""


@dataclass
class AccuracyRun:
    """One run from one start. None: not defined, as where nothing has a pose. Lengths are in the reference's unit.

    The figures are those of the largest component: its share of the frames, and its errors after its own alignment.
    """

    start: int
    command: list[str]
    failure: str | None = None
    n_frames: int | None = None
    components: int | None = None
    coverage: float | None = None
    ate_m: float | None = None
    """RMSE of the positions of all frames after Sim(3)."""
    keyframe_ate_m: float | None = None
    rotation_deg: float | None = None
    """RMSE of the orientations after they alone were aligned."""
    rpe_m: float | None = None
    """RMSE of the motion from frame to frame."""
    rpe_max_m: float | None = None
    rpe_deg: float | None = None
    cpu_ms: float | None = None
    """User and system time of the whole process over its frames, in ms."""
    peak_mib: float | None = None
    """Peak memory of the process, in MiB: at least that of the measurement itself, which started it."""
    fov_deg: float | None = None
    """Horizontal field of view that the run worked with at its end: the estimated one where it was not calibrated."""
    fov_sigma_deg: float | None = None
    """Standard deviation of an estimated field of view, as the run states it at its end."""
    is_fov_sure: bool | None = None
    """Whether the run calls an estimated field of view reliable."""
    warnings: list[str] = field(default_factory=list)
    trajectory_sha256: str | None = None

    def add_scores(self, evaluation: Evaluation) -> None:
        """Take over the figures of an evaluation."""
        head, coverage = evaluation.headline, evaluation.coverage
        self.components, self.coverage = coverage.n_components, coverage.coverage_largest
        self.ate_m, self.rotation_deg = head.ate_m.rmse, head.rotation_only_ape_deg.rmse
        self.keyframe_ate_m = None if evaluation.keyframes is None else evaluation.keyframes.ate_m.rmse
        if head.rpe_frame is not None:
            self.rpe_m, self.rpe_max_m = head.rpe_frame.translation_rmse_m, head.rpe_frame.translation_max_m
            self.rpe_deg = head.rpe_frame.rotation_rmse_deg


@dataclass(frozen=True)
class Summary:
    """A figure over all starts of a sequence; None where runs without the figure decide."""

    median: float | None
    worst: float | None


def summary(runs: Sequence[AccuracyRun], name: str) -> Summary:
    """Median and worst of one of FIGURES: a run without it counts as the worst there can be."""
    is_share = name == "coverage"
    values = [getattr(run, name) for run in runs]
    known = [(0.0 if is_share else math.inf) if v is None else float(v) for v in values]
    if not known:
        return Summary(None, None)
    return Summary(_finite(statistics.median(known)), _finite(min(known) if is_share else max(known)))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def markdown(sequences: Sequence[tuple[str, Sequence[AccuracyRun]]], about: Sequence[str]) -> str:
    """A row for each sequence with median and worst of its starts, then a row for each run; `about` above them."""
    heads = [heading for heading, _ in FIGURES.values()]
    lines = [*about, "", "Median / worst over the starts:", "", *_header(["sequence", "starts", "failed", *heads])]
    for name, runs in sequences:
        failed = sum(run.failure is not None for run in runs)
        cells = [_pair(summary(runs, figure), form) for figure, (_, form) in FIGURES.items()]
        lines.append(_row([name, str(len(runs)), str(failed), *cells]))
    lines += ["", "Every run:", "", *_header(["sequence", "start", "frames", "components", *heads])]
    for name, runs in sequences:
        for run in runs:
            cells = [_cell(getattr(run, figure), form) for figure, (_, form) in FIGURES.items()]
            lines.append(_row([name, str(run.start), _cell(run.n_frames, "d"), _cell(run.components, "d"), *cells]))
    failures = [f"- {name}, start {r.start}: {r.failure}" for name, runs in sequences for r in runs if r.failure]
    return "\n".join([*lines, "", *failures]).rstrip() + "\n"


def _header(names: Sequence[str]) -> list[str]:
    return [_row(names), "|---" + "|---:" * (len(names) - 1) + "|"]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(value: float | None, form: str) -> str:
    return "none" if value is None else format(value, form)


def _pair(value: Summary, form: str) -> str:
    return f"{_cell(value.median, form)} / {_cell(value.worst, form)}"
