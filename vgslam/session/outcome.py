"""What a run says at its end."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from vgslam.errors import EvaluationError
from vgslam.evaluation.evaluate import Evaluation, EvaluationOptions, evaluate
from vgslam.evaluation.table import evaluation_table
from vgslam.results.report import RunReport
from vgslam.slam import Slam
from vgslam.types import PoseEstimate, Trajectory


@dataclass(frozen=True)
class Poses:
    """What a run found: what is known of each frame, the poses, those of its keyframes."""

    frames: list[PoseEstimate]
    trajectory: Trajectory
    keyframes: Trajectory


def score(truth: Trajectory | None, poses: Poses, report: RunReport) -> Evaluation | None:
    """Compare with the truth, if there is one; a truth that does not fit becomes a warning in the report."""
    if truth is None:
        return None
    times = np.array([f.timestamp_s for f in poses.frames], np.float64)
    try:
        evaluation = evaluate(
            poses.trajectory, truth, EvaluationOptions(frame_timestamps_s=times),
            poses.keyframes if len(poses.keyframes) else None,
        )  # fmt: skip
    except EvaluationError as error:
        report.warnings.append(f"not scored: {error}")
        print(f"not scored: {error}")
        return None
    report.evaluation = evaluation.to_dict()
    return evaluation


def print_outcome(report: RunReport, out: Path, evaluation: Evaluation | None, slam: Slam) -> None:
    """Statuses, figures, warnings and where everything is."""
    counts = ", ".join(f"{n} {status}" for status, n in report.statuses.items())
    print(f"{report.n_frames} frames: {counts}; {report.n_keyframes} keyframes, {slam.n_components} component(s)")
    if slam.n_components > 1:
        print(f"tracking was lost {report.n_losses} time(s); each component has its own scale and origin")
    n_found = sum(t["after"] == "RELOCALIZED" for t in report.transitions)
    if n_found or report.lost_s > 0:
        print(f"relocalized {n_found} time(s); {report.lost_s:.2f} s without a pose until one was back")
    rate = report.frames_per_cpu_s or 0.0
    print(f"{rate:.1f} frames per CPU second, {report.frames_per_wall_s or 0.0:.1f} frames/s, "
          f"{report.peak_memory_mib:.0f} MiB peak memory")  # fmt: skip
    if report.live is not None:
        live = report.live
        print(f"latency {live['latency_p50_ms']:.0f} ms (median), {live['latency_p95_ms']:.0f} ms (95 %); "
              f"{live['n_dropped']} of {live['n_captured']} frames dropped, "
              f"{live['n_reconnects']} times reconnected")  # fmt: skip
    if evaluation is not None:
        console = Console()
        console.width = max(console.width, 110)
        console.print(evaluation_table(evaluation, "against the truth"))
    elif report.end_to_start_percent is not None:
        print(f"the path ends {report.end_to_start_percent:.1f} % of its length from where it began")
    for warning in report.warnings[:10]:
        print(f"warning: {warning}")
    if len(report.warnings) > 10:
        print(f"warning: {len(report.warnings) - 10} more in report.json")
    print(f"results: {out}/  (trajectory.tum, status.csv, report.json, cloud.ply, plots/)")
