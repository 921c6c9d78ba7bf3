"""Pose graph over Sim(3) keyframes, optimised by GTSAM.

GTSAM's Similarity3 acts as s (R p + t), ours as s R p + t: the translation is divided by the scale on the way in and
multiplied on the way out. That conversion is here and nowhere else. Tangent order of GTSAM: rotation, translation,
log-scale.
"""

import gtsam
import numpy as np

from vgslam.errors import GraphError
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.types import Edge, EdgeKind


def to_gtsam(S: Sim3) -> gtsam.Similarity3:
    return gtsam.Similarity3(gtsam.Rot3(S.R), S.t / S.s, S.s)


def from_gtsam(S: gtsam.Similarity3) -> Sim3:
    scale = float(S.scale())
    return Sim3(se3.orthonormalize(S.rotation().matrix()), np.asarray(S.translation()) * scale, scale)


def check_graph(nodes: dict[int, Sim3], edges: list[Edge], anchors: set[int]) -> None:
    """Raises GraphError when there is nothing to optimise, a number is not finite, an anchor or an edge names an
    unknown node, or a node hangs on no anchor."""
    if not nodes or not edges:
        raise GraphError("pose graph has no nodes or no edges")
    if not anchors:
        raise GraphError("pose graph has no anchored node: its gauge is free")
    unknown = anchors - set(nodes)
    if unknown:
        raise GraphError(f"anchor {min(unknown)} is not a keyframe of the graph")
    for name, S in [(f"keyframe {n}", S) for n, S in nodes.items()] + [
        (f"edge {e.id_a}-{e.id_b}", e.S_a_b) for e in edges
    ]:
        if not np.isfinite(S.matrix()).all():
            raise GraphError(f"{name} holds a number that is not finite")
    parent = {n: n for n in nodes}

    def root(n: int) -> int:
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = parent[n]
        return n

    for e in edges:
        if e.id_a not in nodes or e.id_b not in nodes:
            raise GraphError(f"edge {e.id_a}-{e.id_b} names a keyframe that is not in the graph")
        parent[root(e.id_a)] = root(e.id_b)
    anchored = {root(a) for a in anchors}
    loose = [n for n in nodes if root(n) not in anchored]
    if loose:
        raise GraphError(f"pose graph is disconnected: keyframe {loose[0]} and {len(loose) - 1} more hang on no anchor")


def optimize(
    nodes: dict[int, Sim3], edges: list[Edge], anchors: set[int], max_iterations: int = 20
) -> tuple[dict[int, Sim3], float]:
    """Maximum-likelihood nodes S_world_keyframe given relative measurements; returns them and the final error.

    Anchored nodes do not move. Edges that are not odometry carry a Huber kernel. Raises GraphError (check_graph).
    """
    check_graph(nodes, edges, anchors)
    graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
    for n, S in nodes.items():
        values.insert(n, to_gtsam(S))
    for n in anchors:
        graph.add(gtsam.PriorFactorSimilarity3(n, to_gtsam(nodes[n]), gtsam.noiseModel.Isotropic.Sigma(7, 1e-6)))
    for e in edges:
        noise: gtsam.noiseModel.Base = gtsam.noiseModel.Diagonal.Sigmas(e.sigmas)
        if e.kind is not EdgeKind.ODOMETRY:
            noise = gtsam.noiseModel.Robust.Create(gtsam.noiseModel.mEstimator.Huber.Create(3.0), noise)
        graph.add(gtsam.BetweenFactorSimilarity3(e.id_a, e.id_b, to_gtsam(e.S_a_b), noise))
    parameters = gtsam.LevenbergMarquardtParams()
    parameters.setMaxIterations(max_iterations)
    try:
        result = gtsam.LevenbergMarquardtOptimizer(graph, values, parameters).optimize()
        solved = {n: from_gtsam(result.atSimilarity3(n)) for n in nodes}  # ValueError where not finite
    except (RuntimeError, ValueError, np.linalg.LinAlgError) as error:
        raise GraphError(f"pose graph optimisation diverged ({str(error).splitlines()[0]})") from error
    return solved, float(graph.error(result))
