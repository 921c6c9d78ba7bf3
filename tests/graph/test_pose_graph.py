"""Sim(3) pose graph: GTSAM's convention and ours, loops that close, and graphs that are refused."""

import gtsam
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vgslam.errors import GraphError
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.pose_graph import check_graph, from_gtsam, optimize, to_gtsam
from vgslam.graph.robust import MapSolution, optimize_map
from vgslam.map.slam_map import SlamMap
from vgslam.types import Camera, Edge, EdgeKind, Keyframe

vectors = arrays(np.float64, 3, elements=st.floats(-3, 3))
similarities = st.builds(lambda w, t, s: Sim3(se3.so3_exp(w), t, s), vectors, vectors, st.floats(0.1, 10))
SIGMAS = np.array([0.01] * 3 + [0.02] * 3 + [0.02])
TIGHT = np.full(7, 1e-3)


def assert_same(A: Sim3, B: Sim3, atol: float = 1e-7) -> None:
    np.testing.assert_allclose(A.matrix(), B.matrix(), atol=atol, rtol=1e-7)


@given(similarities)
@settings(deadline=None)
def test_conversion_there_and_back(S: Sim3) -> None:
    assert_same(from_gtsam(to_gtsam(S)), S)


@given(similarities, similarities)
@settings(deadline=None)
def test_composition_and_inverse_agree_with_gtsam(A: Sim3, B: Sim3) -> None:
    assert_same(from_gtsam(to_gtsam(A) * to_gtsam(B)), A @ B, 1e-6)
    assert_same(from_gtsam(to_gtsam(A).inverse()), A.inverse(), 1e-6)
    assert_same(from_gtsam(to_gtsam(A).between(to_gtsam(B))), A.inverse() @ B, 1e-5)


@given(similarities, vectors)
@settings(deadline=None)
def test_action_agrees_with_gtsam(S: Sim3, p: np.ndarray) -> None:
    np.testing.assert_allclose(to_gtsam(S).transformFrom(gtsam.Point3(p)), S.apply(p[None])[0], atol=1e-7)


def edge(nodes: dict[int, Sim3], a: int, b: int, kind: EdgeKind = EdgeKind.ODOMETRY, sigmas: np.ndarray = SIGMAS
         ) -> Edge:  # fmt: skip
    """The true relative pose as a measurement."""
    return Edge(a, b, nodes[a].inverse() @ nodes[b], sigmas, kind)


def circle(n: int = 24) -> dict[int, Sim3]:
    """A walk of radius 5 round a circle, looking along it, that ends where it began; every node has its own scale."""
    nodes = {}
    for i in range(n):
        angle = 2 * np.pi * i / n
        centre = 5 * np.array([np.sin(angle), 0.1 * np.sin(3 * angle), 1 - np.cos(angle)])
        nodes[i] = Sim3(se3.so3_exp(np.array([0.0, -angle, 0.0])), centre, 1.0 + 0.3 * np.sin(angle))
    return nodes


def drifted(nodes: dict[int, Sim3], log_scale: float, noise: float, seed: int) -> tuple[dict[int, Sim3], list[Edge]]:
    """Odometry edges with noise and a steady loss of scale, and the nodes that follow from them."""
    rng = np.random.default_rng(seed)
    edges, out = [], {0: nodes[0]}
    for i in range(1, len(nodes)):
        true = nodes[i - 1].inverse() @ nodes[i]
        wrong = Sim3(
            true.R @ se3.so3_exp(rng.normal(0, noise, 3)), true.t + rng.normal(0, noise, 3), true.s * np.exp(log_scale)
        )
        edges.append(Edge(i - 1, i, wrong, SIGMAS, EdgeKind.ODOMETRY))
        out[i] = out[i - 1] @ wrong
    return out, edges


def rmse(a: dict[int, Sim3], b: dict[int, Sim3]) -> float:
    return float(np.sqrt(np.mean([np.sum((a[n].t - b[n].t) ** 2) for n in b])))


