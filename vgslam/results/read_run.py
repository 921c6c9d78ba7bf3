"""A run's folder read back, to score it."""

from dataclasses import dataclass
from pathlib import Path

from vgslam.errors import InputError
from vgslam.evaluation.evaluate import Evaluation, EvaluationOptions, evaluate
from vgslam.results.run_folder import KEYFRAMES, STATUS, TRAJECTORY_TUM
from vgslam.results.status import StatusTable, read_status
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.types import Trajectory


@dataclass(frozen=True)
class RunTrajectories:
    """Poses of a run with frame ids and components."""

    trajectory: Trajectory
    keyframes: Trajectory | None  # none when the run has none
    frames: StatusTable  # all frames of the run


def read_run(run_dir: Path) -> RunTrajectories:
    """Reads the trajectories and statuses of a run's folder. Raises InputError when they are missing or damaged."""
    if not (run_dir / TRAJECTORY_TUM).is_file():
        raise InputError(f"{run_dir}: no {TRAJECTORY_TUM} in it; give the folder of a run or a trajectory file")
    frames = read_status(run_dir / STATUS)
    trajectory = frames.label(read_trajectory(run_dir / TRAJECTORY_TUM))
    return RunTrajectories(trajectory, read_keyframes(run_dir / KEYFRAMES, frames), frames)


def read_keyframes(path: Path, frames: StatusTable | None) -> Trajectory | None:
    """keyframes.tum, with the frames' components; None when there is none or it holds nothing."""
    try:
        keyframes = read_trajectory(path)
    except InputError:
        return None
    return keyframes if frames is None else frames.label(keyframes)


def score_run(run: RunTrajectories, truth: Trajectory) -> Evaluation:
    """Scores all frames and the keyframes of a run. Raises EvaluationError."""
    options = EvaluationOptions(frame_timestamps_s=run.frames.timestamps_s)
    return evaluate(run.trajectory, truth, options, run.keyframes)
