"""Pose graph over Sim(3) keyframes, or SE(3) ones where the scale is known, solved in one batch by GTSAM.

GTSAM's Similarity3 acts as s (R p + t), ours as s R p + t: the translation is divided by the scale on the way in and
multiplied on the way out. That conversion is here and nowhere else. Tangent order of GTSAM: rotation, translation,
log-scale.
"""

from collections.abc import Iterable

import gtsam
import numpy as np

from vgslam.errors import GraphError
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.roots import Roots
from vgslam.types import Edge, EdgeKind

PRIOR_SIGMA = 1e-6  # of an anchor, in all coordinates: held still, without the rank loss of an exact constraint
HUBER_SIGMAS = 3.0  # whitened error from which an edge that is not odometry counts less: 3 sigma
RELINEARIZE = 0.02  # change of a keyframe, in all coordinates, above which ISAM2 linearises its edges again


def to_gtsam(S: Sim3) -> gtsam.Similarity3:
    return gtsam.Similarity3(gtsam.Rot3(S.R), S.t / S.s, S.s)


def from_gtsam(S: gtsam.Similarity3) -> Sim3:
    scale = float(S.scale())
    return Sim3(se3.orthonormalize(S.rotation().matrix()), np.asarray(S.translation()) * scale, scale)


class Sim3Space:
    """How nodes and edges with a free scale become GTSAM's."""

    dof = 7

    def insert(self, values: gtsam.Values, n: int, S: Sim3) -> None:
        values.insert(n, to_gtsam(S))

    def prior(self, n: int, S: Sim3) -> gtsam.NonlinearFactor:
        return gtsam.PriorFactorSimilarity3(n, to_gtsam(S), gtsam.noiseModel.Isotropic.Sigma(7, PRIOR_SIGMA))

    def between(self, e: Edge, is_robust: bool) -> gtsam.NonlinearFactor:
        return gtsam.BetweenFactorSimilarity3(e.id_a, e.id_b, to_gtsam(e.S_a_b), _noise(e.sigmas, is_robust))

    def read(self, values: gtsam.Values, n: int) -> Sim3:
        return from_gtsam(values.atSimilarity3(n))

    def read_incremental(self, isam: gtsam.ISAM2, n: int) -> Sim3:
        return from_gtsam(isam.calculateEstimateSimilarity3(n))


class SE3Space:
    """How nodes and edges of known scale become GTSAM's: scales are exactly 1 and are no unknowns."""

    dof = 6

    def insert(self, values: gtsam.Values, n: int, S: Sim3) -> None:
        values.insert(n, gtsam.Pose3(gtsam.Rot3(S.R), S.t))

    def prior(self, n: int, S: Sim3) -> gtsam.NonlinearFactor:
        pose = gtsam.Pose3(gtsam.Rot3(S.R), S.t)
        return gtsam.PriorFactorPose3(n, pose, gtsam.noiseModel.Isotropic.Sigma(6, PRIOR_SIGMA))

    def between(self, e: Edge, is_robust: bool) -> gtsam.NonlinearFactor:
        pose = gtsam.Pose3(gtsam.Rot3(e.S_a_b.R), e.S_a_b.t)
        return gtsam.BetweenFactorPose3(e.id_a, e.id_b, pose, _noise(e.sigmas[:6], is_robust))

    def read(self, values: gtsam.Values, n: int) -> Sim3:
        return self._from(values.atPose3(n))

    def read_incremental(self, isam: gtsam.ISAM2, n: int) -> Sim3:
        return self._from(isam.calculateEstimatePose3(n))

    @staticmethod
    def _from(pose: gtsam.Pose3) -> Sim3:
        return Sim3(se3.orthonormalize(pose.rotation().matrix()), np.asarray(pose.translation()))


Space = Sim3Space | SE3Space


def space_of(is_metric: bool) -> Space:
    return SE3Space() if is_metric else Sim3Space()


def _noise(sigmas: np.ndarray, is_robust: bool) -> gtsam.noiseModel.Base:
    noise = gtsam.noiseModel.Diagonal.Sigmas(sigmas)
    if is_robust:
        return gtsam.noiseModel.Robust.Create(gtsam.noiseModel.mEstimator.Huber.Create(HUBER_SIGMAS), noise)
    return noise


