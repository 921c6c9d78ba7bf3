"""Motion averaging: a query's pose from pairwise relative poses without scale.

The late fusion that Reloc3r (arXiv 2412.08376) uses, here with a mean of rotations that is indifferent to the signs of
quaternions: the baseline of relocalization with several references at once.
"""

from dataclasses import dataclass

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.rotation_mean import mean_rotation
from vgslam.geometry.se3 import Array

MAX_CONDITION = 300.0
"""Condition number of the intersection of lines beyond which there is no answer: that of directions within 3.3 deg
(300^-1/2) of one another, which noise of a degree makes of lines that are all the same."""


@dataclass(frozen=True)
class AveragedPose:
    """The pose of a query, averaged from several references."""

    T_world_query: Array | None
    """(4,4); None if the lines do not determine its centre."""
    R_world_query: Array
    """(3,3)."""
    condition: float
    """Condition number of the least-squares problem of the centre, infinite for parallel lines."""
    dispersion: float
    """Root mean square distance of the centre from the lines, in world units; NaN without a centre."""


def intersect_lines(points: Array, directions: Array) -> tuple[Array, float]:
    """The point (3,) nearest to the lines points (K,3) + lambda directions (K,3), sum |(I - d d^T)(x - p)|^2 least,
    and the condition number of its normal equations."""
    d = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    P = np.eye(3) - d[:, :, None] * d[:, None, :]
    A, b = P.sum(axis=0), np.einsum("kij,kj->i", P, points)
    values = np.linalg.eigvalsh(A)
    condition = float(values[-1] / values[0]) if values[0] > 1e-15 * values[-1] else float("inf")
    return np.linalg.lstsq(A, b, rcond=None)[0], condition


def average_motions(T_world_refs: Array, R_refs_query: Array, directions_refs: Array) -> AveragedPose:
    """References T_world_cam (K,4,4); of the query relative to each, rotations R_ref_query (K,3,3) and directions
    (K,3), from the reference's centre to the query's in the reference's axes, of any length > 0. ValueError for no
    references or a direction of no length."""
    if not len(T_world_refs):
        raise ValueError("motion averaging needs references")
    lengths = np.linalg.norm(directions_refs, axis=1)
    if not (lengths > 0).all():
        raise ValueError("motion averaging needs directions of positive length")
    R_refs = T_world_refs[:, :3, :3]
    R = mean_rotation(R_refs @ R_refs_query)
    directions = np.einsum("kij,kj->ki", R_refs, directions_refs / lengths[:, None])
    centres = T_world_refs[:, :3, 3]
    centre, condition = intersect_lines(centres, directions)
    if len(centres) < 2 or condition > MAX_CONDITION:
        return AveragedPose(None, R, condition, float("nan"))
    off = centre - centres
    off = off - np.sum(off * directions, axis=1, keepdims=True) * directions
    dispersion = float(np.sqrt(np.mean(np.sum(off**2, axis=1))))
    return AveragedPose(se3.from_rt(R, centre), R, condition, dispersion)
