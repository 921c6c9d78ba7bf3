"""Whether the outcome of an adjustment may replace the map."""

import numpy as np

from vgslam.geometry import se3
from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import Adjusted
from vgslam.refine.apply import Aligned
from vgslam.refine.problem import Problem
from vgslam.types import Array, EdgeKind

FAR_SIGMAS, FAR_SHARE = 4.0, 0.1
"""The outcome is refused if more than this share of the steps between keyframes changes by more than this many of the
deviations that the pose graph grants them."""
EXTREME_SIGMAS = 40.0
"""No step may change by more."""
LEAST_STEP_SIGMA = 0.01
"""Least deviation of a step's position, as a share of the median depth: edges grant a share of their length, which says
nothing where the camera hardly moved, or where tracking thought so."""
FOCAL_RANGE = (0.6, 1.67)
"""Range of the change of a focal length that is believed."""
LARGEST_K1 = 0.5
"""Radial distortion beyond which the lens would fold the image over within a usual field of view."""


def why_refused(slam_map: SlamMap, done: Adjusted, placed: Aligned) -> str:
    """A reason why the outcome is not used, empty if there is none."""
    a, b = done.before, placed.problem
    if not (np.isfinite(b.T_cam_world).all() and np.isfinite(b.points[b.has_point]).all()):
        return "the adjustment did not come to a finite end"
    if not FOCAL_RANGE[0] < b.camera.fx / a.camera.fx < FOCAL_RANGE[1] or abs(b.k1) > LARGEST_K1:
        return f"the focal length would become {b.camera.fx:.0f} px and the distortion {b.k1:.2f}"
    both = a.is_active() & b.is_active()
    if not both.any() or robust_mean(b.errors_px()[both]) > robust_mean(a.errors_px()[both]):
        return "the reprojection error would grow"
    change = step_changes(slam_map, b, placed.depth_ratio)
    if len(change) and ((change > FAR_SIGMAS).mean() > FAR_SHARE or change.max() > EXTREME_SIGMAS):
        return (
            f"{100 * (change > FAR_SIGMAS).mean():.0f} % of the steps between keyframes would change by more than "
            f"{FAR_SIGMAS:.0f} deviations, the largest by {change.max():.0f}"
        )
    return ""


def robust_mean(error_px: Array) -> float:
    """Mean soft-L1 loss at 1 px of errors (n,); infinite ones count as 100 px."""
    e = np.where(np.isfinite(error_px), error_px, 100.0)
    return float((2.0 * (np.sqrt(1.0 + e**2) - 1.0)).mean())


def step_changes(slam_map: SlamMap, after: Problem, depth_ratio: Array) -> Array:
    """Changes of the steps between neighbouring keyframes, (n,): the largest component of each, in deviations of its
    edge."""
    index = {k: n for n, k in enumerate(after.keyframe_ids.tolist())}
    T = after.T_world_cam()
    z = after.local_points()[after.is_active(), 2]
    floor = LEAST_STEP_SIGMA * float(np.median(z)) if len(z) else 0.0
    found = []
    for edge in slam_map.edges.values():
        a, b = index.get(edge.id_a), index.get(edge.id_b)
        if edge.kind is not EdgeKind.ODOMETRY or a is None or b is None or b != a + 1:
            continue
        S_a, S_b = (slam_map.keyframes[k].S_world_keyframe for k in (edge.id_a, edge.id_b))
        old = S_a.inverse() @ S_b
        step = se3.inverse(T[a]) @ T[b]
        step[:3, 3] /= S_a.s * depth_ratio[a]
        log = np.array([
            *se3.so3_log(old.R.T @ step[:3, :3]), *(step[:3, 3] - old.t), np.log(depth_ratio[b] / depth_ratio[a]),
        ])  # fmt: skip
        sigmas = edge.sigmas.copy()
        sigmas[3:6] = np.maximum(sigmas[3:6], floor / S_a.s)
        found.append(float(np.abs(log / sigmas).max()))
    return np.array(found)
