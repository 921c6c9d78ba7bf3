"""Where loops cease to be believed: deviations of paths and errors of loops worked out by hand."""

import numpy as np
import pytest
from used_edges import active_edges

from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.incremental import IncrementalGraph
from vgslam.graph.loop_consistency import Measured, agree_in_pairs, agrees_with_odometry, consistent_loops
from vgslam.graph.odometry_path import OdometryPath, odometry_path
from vgslam.graph.pose_graph import optimize
from vgslam.graph.robust import edge_errors_sigma, solve_robust
from vgslam.types import Array, Edge, EdgeKind

STEP = Sim3(np.eye(3), np.array([1.0, 0.0, 0.0]))
ROTATION, TRANSLATION, SCALE = 0.01, 0.1, 0.02
SIGMAS = np.array([ROTATION] * 3 + [TRANSLATION] * 3 + [SCALE])
LOOP = np.array([0.03] * 3 + [0.1] * 3 + [0.02])
N = 16
"""Steps after which the rotation about the way has a deviation of 0.01 sqrt(16) = 0.04; with a loop's 0.03, 0.05."""
FROM_3_SIGMA, FROM_3_SIGMA_METRIC = 4.674, 4.479
"""Roots of the 99.73 % quantiles of chi-square with 7 and 6 degrees of freedom."""


def straight(n: int, sigmas: Array = SIGMAS) -> tuple[dict[int, Sim3], list[Edge]]:
    """n steps of 1 along x."""
    nodes = {k: Sim3(np.eye(3), np.array([float(k), 0.0, 0.0])) for k in range(n + 1)}
    return nodes, [Edge(k, k + 1, STEP, sigmas, EdgeKind.ODOMETRY) for k in range(n)]


def rolled(a: int, b: int, angle: float, sigmas: Array = LOOP) -> Edge:
    """A loop that is wrong by an angle about the way, which moves no position."""
    S = Sim3(se3.so3_exp(np.array([angle, 0.0, 0.0])), np.array([float(b - a), 0.0, 0.0]))
    return Edge(a, b, S, sigmas, EdgeKind.LOOP)


def path_of(n: int) -> OdometryPath:
    return odometry_path(*straight(n))


def test_covariance_of_two_steps() -> None:
    """Both steps add up; and at the end, the first one's turns about y and z have moved the place sideways by its
    distance of 1, its change of scale along the way."""
    _, C, joined = path_of(2).between(np.array([0]), np.array([2]))
    assert joined.all()
    r2, t2, s2 = ROTATION**2, TRANSLATION**2, SCALE**2
    expected = np.diag([2 * r2] * 3 + [2 * t2 + s2, 2 * t2 + r2, 2 * t2 + r2, 2 * s2])
    expected[4, 2] = expected[2, 4] = r2
    expected[5, 1] = expected[1, 5] = -r2
    expected[3, 6] = expected[6, 3] = s2
    np.testing.assert_allclose(C[0], expected, atol=1e-15)


def test_covariance_grows_with_the_distance_between_two_keyframes_and_not_with_what_came_before() -> None:
    """Rotations as n, turns that move the end as the sum of the squared distances: 0 + 1 + 4 + 9 for four steps."""
    r2, t2 = ROTATION**2, TRANSLATION**2
    for a, b in ((0, 4), (9, 13)):
        _, C, _ = path_of(N).between(np.array([a]), np.array([b]))
        assert C[0, 0, 0] == pytest.approx(4 * r2)
        assert C[0, 4, 4] == pytest.approx(4 * t2 + 14 * r2)


def test_keyframes_on_two_branches_are_joined_through_where_they_part() -> None:
    path = OdometryPath()
    path.start(0, Sim3.identity())
    for parent, child in ((0, 1), (1, 2), (1, 3), (3, 4)):
        path.grow(parent, child, STEP, SIGMAS)
    S, C, joined = path.between(np.array([2]), np.array([4]))
    assert joined.all()
    np.testing.assert_allclose(S.t[0], [1.0, 0, 0], atol=1e-12)
    assert C[0, 0, 0] == pytest.approx(3 * ROTATION**2), "three steps, not the one that both have in common"


@pytest.mark.parametrize("sigmas_off", [5.0, 6.0, 7.0, 10.0])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_loop_beyond_three_sigma_of_the_odometry_is_not_believed(sigmas_off: float, sign: float) -> None:
    loop = rolled(0, N, sign * sigmas_off * 0.05)
    assert agrees_with_odometry(path_of(N), [loop], False).tolist() == [False]
    assert agrees_with_odometry(path_of(N), [loop], True).tolist() == [False]


@pytest.mark.parametrize(("is_metric", "limit"), [(False, FROM_3_SIGMA), (True, FROM_3_SIGMA_METRIC)])
def test_the_limit_from_both_sides(is_metric: bool, limit: float) -> None:
    near = [rolled(0, N, x * limit * 0.05) for x in (0.2, 0.99, 1.01)]
    assert agrees_with_odometry(path_of(N), near, is_metric).tolist() == [True, True, False]


def test_where_scale_is_known_it_is_not_weighed() -> None:
    wrong = Edge(0, N, Sim3(np.eye(3), np.array([float(N), 0, 0]), 3.0), LOOP, EdgeKind.LOOP)
    assert agrees_with_odometry(path_of(N), [wrong], False).tolist() == [False]
    assert agrees_with_odometry(path_of(N), [wrong], True).tolist() == [True]


