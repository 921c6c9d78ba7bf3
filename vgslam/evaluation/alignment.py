"""Alignment of an estimate with its reference, also where the positions alone do not determine it."""

from dataclasses import dataclass

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.robust_similarity import line_ratio
from vgslam.geometry.sim3 import Sim3
from vgslam.types import Array

# Second singular value of the positions over the first, below which the rotation about the line is noise.
LINE_RATIO = 1e-6


@dataclass(frozen=True)
class Alignment:
    """How an estimate is aligned to the reference."""

    S_ref_est: Sim3
    """Takes the estimate to the reference."""
    is_scale_free: bool
    """Whether the scale was estimated."""
    is_from_orientations: bool = False
    """Set if positions on a line or in one point leave the rotation, or a part of it, to the orientations."""

    def apply(self, T_est_cam: Array) -> Array:
        """Poses (N,4,4) of the estimate -> (N,4,4) in the frame and unit of the reference."""
        return self.S_ref_est.compose_poses(T_est_cam)


def spread(points: Array) -> float:
    """RMS distance of points (N,3) from their centroid."""
    return float(np.sqrt(((points - points.mean(0)) ** 2).sum(1).mean()))


def best_scale(points_ref: Array, points_est: Array) -> float | None:
    """Scale of the best similarity est -> ref (Umeyama, PAMI 1991, eq. 42), defined for collinear points too. None if
    the estimate or the reference has no extent."""
    a, b = points_ref - points_ref.mean(0), points_est - points_est.mean(0)
    U, D, Vt = np.linalg.svd(a.T @ b)
    D = D * np.array([1.0, 1.0, np.sign(np.linalg.det(U @ Vt)) or 1.0])
    variance = float((b * b).sum())
    scale = float(D.sum()) / variance if variance > 0 else 0.0
    return scale if np.isfinite(scale) and scale > 0 else None


def align(T_ref_cam: Array, T_est_cam: Array, with_scale: bool) -> Alignment:
    """Least-squares alignment of N corresponding poses (N,4,4), N >= 3. Umeyama's on the positions (evo); when these
    are collinear or coincident in either trajectory, the orientations fix what they leave open. Without extent no scale
    is estimated."""
    from evo.core.geometry import GeometryException, umeyama_alignment

    p_ref, p_est = T_ref_cam[:, :3, 3].copy(), T_est_cam[:, :3, 3].copy()
    if min(line_ratio(p_ref), line_ratio(p_est)) > LINE_RATIO:
        try:
            R, t, s = umeyama_alignment(p_est.T, p_ref.T, with_scale)
            return Alignment(Sim3(se3.orthonormalize(R), t, s), with_scale)
        except (GeometryException, ValueError):  # the rank is lost in the product only
            pass
    # Positions (unit spread) outweigh the orientations, which decide only what the positions do not.
    orientations = (T_ref_cam[:, :3, :3] @ np.swapaxes(T_est_cam[:, :3, :3], 1, 2)).mean(0)
    size = spread(p_ref) * spread(p_est)
    positions = (p_ref - p_ref.mean(0)).T @ (p_est - p_est.mean(0)) / (len(p_ref) * size) if size > 0 else 0.0
    R = se3.orthonormalize(positions + 1e-6 * orientations)
    scale = best_scale(p_ref, p_est) if with_scale else None
    t = p_ref.mean(0) - (scale or 1.0) * R @ p_est.mean(0)
    return Alignment(Sim3(R, t, scale or 1.0), scale is not None, is_from_orientations=True)
