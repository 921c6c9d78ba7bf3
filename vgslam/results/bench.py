"""Results of running many sequences, and the Markdown table and JSON of them. A failed sequence stays failed."""

import hashlib
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vgslam.errors import EvaluationError, InputError
from vgslam.evaluation.evaluate import Evaluation
from vgslam.evaluation.scores import end_to_start_percent
from vgslam.results.environment import Machine
from vgslam.results.read_run import read_run, score_run
from vgslam.results.report import RunReport
from vgslam.results.run_folder import TRAJECTORY_TUM
from vgslam.types import Trajectory


@dataclass
class RunOutcome:
    """One run of one sequence."""

    command: list[str]
    failure: str | None = None  # one line; None when the run succeeded
    report: RunReport | None = None
    evaluations: dict[str, Evaluation] = field(default_factory=dict)  # evaluations by name of the truth
    end_to_start_percent: float | None = None
    trajectory_sha256: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "command": self.command,
            "failure": self.failure,
            "report": None if self.report is None else json.loads(self.report.to_json()),
            "evaluations": {name: e.to_dict() for name, e in self.evaluations.items()},
            "end_to_start_percent": self.end_to_start_percent,
            "trajectory_sha256": self.trajectory_sha256,
        }


@dataclass
class SequenceOutcome:
    """All repeats of one sequence; truths: names of its references."""

    name: str
    path: Path
    truths: list[str]
    runs: list[RunOutcome] = field(default_factory=list)

    @property
    def failure(self) -> str | None:
        """The failure in one line, if any repeat failed or none was made."""
        failed = [run.failure for run in self.runs if run.failure is not None]
        if not self.runs:
            return "not run"
        return f"{len(failed)} of {len(self.runs)}: {failed[0]}" if failed else None

    @property
    def is_repeatable(self) -> bool | None:
        """Whether all repeats wrote the same trajectory file; None with fewer than two."""
        hashes = [run.trajectory_sha256 for run in self.runs]
        return None if len(hashes) < 2 or None in hashes else len(set(hashes)) == 1


def score_outcome(run_dir: Path, command: list[str], truths: dict[str, Trajectory]) -> RunOutcome:
    """Reads a finished run's folder and scores it against each truth; whatever is wrong becomes its failure."""
    outcome = RunOutcome(command)
    try:
        outcome.report = RunReport.read(run_dir / "report.json")
        if not outcome.report.complete:
            outcome.failure = f"not complete: {outcome.report.stopped_by}"
        run = read_run(run_dir)
        outcome.trajectory_sha256 = hashlib.sha256((run_dir / TRAJECTORY_TUM).read_bytes()).hexdigest()
        outcome.end_to_start_percent = end_to_start_percent(run.trajectory)
        for name, truth in truths.items():
            outcome.evaluations[name] = score_run(run, truth)
    except (InputError, EvaluationError, OSError) as error:
        outcome.failure = outcome.failure or str(error).replace("\n", " ")
    return outcome


@dataclass
class Bench:
    """A whole benchmark, with what is needed to repeat it."""

    command: list[str]
    version: str
    commit: str | None
    machine: Machine
    repeat: int
    sequences: list[SequenceOutcome] = field(default_factory=list)

    @property
    def n_failed(self) -> int:
        return sum(sequence.failure is not None for sequence in self.sequences)


NO_TRUTH = "none"


def bench_json(bench: Bench) -> str:
    """Every run in full, and the rows of the table."""
    data = {
        "command": bench.command, "version": bench.version, "commit": bench.commit, "machine": bench.machine.__dict__,
        "repeat": bench.repeat, "n_failed": bench.n_failed,
        "rows": [row.__dict__ for row in rows(bench)],
        "sequences": [_sequence_dict(sequence) for sequence in bench.sequences],
    }  # fmt: skip
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def _sequence_dict(sequence: SequenceOutcome) -> dict[str, Any]:
    return {
        "name": sequence.name, "path": str(sequence.path), "truths": sequence.truths, "failure": sequence.failure,
        "is_repeatable": sequence.is_repeatable, "runs": [run.to_dict() for run in sequence.runs],
    }  # fmt: skip


