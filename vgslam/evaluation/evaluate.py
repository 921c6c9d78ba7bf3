"""Scores of an estimated trajectory against a reference."""

import logging
from dataclasses import dataclass

import numpy as np

from vgslam.errors import EvaluationError, MissingDependencyError
from vgslam.evaluation import relative
from vgslam.evaluation.alignment import Alignment, align, spread
from vgslam.evaluation.association import associate
from vgslam.evaluation.clock import clock_difference
from vgslam.evaluation.conventions import convention_note, same_pose_note
from vgslam.evaluation.coverage import measure_coverage
from vgslam.evaluation.scores import (
    ComponentScore,
    ErrorSeries,
    ErrorStatistics,
    Evaluation,
    line_ate,
    path_length,
    scale_drift,
)
from vgslam.geometry import se3
from vgslam.geometry.rotation_mean import angles_deg, mean_rotation
from vgslam.guards.wording import first_line
from vgslam.types import Array, Ids, Trajectory

logging.getLogger("evo").setLevel(logging.ERROR)


@dataclass(frozen=True)
class EvaluationOptions:
    """How an estimate is compared with a reference."""

    max_difference_s: float | None = None
    """Tolerance of the association in time, in s; None is half the larger median interval, at most 0.02 s."""
    n_frames: int | None = None
    """Frames of the input, for the coverage."""
    frame_timestamps_s: Array | None = None
    """Times (F,) of these frames, in s. With them gaps and losses are exact, without a reference none counts."""
    rpe_delta_s: float = 1.0
    """Interval of the relative pose error, in s."""
    static_extent_m: float = 0.005
    """RMS extent below which the reference is a camera at rest and no scale is estimated, in m."""

    def __post_init__(self) -> None:
        if self.max_difference_s is not None and not self.max_difference_s >= 0:
            raise EvaluationError(f"max_difference_s must be >= 0, got {self.max_difference_s}")
        if not self.rpe_delta_s > 0:
            raise EvaluationError(f"rpe_delta_s must be positive, got {self.rpe_delta_s}")


def require_evo() -> None:
    """Raises MissingDependencyError without evo: it is GPL-3.0 and so an extra, needed by scores alone."""
    try:
        import evo.core.metrics  # noqa: F401
    except ImportError as error:
        why = first_line(error)
        raise MissingDependencyError(f"scoring needs evo (GPL-3.0): pip install 'vgslam[eval]' ({why})") from error


def evaluate(
    estimate: Trajectory, reference: Trajectory, options: EvaluationOptions | None = None,
    keyframes: Trajectory | None = None,
) -> Evaluation:  # fmt: skip
    """Compares an estimate of all frames, and apart from it `keyframes`, with a reference; changes neither. Each
    component is aligned on its own; the headline is the one with most scored poses. Raises EvaluationError when the
    trajectories do not overlap in time or no component has 3 scored poses, MissingDependencyError without evo."""
    require_evo()
    options = options or EvaluationOptions()
    ids_est, ids_ref, tolerance = associate(estimate, reference, options.max_difference_s)
    scores, unscored = _score_components(estimate, reference, ids_est, ids_ref, options)
    if not scores:
        raise EvaluationError("no component of the estimate has 3 poses with a reference; nothing can be scored")
    coverage = measure_coverage(estimate, reference, tolerance, options.n_frames, options.frame_timestamps_s)
    notes = _notes(estimate, len(ids_est), scores, unscored, tolerance)
    mine = estimate.component_ids[ids_est] == scores[0].component_id
    other = convention_note(reference.T_world_cam[ids_ref[mine]], estimate.T_world_cam[ids_est[mine]])
    repeated = same_pose_note(reference.T_world_cam[ids_ref[mine]], estimate.T_world_cam[ids_est[mine]])
    notes += [*coverage.notes(tolerance), *(line for line in (repeated, other) if line is not None)]
    clocks = clock_difference(estimate.of_component(scores[0].component_id), reference)
    notes += [] if clocks is None else [clocks.note()]
    keyframe_score = None
    if keyframes is not None:
        try:
            kf_est, kf_ref, _ = associate(keyframes, reference, tolerance)
            keyframe_scores, _ = _score_components(keyframes, reference, kf_est, kf_ref, options)
            keyframe_score = keyframe_scores[0] if keyframe_scores else None
        except EvaluationError as error:
            notes.append(f"keyframes not scored: {error}")
    return Evaluation(scores, unscored, coverage, tolerance, options.rpe_delta_s, keyframe_score, notes)


def _score_components(
    estimate: Trajectory, reference: Trajectory, ids_est: Ids, ids_ref: Ids, options: EvaluationOptions
) -> tuple[list[ComponentScore], list[int]]:
    """Scores of every component with at least 3 associated poses, largest first, and the ids of the others."""
    scores, unscored = [], []
    for component in np.unique(estimate.component_ids):
        mine = estimate.component_ids[ids_est] == component
        if mine.sum() < 3:
            unscored.append(int(component))
            continue
        scores.append(
            score_poses(
                estimate.timestamps_s[ids_est[mine]], reference.T_world_cam[ids_ref[mine]],
                estimate.T_world_cam[ids_est[mine]], options, int(component),
            )
        )  # fmt: skip
    scores.sort(key=lambda score: (-score.n_poses, score.component_id))
    return scores, unscored


