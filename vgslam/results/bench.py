"""Results of running many sequences. A failed sequence stays failed."""

import hashlib
import json
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
    failure: str | None = None
    """One line; None when the run succeeded."""
    report: RunReport | None = None
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    """Evaluations by name of the truth."""
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