def test_consistent_measurements_leave_nothing() -> None:
    truth = circle()
    rng = np.random.default_rng(0)
    start = {
        n: S if n == 0 else S @ Sim3(se3.so3_exp(rng.normal(0, 0.05, 3)), rng.normal(0, 0.1, 3), 1.1)
        for n, S in truth.items()
    }
    edges = [edge(truth, i, (i + 1) % 24) for i in range(24)] + [edge(truth, i, (i + 3) % 24) for i in range(24)]
    solved, error = optimize(start, edges, {0}, max_iterations=50)
    assert error < 1e-8
    for n in truth:
        assert_same(solved[n], truth[n], 1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_a_loop_takes_the_drift_out(seed: int) -> None:
    truth = circle()
    start, edges = drifted(truth, log_scale=-0.015, noise=0.004, seed=seed)
    before = rmse(start, truth)
    assert before > 0.3
    solved, error = optimize(start, [*edges, edge(truth, 23, 0, EdgeKind.LOOP, TIGHT)], {0}, max_iterations=50)
    assert rmse(solved, truth) < 0.25 * before
    assert np.isfinite(error)
    # the loop is the tightest edge: the ends meet
    assert_same(solved[23].inverse() @ solved[0], truth[23].inverse() @ truth[0], 0.02)


def test_a_wrong_loop_is_bounded_by_its_kernel() -> None:
    truth = circle()
    _, edges = drifted(truth, 0.0, 0.001, 1)
    edges += [edge(truth, i, i + 2) for i in range(22)]
    loop = edge(truth, 23, 0, EdgeKind.LOOP)
    wrong = Edge(12, 2, Sim3(np.eye(3), np.array([8.0, 0, 0]), 1.0), SIGMAS, EdgeKind.LOOP)
    as_loop, _ = optimize(truth, [*edges, loop, wrong], {0}, max_iterations=50)
    as_odometry, _ = optimize(
        truth, [*edges, loop, Edge(12, 2, wrong.S_a_b, SIGMAS, EdgeKind.ODOMETRY)], {0}, max_iterations=50
    )
    assert rmse(as_loop, truth) < 0.3 * rmse(as_odometry, truth)


def test_sigmas_weigh_rotation_translation_and_scale() -> None:
    """Two measurements of one edge: the answer lies with the surer one, per component."""
    nodes = {0: Sim3.identity(), 1: Sim3(np.eye(3), np.array([1.0, 0, 0]), 1.0)}
    turned = Sim3(se3.so3_exp(np.array([0, 0.05, 0])), np.array([1.0, 0, 0]), 1.0)
    bigger = Sim3(np.eye(3), np.array([1.0, 0, 0]), 1.05)
    for other, at in ((turned, slice(0, 3)), (bigger, slice(6, 7))):
        sure, unsure = SIGMAS.copy(), SIGMAS.copy()
        sure[at] = 1e-4
        unsure[at] = 1.0
        edges = [Edge(0, 1, nodes[1], unsure, EdgeKind.ODOMETRY), Edge(0, 1, other, sure, EdgeKind.LOOP)]
        solved, _ = optimize(nodes, edges, {0}, max_iterations=50)
        assert_same(solved[1], other, 2e-3)


@pytest.mark.parametrize("anchors", [{0}, {5}, {0, 12}])
def test_anchors_do_not_move(anchors: set[int]) -> None:
    truth = circle()
    start, edges = drifted(truth, -0.02, 0.01, seed=2)
    solved, _ = optimize(start, [*edges, edge(truth, 23, 0, EdgeKind.LOOP)], anchors)
    for a in anchors:
        assert_same(solved[a], start[a], 1e-4)
    moved = [np.linalg.norm(solved[n].t - start[n].t) for n in truth if n not in anchors]
    assert max(moved) > 0.05


@given(similarities)
@settings(max_examples=10, deadline=None)
def test_gauge_does_not_matter(G: Sim3) -> None:
    """The whole graph turned, moved and scaled gives the same answer, turned, moved and scaled."""
    truth = circle(10)
    start, edges = drifted(truth, -0.02, 0.005, seed=3)
    edges.append(edge(truth, 9, 0, EdgeKind.LOOP))
    solved, error = optimize(start, edges, {0}, max_iterations=50)
    moved, moved_error = optimize({n: G @ S for n, S in start.items()}, edges, {0}, max_iterations=50)
    assert moved_error == pytest.approx(error, rel=1e-3)
    for n in truth:
        back = G.inverse() @ moved[n]
        np.testing.assert_allclose(back.matrix(), solved[n].matrix(), atol=5e-3)


def test_unit_of_length_does_not_matter() -> None:
    """Nodes in other units of the world: the world's unit appears in no measurement."""
    truth = circle(10)
    start, edges = drifted(truth, -0.02, 0.005, seed=4)
    edges.append(edge(truth, 9, 0, EdgeKind.LOOP))
    solved, _ = optimize(start, edges, {0}, max_iterations=50)
    for unit in (1e-2, 1e2):
        G = Sim3(np.eye(3), np.zeros(3), unit)
        scaled, _ = optimize({n: G @ S for n, S in start.items()}, edges, {0}, max_iterations=50)
        for n in truth:
            np.testing.assert_allclose(scaled[n].t / unit, solved[n].t, atol=5e-3)
            assert scaled[n].s / unit == pytest.approx(solved[n].s, rel=2e-3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("no nodes", "no nodes"),
        ("no edges", "no edges"),
        ("no anchor", "gauge is free"),
        ("unknown node", "not in the graph"),
        ("disconnected", "disconnected"),
    ],
)
def test_degenerate_graphs_are_refused(change: str, words: str) -> None:
    nodes = {0: Sim3.identity(), 1: Sim3(np.eye(3), np.ones(3), 1.0), 2: Sim3(np.eye(3), 2 * np.ones(3), 1.0)}
    edges = [edge(nodes, 0, 1), edge(nodes, 1, 2)]
    anchors = {0}
    if change == "no nodes":
        nodes = {}
    if change == "no edges":
        edges = []
    if change == "no anchor":
        anchors = set()
    if change == "unknown node":
        edges.append(Edge(2, 9, Sim3.identity(), SIGMAS, EdgeKind.LOOP))
    if change == "disconnected":
        edges = edges[:1]
    for function in (check_graph, optimize):
        with pytest.raises(GraphError, match=words):
            function(nodes, edges, anchors)