def test_two_loops_that_the_odometry_allows_may_contradict_each_other() -> None:
    """Side by side, one step apart at each end: the cycle has a deviation of sqrt(2 0.03^2 + 2 0.01^2) = 0.0447. Off by
    0.1 and -0.1 that is 4.47, by 0.15 and -0.15 it is 6.7; to the odometry it is 3 at most."""
    path, pair = path_of(N + 1), np.array([[0, 1]])
    for angle, is_one_place in ((0.1, True), (0.15, False)):
        loops = [rolled(0, N, angle), rolled(1, N + 1, -angle)]
        assert agrees_with_odometry(path, loops, False).all()
        agree, known = agree_in_pairs(path, Measured.of(loops), pair, False)
        assert known.all()
        assert agree.tolist() == [is_one_place]
        assert consistent_loops(path, loops).sum() == (2 if is_one_place else 1)


def test_of_three_loops_the_two_that_agree_are_kept() -> None:
    loops = [rolled(0, N, 0.15), rolled(1, N + 1, -0.15), rolled(2, N + 2, 0.14)]
    assert consistent_loops(path_of(N + 2), loops).tolist() == [True, False, True]


STIFF = np.full(7, 1e-4)
"""Odometry that no loop can bend."""


@pytest.mark.parametrize("sigmas_off", [5.0, 6.0, 10.0])
def test_the_full_solve_leaves_out_a_false_loop_and_says_by_how_much(sigmas_off: float) -> None:
    nodes, odometry = straight(N, STIFF)
    solution = solve_robust(nodes, [*odometry, rolled(0, N, sigmas_off * 0.03)], {0})
    assert solution.active == []
    (off,) = solution.switched_off
    assert off.error_sigma == pytest.approx(sigmas_off, rel=1e-3)
    assert not off.is_tie


def test_the_full_solve_uses_a_loop_within_its_limit() -> None:
    nodes, odometry = straight(N, STIFF)
    solution = solve_robust(nodes, [*odometry, rolled(0, N, 4.5 * 0.03)], {0})
    assert len(solution.active) == 1
    assert solution.switched_off == []


@pytest.mark.parametrize(("sigmas_off", "is_used"), [(4.5, True), (5.0, False), (8.0, False), (20.0, False)])
def test_the_growing_graph_decides_alike(sigmas_off: float, is_used: bool) -> None:
    nodes, odometry = straight(N, STIFF)
    graph = IncrementalGraph()
    graph.add_keyframe(0, nodes[0], 0)
    for step in odometry:
        graph.add_keyframe(step.id_b, nodes[step.id_b], 0)
        graph.add_edge(step)
        graph.update()
    graph.add_edge(rolled(0, N, sigmas_off * 0.03))
    graph.update()
    assert any(e.kind is EdgeKind.LOOP for e in active_edges(graph)) == is_used


def test_errors_in_sigmas() -> None:
    """Off by 0.09 rad, 0.4 (in units of the second keyframe) and e^0.04: 3, 4 and 2 of the loop's deviations, together
    sqrt(9 + 16 + 4), and sqrt(9 + 16) without the scale."""
    s = np.exp(0.04)
    nodes = {0: Sim3.identity(), 1: Sim3(se3.so3_exp(np.array([0.09, 0, 0])), np.array([1 + 0.4 * s, 0, 0]), s)}
    loop = Edge(0, 1, STEP, LOOP, EdgeKind.LOOP)
    assert edge_errors_sigma(nodes, [loop])[0] == pytest.approx(np.sqrt(29), rel=1e-6)
    assert edge_errors_sigma(nodes, [loop], is_metric=True)[0] == pytest.approx(5.0, rel=1e-6)


@pytest.mark.parametrize(("off", "moved"), [(0.4, 0.2), (10.0, 0.3), (-10.0, -0.3)])
def test_a_loop_far_off_pulls_with_three_sigma_and_one_nearby_with_all_of_its_error(off: float, moved: float) -> None:
    """Two measurements of one step with a deviation of 0.1. Where they differ by 0.4, the middle: both are off by 2
    sigma. Where they differ by 10, Huber's loss pulls like 3 sigma, which the odometry meets at 0.3."""
    sigmas = np.array([1e-3] * 3 + [0.1] * 3 + [1e-3])
    other = Sim3(np.eye(3), np.array([1.0 + off, 0, 0]))
    nodes = {0: Sim3.identity(), 1: STEP}
    edges = [Edge(0, 1, STEP, sigmas, EdgeKind.ODOMETRY), Edge(0, 1, other, sigmas, EdgeKind.LOOP)]
    for is_metric in (False, True):
        solved, _ = optimize(nodes, edges, {0}, 100, is_metric)
        assert solved[1].t[0] == pytest.approx(1.0 + moved, abs=5e-3)


def test_two_odometry_edges_pull_alike_however_far_off_they_are() -> None:
    sigmas = np.array([1e-3] * 3 + [0.1] * 3 + [1e-3])
    edges = [
        Edge(0, 1, STEP, sigmas, EdgeKind.ODOMETRY),
        Edge(1, 0, Sim3(np.eye(3), np.array([-3.0, 0, 0])), sigmas, EdgeKind.ODOMETRY),
    ]
    solved, _ = optimize({0: Sim3.identity(), 1: STEP}, edges, {0}, 100, True)
    assert solved[1].t[0] == pytest.approx(2.0, abs=5e-3)
