"""The outcome of a run, and how it compares with the truth."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from vgslam.errors import EvaluationError, InputError, MissingDependencyError
from vgslam.evaluation.evaluate import Evaluation, EvaluationOptions, evaluate
from vgslam.map.slam_map import SlamMap
from vgslam.metric.fulfil import MetricRequest, fulfil
from vgslam.results.report import RunReport
from vgslam.types import PoseEstimate, Trajectory


@dataclass(frozen=True)
class Stop:
    """Why a run ended before its input did."""

    reason: str
    exit_code: int


@dataclass(frozen=True)
class Outcome:
    """A run that has ended."""

    report: RunReport
    out: Path  # its folder
    evaluation: Evaluation | None  # none without a truth that fits
    stop: Stop | None  # none if the whole input was processed
    exit_code: int  # exit code of the program


@dataclass(frozen=True)
class Poses:
    """What a run found: the row of each frame, the poses, and those of its keyframes."""

    frames: list[PoseEstimate]
    trajectory: Trajectory
    keyframes: Trajectory


def find_world(slam_map: SlamMap, request: MetricRequest, report: RunReport) -> None:
    """Make a map metric and upright, if that was asked for; where it fails, the report says why."""
    if request.is_empty or not slam_map.keyframes:
        return
    try:
        report.world = [found.to_dict() for found in fulfil(slam_map, request)]
    except InputError as error:
        report.world_failure = str(error)


def scoring(truth: Trajectory, poses: Poses) -> Callable[[], Evaluation]:
    """What compares poses with the truth; it can be pickled."""
    times = np.array([f.timestamp_s for f in poses.frames], np.float64)
    keyframes = poses.keyframes if len(poses.keyframes) else None
    return partial(evaluate, poses.trajectory, truth, EvaluationOptions(frame_timestamps_s=times), keyframes)


def score(scored: Callable[[], Evaluation], report: RunReport, say: Callable[[str], None]) -> Evaluation | None:
    """The evaluation, in the report too; a truth that does not fit becomes a warning there."""
    try:
        evaluation = scored()
    except (EvaluationError, MissingDependencyError) as error:
        report.warnings.append(f"not scored: {error}")
        say(f"not scored: {error}")
        return None
    report.evaluation = evaluation.to_dict()
    return evaluation