def test_an_unknown_anchor_is_refused() -> None:
    nodes = {0: Sim3.identity(), 1: Sim3(np.eye(3), np.ones(3), 1.0)}
    with pytest.raises(GraphError):
        check_graph(nodes, [edge(nodes, 0, 1)], {7})


def test_two_pieces_with_an_anchor_each_are_fine() -> None:
    truth = circle(6)
    edges = [edge(truth, 0, 1), edge(truth, 1, 2), edge(truth, 3, 4), edge(truth, 4, 5)]
    solved, error = optimize(truth, edges, {0, 3})
    assert error < 1e-8
    assert set(solved) == set(truth)


@pytest.mark.parametrize("part", ["t", "s"])
def test_what_is_not_finite_never_enters(part: str) -> None:
    """NaN is refused where it arises, so no graph can hold one."""
    with pytest.raises(ValueError, match="finite"):
        Sim3(np.eye(3), np.full(3, np.nan) if part == "t" else np.zeros(3), np.nan if part == "s" else 1.0)
    with pytest.raises(ValueError, match="finite"):
        Edge(0, 1, Sim3.identity(), np.array([np.nan] * 7), EdgeKind.LOOP)


def smuggled(part: str) -> Sim3:
    """A similarity with NaN that went round its own check."""
    S = Sim3.identity()
    object.__setattr__(S, part, np.full(3, np.nan) if part == "t" else np.nan)
    return S


@pytest.mark.parametrize("part", ["t", "s"])
@pytest.mark.parametrize("where", ["node", "edge"])
def test_nan_that_came_in_is_an_error_and_not_an_answer(part: str, where: str) -> None:
    nodes = {0: Sim3.identity(), 1: Sim3(np.eye(3), np.ones(3), 1.0)}
    edges = [edge(nodes, 0, 1)]
    if where == "node":
        nodes[1] = smuggled(part)
    else:
        edges = [Edge(0, 1, smuggled(part), SIGMAS, EdgeKind.ODOMETRY)]
    with pytest.raises(GraphError):
        optimize(nodes, edges, {0})


CAMERA = Camera.from_fov(8, 8, 60.0)


def map_of(nodes: dict[int, Sim3], components: dict[int, int] | None = None) -> SlamMap:
    m = SlamMap()
    for k, S in nodes.items():
        image = np.zeros((8, 8, 3), np.uint8)
        component = components[k] if components else 0
        m.add_keyframe(Keyframe(k, k, float(k), image, CAMERA, S, component), np.zeros(0), np.zeros((0, 2)))
    return m


def test_the_map_follows_the_graph() -> None:
    truth = circle()
    start, edges = drifted(truth, -0.015, 0.004, seed=5)
    m = map_of(start)
    m.edges = {(e.id_a, e.id_b): e for e in [*edges, edge(truth, 23, 0, EdgeKind.LOOP, TIGHT)]}
    ids = m.landmarks.add(20, np.array([[0.0, 0, 3.0]]), np.ones(1), np.zeros((1, 3), np.uint8))
    optimize_map(m)
    assert rmse({k.id: k.S_world_keyframe for k in m.keyframes}, truth) < 0.25 * rmse(start, truth)
    assert_same(m.keyframes[0].S_world_keyframe, start[0], 1e-4)
    expected = m.keyframes[20].S_world_keyframe.apply(np.array([[0.0, 0, 3.0]]))
    np.testing.assert_allclose(m.landmarks_world(ids), expected, atol=1e-9)


def test_components_are_optimised_apart_and_those_without_edges_stay() -> None:
    truth = circle(9)
    rng = np.random.default_rng(6)
    start = {n: S @ Sim3(np.eye(3), rng.normal(0, 0.2, 3), 1.0) for n, S in truth.items()}
    m = map_of(start, {n: n // 3 for n in range(9)})
    m.edges = {(a, b): edge(truth, a, b) for a, b in ((0, 1), (1, 2), (3, 4), (4, 5))}
    assert optimize_map(m).error < 1e-6
    for first in (0, 3):
        assert_same(m.keyframes[first].S_world_keyframe, start[first], 1e-5)
        for n in (first + 1, first + 2):
            S = m.keyframes[first].S_world_keyframe.inverse() @ m.keyframes[n].S_world_keyframe
            assert_same(S, truth[first].inverse() @ truth[n], 1e-4)
    for n in (6, 7, 8):
        assert_same(m.keyframes[n].S_world_keyframe, start[n], 0.0)


def test_an_empty_map_is_no_error() -> None:
    assert optimize_map(SlamMap()) == MapSolution(0.0, [])
