"""The scores of an estimate, as data."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from vgslam.evaluation.alignment import Alignment, best_scale, spread
from vgslam.evaluation.coverage import Coverage
from vgslam.evaluation.relative import KittiError, RelativeError
from vgslam.geometry.sim3 import Sim3
from vgslam.types import Array, Trajectory


@dataclass(frozen=True)
class ErrorStatistics:
    """Statistics of errors over n poses."""

    rmse: float
    mean: float
    median: float
    max: float

    @staticmethod
    def of(errors: Array) -> "ErrorStatistics":
        return ErrorStatistics(
            float(np.sqrt((errors**2).mean())), float(errors.mean()), float(np.median(errors)), float(errors.max())
        )


@dataclass(frozen=True)
class ErrorSeries:
    """What plots need: the errors over time, after alignment."""

    alignment: Alignment  # a Sim(3), or SE(3) where no scale is observable
    timestamps_s: Array  # (N,)
    position_error_m: Array  # (N,)
    rotation_error_deg: Array  # (N,), aligned by the positions
    rotation_only_error_deg: Array  # (N,), aligned by the rotations alone


@dataclass(frozen=True)
class ComponentScore:
    """Scores of one connected piece of the map, aligned on its own, in units of the reference (metres). None: not
    defined."""

    component_id: int
    n_poses: int
    start_s: float
    end_s: float
    path_length_m: float
    turned_deg: float
    """Sum of the angles between consecutive reference poses."""
    scale: float | None
    """Takes the estimate's unit to the reference's."""
    ate_sim3_m: ErrorStatistics | None
    """Absolute trajectory error of the positions after alignment with scale."""
    ate_se3_m: ErrorStatistics
    """Absolute trajectory error of the positions after alignment without scale."""
    ate_percent_of_path: float | None
    """The headline ATE as a share of the path length."""
    rotation_ape_deg: ErrorStatistics
    """Rotation error after the Sim(3) alignment of the positions."""
    rotation_only_ape_deg: ErrorStatistics
    """Rotation error after aligning the orientations alone; the one to read when the camera turns on the spot."""
    rpe_frame: RelativeError | None
    """Relative error over one frame, with the estimate scaled."""
    rpe_time: RelativeError | None
    """Relative error over `EvaluationOptions.rpe_delta_s`, with the estimate scaled."""
    kitti: KittiError | None
    """KITTI's relative error, with the estimate scaled."""
    centroid_ate_m: float
    """The ATE that an estimate which never moves would have."""
    line_ate_m: float
    """The ATE that the best straight line would have."""
    scale_drift: float | None
    flags: list[str]
    series: ErrorSeries = field(repr=False, compare=False)

    @property
    def ate_m(self) -> ErrorStatistics:
        """The headline: after Sim(3), after SE(3) where no scale is observable."""
        return self.ate_sim3_m or self.ate_se3_m

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; the series are left out, the alignment kept as a 4x4 matrix."""
        out = {k: v for k, v in self.__dict__.items() if k != "series"}
        out = {k: asdict(v) if hasattr(v, "__dataclass_fields__") else v for k, v in out.items()}
        out["S_reference_estimate"] = self.series.alignment.S_ref_est.matrix().tolist()
        return out


@dataclass(frozen=True)
class Evaluation:
    """Scores of an estimate against a reference."""

    components: list[ComponentScore]
    """Pieces with at least 3 scored poses, the one with most first; they are never merged."""
    unscored: list[int]
    """Ids of the pieces with fewer."""
    coverage: Coverage
    max_difference_s: float
    rpe_delta_s: float
    keyframes: ComponentScore | None
    """Scores of the keyframes alone (largest piece); None when not asked for."""
    notes: list[str]

    @property
    def headline(self) -> ComponentScore:
        """The component with most scored poses."""
        return self.components[0]

    @property
    def alignments(self) -> dict[int, Sim3]:
        """S_reference_estimate of each component that was scored, by its id."""
        return {score.component_id: score.series.alignment.S_ref_est for score in self.components}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: numbers, strings, lists, None; no NaN."""
        return {
            "headline": self.headline.to_dict(),
            "components": [c.to_dict() for c in self.components],
            "unscored_components": list(self.unscored),
            "coverage": asdict(self.coverage),
            "keyframes": None if self.keyframes is None else self.keyframes.to_dict(),
            "max_difference_s": self.max_difference_s,
            "rpe_delta_s": self.rpe_delta_s,
            "notes": list(self.notes),
        }


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
