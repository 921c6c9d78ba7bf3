"""`vgslam eval`: scores a trajectory against a reference."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro

from vgslam.atomic import make_folder, write_bytes
from vgslam.commands.cells import TABLE_WIDTH, wide_console
from vgslam.errors import ConfigError, EvaluationError, InputError
from vgslam.evaluation.evaluate import Evaluation, EvaluationOptions, evaluate
from vgslam.evaluation.table import evaluation_table
from vgslam.guards.wording import say
from vgslam.results.plots import drawings
from vgslam.results.read_run import read_keyframes
from vgslam.results.run_folder import KEYFRAMES, REPORT, STATUS, TRAJECTORY_KITTI, TRAJECTORY_TUM
from vgslam.results.status import StatusTable, read_status
from vgslam.sources.open import open_source
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.sources.trajectory_rows import is_untimed
from vgslam.store.manifest import MANIFEST
from vgslam.types import Array, Ids, Trajectory

KITTI_INTERVAL_S = 0.1  # KITTI odometry is recorded at 10 Hz


@dataclass
class EvalArgs:
    """Scores an estimated trajectory against a reference: ATE, RPE, KITTI errors, coverage, gaps."""

    estimate: tyro.conf.Positional[Path]
    """Trajectory file (TUM, KITTI or EuRoC) or the folder of a run. A status.csv and keyframes.tum beside the
    trajectory of a run are used: components, coverage and losses are then exact."""
    reference: tyro.conf.Positional[Path]
    """Trajectory file (TUM, KITTI or EuRoC), or a data set's folder that holds its truth."""
    estimate_kind: str = "auto"
    """Format of the estimate: auto, tum, kitti or euroc."""
    reference_kind: str = "auto"
    """Format of the reference: auto, tum, kitti or euroc."""
    max_difference: float | None = None
    """Largest difference in time of two poses that are compared, in seconds; the default is half the median interval,
    at most 0.02 s."""
    time_offset: float = 0.0
    """Seconds to add to the times of the estimate, where its clock differs from the reference's by a constant. A
    difference that explains far more than the times as they are is named."""
    rpe_delta: float = 1.0
    """Time over which the relative error is measured, in seconds."""
    n_frames: int | None = None
    """Frames of the input, for the coverage, if there is no status.csv."""
    json: bool = False
    """Print JSON instead of a table."""
    plot: Path | None = None
    """Folder for the plots: the path from above, errors over time, statuses."""


@dataclass(frozen=True)
class _Estimate:
    trajectory: Trajectory
    keyframes: Trajectory | None
    frames: StatusTable | None


def run_eval(args: EvalArgs) -> int:
    """Prints the scores; returns the exit code 0. Raises a VgslamError for input that cannot be compared."""
    _check(args)
    estimate, reference, warnings = load_pair(args)
    evaluation = _evaluate(args, estimate, reference)
    evaluation.notes.extend(warnings)
    if args.json:
        say(json.dumps(evaluation.to_dict(), indent=2, allow_nan=False))
    else:
        title = f"{args.estimate} against {args.reference}"
        wide_console(TABLE_WIDTH).print(evaluation_table(evaluation, title))
    if args.plot is not None:
        _write_plots(args.plot, estimate, reference, evaluation)
    return 0


def load_pair(args: EvalArgs) -> tuple[_Estimate, Trajectory, list[str]]:
    """Estimate and reference on one clock, and warnings. KITTI rows have no time: frame numbers then serve both."""
    path = args.estimate / TRAJECTORY_TUM if args.estimate.is_dir() else args.estimate
    if args.estimate.is_dir() and not path.is_file():
        is_map = (args.estimate / MANIFEST).is_file()
        do = f"`vgslam map export {args.estimate} --format tum` writes its poses" if is_map else (
            "give the folder of a run, or a trajectory file")  # fmt: skip
        raise InputError(f"{args.estimate}: {'is a saved map' if is_map else f'no {TRAJECTORY_TUM} in it'}; {do}")
    is_run = path.name in (TRAJECTORY_TUM, TRAJECTORY_KITTI)
    frames = read_status(path.parent / STATUS) if is_run and (path.parent / STATUS).is_file() else None
    warnings: list[str] = []
    trajectory = read_trajectory(path, args.estimate_kind, notes=warnings)
    reference, reference_is_untimed = _read_reference(args, warnings)
    if is_untimed(path, args.estimate_kind):
        trajectory = _number_rows(trajectory, frames)
    elif frames is not None:
        trajectory = frames.label(trajectory)
    keyframes = read_keyframes(path.parent / KEYFRAMES, frames) if is_run else None
    estimate = _Estimate(trajectory, keyframes, frames)
    if is_untimed(path, args.estimate_kind) or reference_is_untimed:
        warnings.append(f"no timestamps: frame numbers serve as time on both sides, at {1 / KITTI_INTERVAL_S:g} Hz")
        if frames is None and len(trajectory) != len(reference):
            warnings.append(
                f"{len(trajectory)} rows against {len(reference)}: row i of one is taken for row i of the other, "
                "wrong if a frame has no pose; a status.csv beside the estimate tells"
            )
        estimate, reference = _on_frame_numbers(estimate), _retimed(reference, np.arange(len(reference)))
    return _later(estimate, args.time_offset), reference, warnings