def score_poses(
    timestamps_s: Array, T_ref_cam: Array, T_est_cam: Array, options: EvaluationOptions, component_id: int = 0
) -> ComponentScore:
    """Scores of N >= 3 corresponding poses (N,4,4) at timestamps_s (N,)."""
    p_ref, p_est = T_ref_cam[:, :3, 3], T_est_cam[:, :3, 3]
    is_static = spread(p_ref) < options.static_extent_m
    rigid = align(T_ref_cam, T_est_cam, with_scale=False)
    similar = rigid if is_static else align(T_ref_cam, T_est_cam, with_scale=True)
    series = _error_series(timestamps_s, T_ref_cam, T_est_cam, similar)
    aligned = similar.apply(T_est_cam)
    position = ErrorStatistics.of(series.position_error_m)
    se3_error = position if similar is rigid else ErrorStatistics.of(
        np.linalg.norm(rigid.apply(T_est_cam)[:, :3, 3] - p_ref, axis=1)
    )  # fmt: skip
    length = path_length(p_ref)
    return ComponentScore(
        component_id=component_id, n_poses=len(timestamps_s),
        start_s=float(timestamps_s[0]), end_s=float(timestamps_s[-1]),
        path_length_m=length, turned_deg=_turned_deg(T_ref_cam),
        scale=similar.S_ref_est.s if similar.is_scale_free else None,
        ate_sim3_m=None if is_static else position, ate_se3_m=se3_error,
        ate_percent_of_path=None if is_static else 100.0 * position.rmse / length,
        rotation_ape_deg=ErrorStatistics.of(series.rotation_error_deg),
        rotation_only_ape_deg=ErrorStatistics.of(series.rotation_only_error_deg),
        rpe_frame=relative.relative_error(T_ref_cam, aligned, relative.consecutive_pairs(timestamps_s)),
        rpe_time=relative.relative_error(
            T_ref_cam, aligned, relative.pairs_over_time(timestamps_s, options.rpe_delta_s)
        ),
        kitti=relative.kitti_error(T_ref_cam, aligned),
        centroid_ate_m=spread(p_ref), line_ate_m=line_ate(p_ref),
        scale_drift=None if is_static else scale_drift(p_ref, p_est),
        flags=_flags(is_static, similar, position.rmse, spread(p_ref)), series=series,
    )  # fmt: skip


def _error_series(timestamps_s: Array, T_ref_cam: Array, T_est_cam: Array, alignment: Alignment) -> ErrorSeries:
    """Absolute pose errors by evo, on copies."""
    from evo.core import metrics
    from evo.core.trajectory import PosePath3D

    pair = tuple(PosePath3D(poses_se3=[se3.from_rt(se3.orthonormalize(T[:3, :3]), T[:3, 3]) for T in poses])
                 for poses in (T_ref_cam, alignment.apply(T_est_cam)))  # fmt: skip
    errors = []
    for relation in (metrics.PoseRelation.translation_part, metrics.PoseRelation.rotation_angle_deg):
        ape = metrics.APE(relation)
        ape.process_data(pair)
        errors.append(np.asarray(ape.error, np.float64))
    by_rotations = _rotation_only_errors_deg(T_ref_cam, T_est_cam)
    return ErrorSeries(alignment, timestamps_s.copy(), errors[0], errors[1], by_rotations)


def _rotation_only_errors_deg(T_ref_cam: Array, T_est_cam: Array) -> Array:
    R_ref, R_est = T_ref_cam[:, :3, :3], T_est_cam[:, :3, :3]
    R = mean_rotation(R_ref @ np.swapaxes(R_est, 1, 2))
    return angles_deg(np.swapaxes(R_ref, 1, 2) @ R @ R_est)


def _turned_deg(T: Array) -> float:
    R = T[:, :3, :3]
    return float(angles_deg(np.swapaxes(R[:-1], 1, 2) @ R[1:]).sum())


def _flags(is_static: bool, alignment: Alignment, ate_m: float, centroid_m: float) -> list[str]:
    flags = []
    if is_static:
        flags.append("static reference: no scale is observable, ATE is after SE(3) and in the estimate's unit")
    elif not alignment.is_scale_free:
        flags.append("the estimate has no extent: no scale can be fitted")
    elif ate_m >= 0.5 * centroid_m:
        flags.append("not clearly better than a camera that never moves: the ATE means little here")
    if alignment.is_from_orientations:
        flags.append("positions on a line or in one point: aligned by the orientations too")
    return flags


def _notes(
    estimate: Trajectory, n_scored: int, scores: list[ComponentScore], unscored: list[int], tolerance_s: float
) -> list[str]:
    notes = []
    if n_scored < len(estimate):
        notes.append(f"{len(estimate) - n_scored} of {len(estimate)} poses have no reference within {tolerance_s:.4g} "
                     "s (--max-difference sets that)")  # fmt: skip
    if len(scores) + len(unscored) > 1:
        notes.append(f"{len(scores) + len(unscored)} components, each aligned on its own; the headline is the largest, "
                     f"{scores[0].n_poses} of {n_scored} scored poses")  # fmt: skip
    best = scores[0]
    if estimate.is_metric and best.ate_sim3_m is not None and best.scale is not None:
        notes.append(
            f"the estimate is in metres: ATE {best.ate_se3_m.rmse:.4g} m as it is (SE(3)), {best.ate_sim3_m.rmse:.4g} "
            f"m with the best scale (Sim(3)); its lengths are {100 * (1 / best.scale - 1):+.2f} % off"
        )
    if unscored:
        notes.append(f"components with fewer than 3 scored poses, not scored: {', '.join(map(str, unscored))}")
    return notes
