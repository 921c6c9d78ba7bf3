"""A pose graph over Sim(3) that measured positions of keyframes bend: drift goes, the shape between them stays."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import gtsam
import numpy as np

from vgslam.errors import GraphError
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.pose_graph import HUBER_SIGMAS, check_graph, from_gtsam, to_gtsam
from vgslam.graph.robust import edge_errors_sigma
from vgslam.types import Array, Edge, EdgeKind

N_ROUNDS = 4  # times that the positions are linearised anew; the rotations hardly change after the first
LOOSE = 1e3  # deviation of what a position does not measure: rotation (rad) and log-scale of its keyframe
ROLL_SIGMA = 1e-3  # deviation of a held roll (rad): it stays what it was
MAX_STEPS = 30
MAX_EDGE_SIGMAS = 5.0
"""An edge that the map contradicts by more than this is out of use, and says nothing about its shape."""


@dataclass(frozen=True)
class PositionFix:
    """The measured position of a keyframe, in world units."""

    keyframe_id: int
    position: Array  # (3,)
    sigmas: Array  # (3,)


@dataclass(frozen=True)
class HeldRoll:
    """A keyframe whose rotation about an axis, a unit vector (3,) of the world, stays: positions on a straight line
    leave that open."""

    keyframe_id: int
    axis: Array


def bend(
    nodes: dict[int, Sim3], edges: Sequence[Edge], fixes: Sequence[PositionFix], held: HeldRoll | None = None
) -> dict[int, Sim3]:
    """Nodes S_world_keyframe whose positions follow the fixes, as far as both deviations allow.

    nodes are already in the frame of the fixes. Their present relative poses, with the edges' deviations, are what
    holds them together, so that a shape which was adjusted beyond its edges is kept. A position becomes a prior on its
    keyframe that is loose in rotation and scale, t = (0, R^T (t_w - p) / s, 0) in the keyframe's axes, robust (Huber),
    and linearised again at each round. Raises GraphError for no fix, nodes that no edge joins, or divergence.
    """
    if not fixes:
        raise GraphError("no position to bend the graph by")
    shape = _as_they_lie(nodes, edges)
    check_graph(nodes, shape, {fixes[0].keyframe_id})
    rolls = [] if held is None else [_roll_prior(nodes[held.keyframe_id], held)]
    solved = nodes
    for _ in range(N_ROUNDS):
        solved = _round(solved, shape, fixes, rolls)
    return solved


def _as_they_lie(nodes: dict[int, Sim3], edges: Sequence[Edge]) -> list[Edge]:
    """Edges in use, measuring what is: the relative poses of the nodes."""
    inside = [e for e in edges if e.id_a in nodes and e.id_b in nodes]
    if not inside:
        raise GraphError("no edge joins the keyframes")
    errors = edge_errors_sigma(nodes, inside)
    limit = MAX_EDGE_SIGMAS * np.sqrt(7.0)
    return [
        replace(e, S_a_b=nodes[e.id_a].inverse() @ nodes[e.id_b])
        for e, error in zip(inside, errors, strict=True) if error < limit or e.kind is EdgeKind.ODOMETRY
    ]  # fmt: skip


def _roll_prior(S: Sim3, held: HeldRoll) -> gtsam.NonlinearFactor:
    """A prior that is tight in the rotation about the axis, and loose in all else."""
    axis = S.R.T @ held.axis
    C = np.eye(7) * LOOSE**2
    C[:3, :3] = LOOSE**2 * (np.eye(3) - np.outer(axis, axis)) + ROLL_SIGMA**2 * np.outer(axis, axis)
    noise = gtsam.noiseModel.Gaussian.Covariance(C)
    return gtsam.PriorFactorSimilarity3(held.keyframe_id, to_gtsam(S), noise)


def _round(
    nodes: dict[int, Sim3], edges: Sequence[Edge], fixes: Sequence[PositionFix],
    rolls: Sequence[gtsam.NonlinearFactor],
) -> dict[int, Sim3]:  # fmt: skip
    graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
    for n, S in nodes.items():
        values.insert(n, to_gtsam(S))
    for e in edges:
        noise = gtsam.noiseModel.Diagonal.Sigmas(e.sigmas)
        graph.add(gtsam.BetweenFactorSimilarity3(e.id_a, e.id_b, to_gtsam(e.S_a_b), noise))
    for prior in rolls:
        graph.add(prior)
    for fix in fixes:
        S = nodes[fix.keyframe_id]
        graph.add(gtsam.PriorFactorSimilarity3(fix.keyframe_id, to_gtsam(replace(S, t=fix.position)), _noise(S, fix)))
    parameters = gtsam.LevenbergMarquardtParams()
    parameters.setMaxIterations(MAX_STEPS)
    try:
        result = gtsam.LevenbergMarquardtOptimizer(graph, values, parameters).optimize()
        return {n: from_gtsam(result.atSimilarity3(n)) for n in nodes}
    except (RuntimeError, ValueError, np.linalg.LinAlgError) as error:
        raise GraphError(f"the graph with positions diverged ({str(error).splitlines()[0]})") from error


def _noise(S: Sim3, fix: PositionFix) -> gtsam.noiseModel.Base:
    """Deviations of the fix in the axes and units of its keyframe."""
    C = np.eye(7) * LOOSE**2
    C[3:6, 3:6] = S.R.T @ np.diag(fix.sigmas**2) @ S.R / S.s**2
    huber = gtsam.noiseModel.mEstimator.Huber.Create(HUBER_SIGMAS)
    return gtsam.noiseModel.Robust.Create(huber, gtsam.noiseModel.Gaussian.Covariance(C))
