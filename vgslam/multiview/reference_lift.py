"""The pose of a query in the world of its references, from its poses in a network's own frame.

Direct: the query's pose relative to the anchor times the scale that the network's input was divided by. By consensus:
each reference, known in both frames, lifts the query into the world, and the lifts are averaged (as RIC-Loc, arXiv
2607.04722, does on plain VGGT); needs no training, and the spread of the lifts says how far it can be trusted.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgslam.geometry import se3
from vgslam.geometry.rotation_mean import robust_mean_rotation
from vgslam.geometry.se3 import Array

_DISTINCT = 1e-9
"""Distances of centres below this share of the largest one count as none."""


def direct_pose(T_query_anchor: Array, scale: float, T_world_anchor: Array) -> Array:
    """T_world_query (4,4) of a query whose pose relative to the anchor has translations in units of `scale` (units of
    the world per unit of the network)."""
    T = np.array(T_query_anchor, np.float64)
    T[:3, 3] *= scale
    return T_world_anchor @ se3.inverse(T)


@dataclass(frozen=True)
class LiftedPose:
    """The pose of a query, placed in the world by its references."""

    T_world_query: Array
    """(4,4). Its translation is NaN where the scale is unobservable (fewer than two references with distinct centres):
    only the rotation is known then."""
    scale: float
    """World units per network unit; NaN where unobservable."""
    dispersion: float
    """Weighted root mean square distance of the lifted centres from their mean, in world units."""
    used: npt.NDArray[np.bool_]
    """(K,): references that agree in rotation."""
    weights: Array
    """(K,): weights of their centres, sum 1."""

    @property
    def is_scale_unobservable(self) -> bool:
        return not np.isfinite(self.scale)


def lift(T_local_refs: Array, T_local_query: Array, T_world_refs: Array) -> LiftedPose:
    """Consensus over K references: T_local_cam of references (K,4,4) and query (4,4) as the network says, in any unit,
    and T_world_cam (K,4,4) of the references. Any similarity of either frame moves the answer with it. ValueError for
    no references, shapes that do not fit, or poses that are not finite."""
    if not len(T_local_refs) or T_local_refs.shape != T_world_refs.shape:
        raise ValueError(f"references: {T_local_refs.shape} local and {T_world_refs.shape} world poses")
    if not (np.isfinite(T_local_refs).all() and np.isfinite(T_world_refs).all() and np.isfinite(T_local_query).all()):
        raise ValueError("poses to be lifted must be finite")
    turn = T_world_refs[:, :3, :3] @ np.swapaxes(T_local_refs[:, :3, :3], 1, 2)  # R_world_local by each reference
    rotations = turn @ T_local_query[:3, :3]
    R, used = robust_mean_rotation(rotations)
    scale = _scale(T_local_refs[:, :3, 3], T_world_refs[:, :3, 3], used)
    offset = np.einsum("kij,kj->ki", turn, T_local_query[:3, 3] - T_local_refs[:, :3, 3])
    weights = np.zeros(len(used))
    if not np.isfinite(scale):
        return LiftedPose(se3.from_rt(R, np.full(3, np.nan)), scale, np.nan, used, weights)
    centres = (T_world_refs[:, :3, 3] + scale * offset)[used]
    centre, weights[used] = student_t_mean(centres)
    dispersion = float(np.sqrt(weights[used] @ np.sum((centres - centre) ** 2, axis=1)))
    return LiftedPose(se3.from_rt(R, centre), scale, dispersion, used, weights)


def _scale(local: Array, world: Array, used: npt.NDArray[np.bool_]) -> float:
    """Median ratio of the distances between centres (K,3), world to local, over pairs of used references; NaN for
    none with distinct centres."""
    a, b = np.triu_indices(int(used.sum()), k=1)
    ours = np.linalg.norm(local[used][a] - local[used][b], axis=1)
    theirs = np.linalg.norm(world[used][a] - world[used][b], axis=1)
    if not len(a):
        return float("nan")
    size_local, size_world = 1e-3 * np.abs(local).max(), 1e-3 * np.abs(world).max()
    distinct = (ours > _DISTINCT * max(ours.max(), size_local)) & (theirs > _DISTINCT * max(theirs.max(), size_world))
    return float(np.median(theirs[distinct] / ours[distinct])) if distinct.any() else float("nan")


_DOF = 5.0
_MAX_ITERATIONS = 100


def geometric_median(points: Array, n_iterations: int = 50) -> Array:
    """Point (3,) with the least sum of distances from points (N,3), by Weiszfeld's iteration."""
    x: Array = np.median(points, axis=0)
    for _ in range(n_iterations):
        w = 1.0 / np.maximum(np.linalg.norm(points - x, axis=1), 1e-12 * (1.0 + np.abs(points).max()))
        x = w @ points / w.sum()
    return x


def student_t_mean(points: Array, dof: float = _DOF) -> tuple[Array, Array]:
    """Mean (3,) of points (N,3) under an isotropic Student-t distribution, and the points' weights (N,), of sum 1.
    Expectation maximisation (Liu and Rubin, Statistica Sinica 1995) from the geometric median; equal points give
    themselves. ValueError for none."""
    if not len(points):
        raise ValueError("mean of no points")
    x = geometric_median(points)
    extent = float(np.linalg.norm(points - x, axis=1).max())
    variance = float(np.median(np.sum((points - x) ** 2, axis=1))) / 3.0
    weights = np.full(len(points), 1.0 / len(points))
    floor = (1e-12 * (extent + np.abs(points).max())) ** 2 + 1e-300
    for _ in range(_MAX_ITERATIONS):
        squared = np.sum((points - x) ** 2, axis=1)
        w = (dof + 3.0) / (dof + squared / max(variance, floor))
        variance = float(w @ squared) / (3.0 * len(points))
        weights = w / w.sum()
        moved = weights @ points
        is_done = np.linalg.norm(moved - x) <= 1e-13 * (extent + 1e-300)
        x = moved
        if is_done:
            break
    return x, weights
