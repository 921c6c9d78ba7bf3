"""Relative pose errors: over a frame, over a time, and KITTI's over 100 to 800 m of path."""

from dataclasses import dataclass

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.rotation_mean import angles_deg
from vgslam.types import Array, Ids

KITTI_LENGTHS_M = (100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 800.0)
KITTI_START_STEP = 10


@dataclass(frozen=True)
class RelativeError:
    """RPE over n_pairs pose pairs: translation in the reference's unit, rotation in degrees."""

    n_pairs: int
    translation_rmse_m: float
    translation_mean_m: float
    rotation_rmse_deg: float
    rotation_mean_deg: float
    translation_max_m: float


@dataclass(frozen=True)
class KittiError:
    """KITTI odometry errors averaged over n_segments segments of 100 to 800 m."""

    n_segments: int
    translation_percent: float
    rotation_deg_per_100m: float


def relative_errors(T_ref_cam: Array, T_est_cam: Array, pairs: Ids) -> tuple[Array, Array]:
    """Translation (M,) and rotation in degrees (M,) of the relative pose errors of pairs (M,2). E = (Q_i^-1 Q_j)^-1
    (P_i^-1 P_j) with reference Q and estimate P (Sturm et al., IROS 2012, eq. 2)."""
    i, j = pairs[:, 0], pairs[:, 1]
    Q = se3.inverse(T_ref_cam[i]) @ T_ref_cam[j]
    P = se3.inverse(T_est_cam[i]) @ T_est_cam[j]
    E = se3.inverse(Q) @ P
    return np.linalg.norm(E[:, :3, 3], axis=1), angles_deg(E[:, :3, :3])


def consecutive_pairs(timestamps_s: Array) -> Ids:
    """Pairs (M,2) of poses one frame apart: gaps of more than 1.5 median intervals are not bridged."""
    dt = np.diff(timestamps_s)
    i = np.flatnonzero(dt <= 1.5 * np.median(dt)) if len(dt) else np.zeros(0, np.int64)
    return np.stack([i, i + 1], axis=1)


def pairs_over_time(timestamps_s: Array, delta_s: float) -> Ids:
    """Pairs (M,2) of a pose and that nearest to delta_s later, within half a median interval and a quarter of delta_s
    of it."""
    t = timestamps_s
    if len(t) < 2:
        return np.zeros((0, 2), np.int64)
    tolerance = min(0.5 * float(np.median(np.diff(t))), 0.25 * delta_s)
    after = np.clip(np.searchsorted(t, t + delta_s), 1, len(t) - 1)
    j = np.where(np.abs(t[after - 1] - t - delta_s) <= np.abs(t[after] - t - delta_s), after - 1, after)
    i = np.arange(len(t))
    ok = (np.abs(t[j] - t - delta_s) <= tolerance * (1 + 1e-9)) & (j > i)
    return np.stack([i[ok], j[ok]], axis=1)


def relative_error(T_ref_cam: Array, T_est_cam: Array, pairs: Ids) -> RelativeError | None:
    """Statistics over `pairs` (M,2), the estimate already in the reference's unit; None without pairs."""
    if not len(pairs):
        return None
    translation, rotation = relative_errors(T_ref_cam, T_est_cam, pairs)
    return RelativeError(
        len(pairs),
        float(np.sqrt((translation**2).mean())), float(translation.mean()),
        float(np.sqrt((rotation**2).mean())), float(rotation.mean()),
        float(translation.max()),
    )  # fmt: skip


def kitti_error(T_ref_cam: Array, T_est_cam: Array) -> KittiError | None:
    """KITTI's t_rel and r_rel (Geiger et al., CVPR 2012, section 3.2): means over all segments of all lengths. Segments
    start at every tenth pose and end at the first pose at least the length further along the reference's path; each
    error is divided by the length. None when the path is shorter than 100 m."""
    steps = np.linalg.norm(np.diff(T_ref_cam[:, :3, 3], axis=0), axis=1)
    distance = np.concatenate([[0.0], np.cumsum(steps)])
    translation, rotation = [], []
    for length in KITTI_LENGTHS_M:
        start = np.arange(0, len(distance), KITTI_START_STEP)
        end = np.searchsorted(distance, distance[start] + length - 1e-9)
        pairs = np.stack([start, end], axis=1)[end < len(distance)]
        if not len(pairs):
            continue
        error_m, error_deg = relative_errors(T_ref_cam, T_est_cam, pairs)
        translation.append(error_m / length)
        rotation.append(error_deg / length)
    if not translation:
        return None
    t, r = np.concatenate(translation), np.concatenate(rotation)
    return KittiError(len(t), float(100.0 * t.mean()), float(100.0 * r.mean()))