@dataclass
class BenchRow:
    """One line of the table: a sequence against one truth, with medians over the repeats. None: not defined; after a
    failure everything but the names is None."""

    sequence: str
    truth: str
    failure: str | None = None
    frames: int | None = None
    coverage: float | None = None
    components: float | None = None
    ate_m: float | None = None
    ate_range_m: tuple[float, float] | None = None  # least and greatest ATE of the repeats
    keyframe_ate_m: float | None = None
    ate_percent: float | None = None
    rotation_aligned_by_rotations_deg: float | None = None  # RMSE; the one to read where the camera turns on the spot
    rotation_aligned_by_positions_deg: float | None = None
    rpe_m: float | None = None
    rpe_deg: float | None = None
    end_to_start_percent: float | None = None
    frames_per_cpu_s: float | None = None
    frames_per_wall_s: float | None = None
    peak_memory_mib: float | None = None


def rows(bench: Bench) -> list[BenchRow]:
    """One row for each sequence and truth ('none' without), then the mean; after any failure the mean is undefined."""
    table, primary = [], []
    for sequence in bench.sequences:
        of_sequence = [_row(sequence, truth) for truth in sequence.truths or [NO_TRUTH]]
        table += of_sequence
        primary.append(of_sequence[0])  # a second truth of the same runs must not count twice
    if len(primary) > 1:
        table.append(_mean_row(primary))
    return table


def _row(sequence: SequenceOutcome, truth: str) -> BenchRow:
    row = BenchRow(sequence.name, truth, sequence.failure)
    if row.failure is not None:
        return row
    reports = [run.report for run in sequence.runs if run.report is not None]
    evaluations = [run.evaluations[truth] for run in sequence.runs if truth in run.evaluations]
    row.frames = reports[0].n_frames
    row.frames_per_cpu_s = _median([r.frames_per_cpu_s for r in reports])
    row.frames_per_wall_s = _median([r.frames_per_wall_s for r in reports])
    row.peak_memory_mib = max(r.peak_memory_mib for r in reports)
    row.end_to_start_percent = _median([run.end_to_start_percent for run in sequence.runs])
    if evaluations:
        _add_scores(row, evaluations)
    else:
        row.coverage = _median([r.n_poses / r.n_frames if r.n_frames else None for r in reports])
        row.components = _median([float(r.n_components) for r in reports])
    return row


def _add_scores(row: BenchRow, evaluations: Sequence[Evaluation]) -> None:
    """The headline is the largest component, so the coverage is that component's."""
    heads = [e.headline for e in evaluations]
    row.coverage = _median([e.coverage.coverage_largest for e in evaluations])
    row.components = _median([float(e.coverage.n_components) for e in evaluations])
    row.ate_m = _median([h.ate_m.rmse for h in heads])
    row.ate_range_m = (min(h.ate_m.rmse for h in heads), max(h.ate_m.rmse for h in heads))
    row.keyframe_ate_m = _median([None if e.keyframes is None else e.keyframes.ate_m.rmse for e in evaluations])
    row.ate_percent = _median([h.ate_percent_of_path for h in heads])
    row.rotation_aligned_by_rotations_deg = _median([h.rotation_only_ape_deg.rmse for h in heads])
    row.rotation_aligned_by_positions_deg = _median([h.rotation_ape_deg.rmse for h in heads])
    row.rpe_m = _median([None if h.rpe_time is None else h.rpe_time.translation_rmse_m for h in heads])
    row.rpe_deg = _median([None if h.rpe_time is None else h.rpe_time.rotation_rmse_deg for h in heads])


def _median(values: Sequence[float | None]) -> float | None:
    """None unless every value is there."""
    known = [v for v in values if v is not None]
    return statistics.median(known) if known and len(known) == len(values) else None