def check_graph(nodes: dict[int, Sim3], edges: list[Edge], anchors: set[int], is_metric: bool = False) -> None:
    """Raises GraphError when there is nothing to optimise, a number is not finite, an anchor or an edge names an
    unknown node, an edge is there twice, a node hangs on no anchor, or a scale is not 1 in a metric graph."""
    if not nodes or not edges:
        raise GraphError("pose graph has no nodes or no edges")
    if not anchors:
        raise GraphError("pose graph has no anchored node: its gauge is free")
    unknown = anchors - set(nodes)
    if unknown:
        raise GraphError(f"anchor {min(unknown)} is not a keyframe of the graph")
    for n, S in nodes.items():
        check_measurement(f"keyframe {n}", S, is_metric)
    seen = set()
    for e in edges:
        check_measurement(f"edge {e.id_a}-{e.id_b}", e.S_a_b, is_metric)
        key = (e.id_a, e.id_b, e.kind)
        if key in seen:
            raise GraphError(f"edge {e.id_a}-{e.id_b} ({e.kind}) is in the pose graph twice")
        seen.add(key)
    _check_connected(nodes, edges, anchors)


def check_measurement(name: str, S: Sim3, is_metric: bool) -> None:
    """Raises GraphError unless S is finite, and of scale 1 where the graph is metric."""
    if not np.isfinite(S.matrix()).all():
        raise GraphError(f"{name} holds a number that is not finite")
    if is_metric and abs(S.s - 1.0) > 1e-6:
        raise GraphError(f"{name} has scale {S.s:.6g} in a metric pose graph, where every scale is 1")


def _check_connected(nodes: dict[int, Sim3], edges: list[Edge], anchors: set[int]) -> None:
    roots = Roots()
    for e in edges:
        if e.id_a not in nodes or e.id_b not in nodes:
            raise GraphError(f"edge {e.id_a}-{e.id_b} names a keyframe that is not in the graph")
        roots.join(e.id_a, e.id_b)
    anchored = {roots.of(a) for a in anchors}
    loose = [n for n in nodes if roots.of(n) not in anchored]
    if loose:
        raise GraphError(f"pose graph is disconnected: keyframe {loose[0]} and {len(loose) - 1} more hang on no anchor")


def factor_graph(
    nodes: dict[int, Sim3], edges: Iterable[Edge], anchors: set[int], space: Space
) -> tuple[gtsam.NonlinearFactorGraph, gtsam.Values]:
    """GTSAM's graph and start values: a prior per anchor, then a factor per edge; all but odometry edges are robust."""
    graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
    for n, S in nodes.items():
        space.insert(values, n, S)
    for n in anchors:
        graph.add(space.prior(n, nodes[n]))
    for e in edges:
        graph.add(space.between(e, e.kind is not EdgeKind.ODOMETRY))
    return graph, values


def optimize(
    nodes: dict[int, Sim3], edges: list[Edge], anchors: set[int], max_iterations: int = 20, is_metric: bool = False
) -> tuple[dict[int, Sim3], float]:
    """Maximum-likelihood nodes S_world_keyframe given relative measurements; returns them and the final error. Anchored
    nodes do not move. Edges that are not odometry carry a Huber kernel. is_metric: every scale stays exactly 1 (a graph
    over SE(3)). Raises GraphError (check_graph)."""
    check_graph(nodes, edges, anchors, is_metric)
    space = space_of(is_metric)
    graph, values = factor_graph(nodes, edges, anchors, space)
    parameters = gtsam.LevenbergMarquardtParams()
    parameters.setMaxIterations(max_iterations)
    try:
        result = gtsam.LevenbergMarquardtOptimizer(graph, values, parameters).optimize()
        solved = {n: space.read(result, n) for n in nodes}  # ValueError where not finite
    except (RuntimeError, ValueError, np.linalg.LinAlgError) as error:
        raise GraphError(f"pose graph optimisation diverged ({str(error).splitlines()[0]})") from error
    return solved, float(graph.error(result))


def fresh_isam() -> gtsam.ISAM2:
    """An empty incremental solver."""
    parameters = gtsam.ISAM2Params()
    parameters.setRelinearizeThreshold(RELINEARIZE)
    parameters.relinearizeSkip = 1
    parameters.enablePartialRelinearizationCheck = True
    parameters.setFactorization("QR")  # Cholesky loses rank after some 19,000 keyframes of drift
    parameters.setOptimizationParams(gtsam.ISAM2GaussNewtonParams(1e-4))
    return gtsam.ISAM2(parameters)
