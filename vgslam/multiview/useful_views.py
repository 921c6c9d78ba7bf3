"""Which other views tell the depth of what a view shows."""

import numpy as np

from vgslam.types import Array, Ids

MIN_FACING = 0.9
"""Least cosine between the optical axes of two views: beyond 26 degrees they share too little of the scene."""


def useful_views(T_world_cam: Array, reference: int, depth: float, baselines: tuple[float, float]) -> Ids:
    """Views of T_world_cam (N,4,4) that look the same way as `reference` from a useful distance, best first. depth: a
    usual one of the reference; baselines: least and largest distance as a share of it, and best is their geometric
    mean."""
    least, most = baselines
    baseline = np.linalg.norm(T_world_cam[:, :3, 3] - T_world_cam[reference, :3, 3], axis=1) / depth
    facing = T_world_cam[:, :3, 2] @ T_world_cam[reference, :3, 2]
    good = (baseline > least) & (baseline < most) & (facing > MIN_FACING)
    off = np.abs(np.log(np.maximum(baseline, 1e-9) / np.sqrt(least * most)))
    order = np.argsort(off, kind="stable")
    return order[good[order]]
