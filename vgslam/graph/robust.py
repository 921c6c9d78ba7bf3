"""The full solve that no false loop survives: consistent sets first, then the optimum, then a test of every edge."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vgslam.geometry.sim3 import Sim3
from vgslam.graph.loop_consistency import chi2_3sigma, consistent_loops
from vgslam.graph.odometry_path import OdometryPath, odometry_path
from vgslam.graph.piece_ties import choose_ties, holding_ties
from vgslam.graph.pose_graph import check_graph, optimize
from vgslam.graph.sim3_batch import Sim3Batch
from vgslam.graph.tie_tree import outward
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Edge, EdgeKind

ROUNDS = 6  # of solving and testing at most
SOLVER_STEPS = 100  # of one solve at most
WORST_SHARE = 0.5  # edges off by less than this share of the worst stay for the next round: it may be the worst's doing
FAR_SIGMA = 20.0  # error of a tie beyond which a piece is moved as a whole before the solve


@dataclass(frozen=True)
class SwitchedOff:
    """A loop or relocalization edge that the graph contradicts."""

    edge: Edge
    error_sigma: float
    """Length of its whitened error (7 degrees of freedom; 6 where the scale is known) in the graph without it. The edge
    is off above 4.67 (4.48), the 99.73 % quantile."""
    is_tie: bool = False
    """Whether it lies between pieces that no odometry joins."""


@dataclass(frozen=True)
class RobustSolution:
    """The solution of a graph without the edges that contradict it."""

    nodes: dict[int, Sim3]  # S_world_keyframe of each keyframe
    error: float  # GTSAM's error of the edges in use
    active: list[Edge]  # the edges in use that are not odometry
    switched_off: list[SwitchedOff]  # the other edges that are not odometry


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
    edges are never switched off. Of the ties between pieces that no odometry joins, the most that agree are taken,
    whatever their order; one is never switched off while nothing else joins its pieces. Raises GraphError.
    """
    check_graph(nodes, edges, anchors, is_metric)
    odometry = [e for e in edges if e.kind is EdgeKind.ODOMETRY]
    offered = [e for e in edges if e.kind is not EdgeKind.ODOMETRY]
    limit = np.sqrt(chi2_3sigma(is_metric))
    ties = _Ties(odometry_path(nodes, odometry), offered, is_metric)
    active, nodes = ties.begin(nodes, anchors)
    barred = np.zeros(len(offered), bool)  # off after having been in use: not taken back
    for _ in range(ROUNDS):
        used = odometry + [e for e, on in zip(offered, active, strict=True) if on]
        solved, error = optimize(nodes, used, anchors, SOLVER_STEPS, is_metric)
        errors = edge_errors_sigma(solved, offered, is_metric)
        off = active & (errors > limit) & ~ties.holding(active, errors)
        back = ~active & ~barred & (errors <= limit)
        if not off.any() and not back.any():
            break
        if off.any():  # the worst ones first: one false edge pushes true ones beyond their limit
            off &= errors > max(limit, WORST_SHARE * errors[off].max())
        barred |= off
        active = (active & ~off) | back
        nodes = solved
    else:
        active &= (errors <= limit) | ties.holding(active, errors)
        used = odometry + [e for e, on in zip(offered, active, strict=True) if on]
        solved, error = optimize(nodes, used, anchors, SOLVER_STEPS, is_metric)
        errors = edge_errors_sigma(solved, offered, is_metric)
    on = [e for e, use in zip(offered, active, strict=True) if use]
    gone = [
        SwitchedOff(e, float(x), not ties.path.joins(e))
        for e, use, x in zip(offered, active, errors, strict=True) if not use
    ]  # fmt: skip
    return RobustSolution(solved, error, on, gone)


class _Ties:
    """The offered edges that lie between pieces of odometry, among all that are offered."""

    def __init__(self, path: OdometryPath, offered: list[Edge], is_metric: bool) -> None:
        self.path, self._offered, self._is_metric = path, offered, is_metric
        self._at = np.array([i for i, e in enumerate(offered) if not path.joins(e)], np.int64)

    def begin(self, nodes: dict[int, Sim3], anchors: set[int]) -> tuple[np.ndarray, dict[int, Sim3]]:
        """Mask (N,) of the edges to begin with, and the nodes with each piece near where its ties say."""
        active = consistent_loops(self.path, self._offered, self._is_metric)
        if not len(self._at):
            return active, nodes
        choice = choose_ties(self.path, [self._offered[i] for i in self._at], self._is_metric)
        if not choice.is_kept.all():
            active[self._at] = choice.is_kept
        active[self._at[choice.tree]] = True
        return active, self._placed(nodes, [self._offered[self._at[i]] for i in choice.tree], anchors)

    def _placed(self, nodes: dict[int, Sim3], tree: list[Edge], anchors: set[int]) -> dict[int, Sim3]:
        """Pieces that are far from where their tie says are moved as a whole: the solver would not converge to it."""
        nodes = dict(nodes)
        for hanging in outward(self.path, tree, anchors):
            if edge_errors_sigma(nodes, [hanging.tie], self._is_metric)[0] > FAR_SIGMA:
                move, piece = hanging.move(nodes), self.path.piece_of(hanging.keyframe_id)
                nodes |= {n: move @ S for n, S in nodes.items() if self.path.piece_of(n) == piece and n not in anchors}
        return nodes

    def holding(self, active: np.ndarray, errors: Array) -> np.ndarray:
        """Mask (N,) of the edges in use without which the graph would fall apart: those of least error that join."""
        holding = np.zeros(len(active), bool)
        used = self._at[active[self._at]]
        used = used[np.argsort(errors[used], kind="stable")]
        holding[used] = holding_ties(self.path, [self._offered[i] for i in used])
        return holding


@dataclass(frozen=True)
class MapSolution:
    """The outcome of optimising a map."""

    error: float  # GTSAM's remaining error
    switched_off: list[SwitchedOff]  # loops and relocalizations that the graph contradicts


def optimize_map(slam_map: SlamMap, is_metric: bool = False) -> MapSolution:
    """Robust solve of every component's keyframes over their edges, the first keyframe of each held. Landmarks and
    frames follow their keyframes. Components without edges stay as they are; the edges of the map stay too, also those
    that are switched off. Raises GraphError."""
    error, switched_off = 0.0, []
    component = np.array([k.component_id for k in slam_map.keyframes], np.int64)
    for c in np.unique(component):
        members = set(np.flatnonzero(component == c).tolist())
        edges = [e for e in slam_map.edges.values() if e.id_a in members]
        if not edges:
            continue
        nodes = {k: slam_map.keyframes[k].S_world_keyframe for k in members}
        solution = solve_robust(nodes, edges, {min(members)}, is_metric)
        for k, S in solution.nodes.items():
            slam_map.set_pose(k, S)
        error += solution.error
        switched_off += solution.switched_off
    return MapSolution(error, switched_off)