def _mean_row(primary: Sequence[BenchRow]) -> BenchRow:
    failed = sum(row.failure is not None for row in primary)
    if failed:
        return BenchRow("mean", "", f"{failed} of {len(primary)} sequences failed")
    with_truth = [row for row in primary if row.truth != NO_TRUTH]
    mean = BenchRow("mean", "")
    columns: dict[str, Sequence[BenchRow]] = {
        "coverage": primary, "ate_m": with_truth, "keyframe_ate_m": with_truth, "ate_percent": with_truth,
        "rotation_aligned_by_rotations_deg": with_truth, "rotation_aligned_by_positions_deg": with_truth,
        "rpe_m": with_truth, "rpe_deg": with_truth, "frames_per_cpu_s": primary, "frames_per_wall_s": primary,
    }  # fmt: skip
    for name, of in columns.items():
        values = [getattr(row, name) for row in of]
        setattr(mean, name, statistics.fmean(values) if values and None not in values else None)
    return mean


def markdown(bench: Bench) -> str:
    """The table for people, with machine, commit and commands below."""
    lines = ["| " + " | ".join(name for name, _ in _COLUMNS) + " |", "|---|---" + "|---:" * (len(_COLUMNS) - 2) + "|"]
    for row in rows(bench):
        lines.append("| " + " | ".join(cell(row) for _, cell in _COLUMNS) + " |")
    machine = bench.machine
    lines += [
        "", "ATE: RMSE after Sim(3) over all frames of the largest component, median of the repeats [least-most]; "
        "coverage: that component's; RPE over 1 s; CPU: all threads of the process.",
        "", f"{bench.repeat} repeat(s); vgslam {bench.version}, commit {bench.commit or 'unknown'}; "
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib:g} GiB; {machine.system}, Python {machine.python}.",
        "", f"Command: `{' '.join(bench.command)}`", "",
    ]  # fmt: skip
    for sequence in bench.sequences:
        lines += _remarks(sequence)
    return "\n".join(lines).rstrip() + "\n"


def _remarks(sequence: SequenceOutcome) -> list[str]:
    lines = []
    if sequence.failure is not None:
        lines.append(f"- {sequence.name}: FAILED, {sequence.failure}")
    if sequence.is_repeatable is not None:
        lines.append(f"- {sequence.name}: repeats {'identical' if sequence.is_repeatable else 'DIFFER'}")
    lines += [f"- {sequence.name}: `{' '.join(run.command)}`" for run in sequence.runs[:1]]
    return lines


def _figure(name: str, form: str) -> Callable[[BenchRow], str]:
    def cell(row: BenchRow) -> str:
        value = getattr(row, name)
        return "n/a" if value is None else format(value, form)

    return cell


def _ate(row: BenchRow) -> str:
    if row.failure is not None:
        return "n/a" if row.sequence == "mean" else "FAILED"
    text = _figure("ate_m", ".3g")(row)
    if row.ate_range_m is not None and row.ate_range_m[0] < row.ate_range_m[1]:
        text += f" [{row.ate_range_m[0]:.3g}-{row.ate_range_m[1]:.3g}]"
    return text


_COLUMNS: list[tuple[str, Callable[[BenchRow], str]]] = [
    ("sequence", lambda row: row.sequence),
    ("truth", lambda row: row.truth),
    ("frames", _figure("frames", "d")),
    ("coverage", _figure("coverage", ".3f")),
    ("components", _figure("components", ".3g")),
    ("ATE [m]", _ate),
    ("keyframe ATE [m]", _figure("keyframe_ate_m", ".3g")),
    ("ATE [% path]", _figure("ate_percent", ".2f")),
    ("rotation (aligned by rotations) [deg]", _figure("rotation_aligned_by_rotations_deg", ".3g")),
    ("rotation (aligned by positions) [deg]", _figure("rotation_aligned_by_positions_deg", ".3g")),
    ("RPE [m]", _figure("rpe_m", ".3g")),
    ("RPE [deg]", _figure("rpe_deg", ".3g")),
    ("end to start [% path]", _figure("end_to_start_percent", ".2f")),
    ("frames/CPU s", _figure("frames_per_cpu_s", ".1f")),
    ("frames/wall s", _figure("frames_per_wall_s", ".1f")),
    ("peak [MiB]", _figure("peak_memory_mib", ".0f")),
]
