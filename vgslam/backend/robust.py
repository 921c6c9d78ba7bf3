"""The full solve that no false loop survives: consistent sets first, then the optimum, then a test of every edge."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vgslam.backend.loop_consistency import chi2_3sigma, consistent_loops
from vgslam.backend.odometry_path import odometry_path
from vgslam.backend.pose_graph import check_graph, optimize
from vgslam.backend.sim3_batch import Sim3Batch
from vgslam.geometry.sim3 import Sim3
from vgslam.types import Array, Edge, EdgeKind

ROUNDS = 6


@dataclass(frozen=True)
class SwitchedOff:
    """A loop or relocalization edge that the graph contradicts; error_sigma: length of its whitened error (7 degrees
    of freedom; 6 where the scale is known) in the graph without it. Off above 4.67 (4.48), the 99.73 % quantile."""

    edge: Edge
    error_sigma: float


@dataclass(frozen=True)
class RobustSolution:
    """nodes: S_world_keyframe; error: GTSAM's error of the edges in use; active and switched_off: what became of the
    edges that are not odometry."""

    nodes: dict[int, Sim3]
    error: float
    active: list[Edge]
    switched_off: list[SwitchedOff]


def edge_errors_sigma(nodes: dict[int, Sim3], edges: Sequence[Edge], is_metric: bool = False) -> Array:
    """Whitened error length (N,) of each edge at the nodes."""
    if not edges:
        return np.zeros(0)
    S_a, S_b = Sim3Batch.of([nodes[e.id_a] for e in edges]), Sim3Batch.of([nodes[e.id_b] for e in edges])
    error = (Sim3Batch.of([e.S_a_b for e in edges]).inverse() @ S_a.inverse() @ S_b).tangent()
    d = 6 if is_metric else 7
    return np.asarray(np.linalg.norm((error / np.array([e.sigmas for e in edges]))[:, :d], axis=1))


def solve_robust(
    nodes: dict[int, Sim3], edges: list[Edge], anchors: set[int], is_metric: bool = False
) -> RobustSolution:
    """Optimum of the odometry and of the loops that can be true together.

    Loops that contradict the odometry or most other loops are left out of the first solve. After it, edges beyond
    3 sigma are switched off, edges within are taken back, and it is solved again until nothing changes. Odometry
    edges are never switched off, nor is an edge that alone holds a keyframe to its anchor. Raises GraphError.
    """
    check_graph(nodes, edges, anchors, is_metric)
    odometry = [e for e in edges if e.kind is EdgeKind.ODOMETRY]
    offered = [e for e in edges if e.kind is not EdgeKind.ODOMETRY]
    holding = _bridges(nodes, odometry, offered)
    limit = np.sqrt(chi2_3sigma(is_metric))
    active = consistent_loops(odometry_path(nodes, odometry), offered, is_metric) | holding
    barred = np.zeros(len(offered), bool)  # off after having been in use: not taken back
    for _ in range(ROUNDS):
        used = odometry + [e for e, on in zip(offered, active, strict=True) if on]
        solved, error = optimize(nodes, used, anchors, 100, is_metric)
        errors = edge_errors_sigma(solved, offered, is_metric)
        off = active & (errors > limit) & ~holding
        back = ~active & ~barred & (errors <= limit)
        if not off.any() and not back.any():
            break
        if off.any():  # the worst ones first: one false edge pushes true ones beyond their limit
            off &= errors > max(limit, 0.5 * errors[off].max())
        barred |= off
        active = (active & ~off) | back
        nodes = solved
    else:
        active &= (errors <= limit) | holding
        used = odometry + [e for e, on in zip(offered, active, strict=True) if on]
        solved, error = optimize(nodes, used, anchors, 100, is_metric)
        errors = edge_errors_sigma(solved, offered, is_metric)
    on = [e for e, use in zip(offered, active, strict=True) if use]
    gone = [SwitchedOff(e, float(x)) for e, use, x in zip(offered, active, errors, strict=True) if not use]
    return RobustSolution(solved, error, on, gone)


def _bridges(nodes: dict[int, Sim3], odometry: list[Edge], offered: list[Edge]) -> np.ndarray:
    """Mask of offered edges that first join two pieces of odometry: without them the graph would fall apart."""
    parent = {n: n for n in nodes}

    def root(n: int) -> int:
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = parent[n]
        return n

    for e in odometry:
        parent[root(e.id_a)] = root(e.id_b)
    holding = np.zeros(len(offered), bool)
    for i, e in enumerate(offered):
        a, b = root(e.id_a), root(e.id_b)
        holding[i] = a != b
        parent[a] = b
    return holding