def _later(estimate: _Estimate, by_s: float) -> _Estimate:
    """The estimate with other times."""
    trajectory, keyframes, frames = estimate.trajectory, estimate.keyframes, estimate.frames
    return _Estimate(
        replace(trajectory, timestamps_s=trajectory.timestamps_s + by_s),
        None if keyframes is None else replace(keyframes, timestamps_s=keyframes.timestamps_s + by_s),
        None if frames is None else replace(frames, timestamps_s=frames.timestamps_s + by_s),
    )


def _read_reference(args: EvalArgs, notes: list[str]) -> tuple[Trajectory, bool]:
    if (args.reference / REPORT).is_file():
        raise InputError(
            f"{args.reference}: is the folder of a run, and no truth; `vgslam compare {args.estimate} "
            f"{args.reference}` compares runs, {args.reference / TRAJECTORY_TUM} is its trajectory"
        )
    if not args.reference.is_dir():
        reference = read_trajectory(args.reference, args.reference_kind, is_metric=True, notes=notes)
        return reference, is_untimed(args.reference, args.reference_kind)
    truth = open_source(args.reference).truth
    if truth is None:
        raise EvaluationError(f"{args.reference}: no truth in this folder; give a trajectory file")
    return truth, False


def _number_rows(trajectory: Trajectory, frames: StatusTable | None) -> Trajectory:
    """KITTI rows of a run: the frames with a pose are those that the status table says, row by row."""
    if frames is None:
        return trajectory
    posed = np.array([s.has_pose for s in frames.statuses], bool)
    if posed.sum() != len(trajectory):
        raise EvaluationError(f"{len(trajectory)} poses, but status.csv counts {posed.sum()} frames with a pose")
    return Trajectory(
        frames.timestamps_s[posed], trajectory.T_world_cam, frames.frame_ids[posed], frames.component_ids[posed]
    )


def _retimed(trajectory: Trajectory, frame_numbers: Ids) -> Trajectory:
    return replace(trajectory, timestamps_s=_times_of(frame_numbers))


def _times_of(frame_numbers: Ids) -> Array:
    return np.asarray(frame_numbers, np.float64) * KITTI_INTERVAL_S


def _on_frame_numbers(estimate: _Estimate) -> _Estimate:
    """The estimate with frame numbers as time; its keyframes too, where the status table gives their numbers."""
    frames, keyframes = estimate.frames, estimate.keyframes
    if frames is None:
        return _Estimate(_retimed(estimate.trajectory, np.arange(len(estimate.trajectory))), None, None)
    return _Estimate(
        _retimed(estimate.trajectory, estimate.trajectory.frame_ids),
        None if keyframes is None else _retimed(keyframes, keyframes.frame_ids),
        replace(frames, timestamps_s=_times_of(frames.frame_ids)),
    )


def _check(args: EvalArgs) -> None:
    """Raises ConfigError for numbers that no comparison can use, in the words of the command line."""
    if args.max_difference is not None and not 0 <= args.max_difference < np.inf:
        raise ConfigError(f"--max-difference {args.max_difference:g}: give seconds, 0 or more")
    if not np.isfinite(args.time_offset):
        raise ConfigError(f"--time-offset {args.time_offset:g}: give seconds")
    if not 0 < args.rpe_delta < np.inf:
        raise ConfigError(f"--rpe-delta {args.rpe_delta:g}: give seconds, more than 0")
    if args.n_frames is not None and args.n_frames < 1:
        raise ConfigError(f"--n-frames {args.n_frames}: give a number of 1 or more")


def _evaluate(args: EvalArgs, estimate: _Estimate, reference: Trajectory) -> Evaluation:
    options = EvaluationOptions(
        max_difference_s=args.max_difference,
        n_frames=args.n_frames,
        frame_timestamps_s=None if estimate.frames is None else estimate.frames.timestamps_s,
        rpe_delta_s=args.rpe_delta,
    )
    return evaluate(estimate.trajectory, reference, options, estimate.keyframes)


def _write_plots(folder: Path, estimate: _Estimate, reference: Trajectory, evaluation: Evaluation) -> None:
    make_folder(folder, "; give another --plot folder")
    for name, draw in drawings(estimate.trajectory, estimate.frames, reference, evaluation).items():
        write_bytes(folder / name, draw())
