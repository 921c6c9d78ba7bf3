"""Scores of trivial estimates, and measures of drift that need no alignment of the whole."""

import numpy as np

from vgslam.evaluation.alignment import best_scale, spread
from vgslam.types import Array, Trajectory


def path_length(positions: Array) -> float:
    """Sum of the steps between consecutive positions (N,3)."""
    return float(np.linalg.norm(np.diff(positions, axis=0), axis=1).sum())


def line_ate(positions: Array) -> float:
    """ATE RMSE of the best straight line: RMS distance of positions (N,3) to their principal axis."""
    D = np.linalg.svd(positions - positions.mean(0), compute_uv=False)
    return float(np.sqrt((D[1:] ** 2).sum() / len(positions)))


def scale_drift(positions_ref: Array, positions_est: Array) -> float | None:
    """Growth of the estimate relative to the reference from the first to the last quarter of the poses (1 = none).
    Ratio of the best-fit scales (estimate units per reference unit) of last and first quarter. None with fewer than 12
    poses or when a quarter's reference extends less than a hundredth of the whole."""
    n = len(positions_ref) // 4
    if n < 3:
        return None
    minimum = 0.01 * spread(positions_ref)
    first, last = slice(0, n), slice(len(positions_ref) - n, None)
    if min(spread(positions_ref[first]), spread(positions_ref[last])) <= minimum:
        return None
    scales = [best_scale(positions_ref[part], positions_est[part]) for part in (first, last)]
    return None if scales[0] is None or scales[1] is None else scales[0] / scales[1]


def end_to_start_percent(trajectory: Trajectory) -> float | None:
    """Distance from the last to the first pose in percent of the path, of the component with most poses. For sequences
    that return to their start and have no reference. None with fewer than 2 poses or without motion."""
    if len(trajectory) < 2:
        return None
    components, counts = np.unique(trajectory.component_ids, return_counts=True)
    positions = trajectory.T_world_cam[trajectory.component_ids == components[np.argmax(counts)], :3, 3]
    length = path_length(positions)
    return 100.0 * float(np.linalg.norm(positions[-1] - positions[0])) / length if length > 0 else None
