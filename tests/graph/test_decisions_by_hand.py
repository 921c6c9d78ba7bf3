"""Decisions of the graphs about loops and pieces, with values worked out by hand."""

import numpy as np
import pytest

from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.incremental import IncrementalGraph
from vgslam.graph.loop_consistency import ALL_PAIRS, NEAR, Measured, _pairs, agree_in_pairs
from vgslam.graph.odometry_path import OdometryPath, odometry_path
from vgslam.graph.robust import _Ties, solve_robust
from vgslam.graph.sim3_batch import Sim3Batch
from vgslam.types import Edge, EdgeKind

SIGMAS = np.full(7, 0.01)


def shift(x: float) -> Sim3:
    return Sim3(np.eye(3), np.array([x, 0.0, 0.0]), 1.0)


def edge(a: int, b: int, x: float, kind: EdgeKind = EdgeKind.ODOMETRY) -> Edge:
    return Edge(a, b, shift(x), SIGMAS, kind, 1.0)


def test_of_few_loops_all_pairs_are_compared_and_of_many_each_with_the_next_ones() -> None:
    """Among n in a row, n - k pairs are k apart."""
    assert len(_pairs(np.arange(ALL_PAIRS))) == ALL_PAIRS * (ALL_PAIRS - 1) // 2
    n = ALL_PAIRS + 1
    pairs = _pairs(np.arange(n)[::-1])
    assert len(pairs) == sum(n - k for k in range(1, NEAR + 1))
    assert np.abs(pairs[:, 0] - pairs[:, 1]).max() == NEAR == 64
    assert len({frozenset(p) for p in pairs.tolist()}) == len(pairs)


@pytest.mark.parametrize("angle", [1e-11, 1e-10, 1e-8, 1e-3, 3.0])
def test_rotations_however_small_keep_their_size(angle: float) -> None:
    w = np.array([0.6, 0.0, 0.8]) * angle
    batch = Sim3Batch.of([Sim3(se3.so3_exp(w), np.zeros(3), 1.0)] * 2)
    np.testing.assert_allclose(batch.tangent()[:, :3], [w, w], rtol=1e-5, atol=1e-16)


def test_pieces_that_odometry_joins_afterwards_are_no_longer_apart() -> None:
    """0-1 and 10-11 began in two components, and a tie has joined these. An odometry edge between them comes later; it
    counts when a tie that contradicts is decided on."""
    graph = IncrementalGraph()
    for component, (a, b) in enumerate([(0, 1), (10, 11)]):
        graph.add_keyframe(a, shift(float(a)), component)
        graph.add_keyframe(b, shift(float(b)), component)
        graph.add_edge(edge(a, b, 1.0))
    assert graph.add_edge(edge(1, 10, 9.0, EdgeKind.RELOC))
    graph.update()
    assert graph.lies_apart(0, 11)
    assert not graph.add_edge(edge(0, 11, 30.0, EdgeKind.RELOC))
    graph.add_edge(edge(1, 10, 9.0))
    graph.update()
    assert not graph.lies_apart(0, 11)


def test_a_tie_that_alone_holds_two_pieces_stays_in_use_however_large_its_error() -> None:
    """Both pieces have an anchor, 10 apart, and the only tie says 9: its error of 1 is 100 of its deviations."""
    nodes = {0: shift(0.0), 1: shift(1.0), 2: shift(11.0), 3: shift(12.0)}
    tie = edge(1, 2, 9.0, EdgeKind.RELOC)
    solution = solve_robust(nodes, [edge(0, 1, 1.0), edge(2, 3, 1.0), tie], {0, 2})
    assert solution.active == [tie]
    assert solution.switched_off == []


def test_ties_between_pieces_of_equal_steps_can_be_weighed() -> None:
    """The covariances of two ends, less twice that of a row that has nothing to do with them, may cancel that of the
    edge: here .0001 + 0 - 2 * .0001 + .0001."""
    nodes = {0: shift(0.0), 1: shift(1.0), 2: shift(11.0), 3: shift(12.0)}
    odometry = [edge(0, 1, 1.0), edge(2, 3, 1.0)]
    _, covariance, joined = odometry_path(nodes, odometry).between(np.array([1]), np.array([2]))
    assert not joined[0]
    assert np.linalg.eigvalsh(covariance[0]).min() >= -1e-12
    assert solve_robust(nodes, [*odometry, edge(1, 2, 10.0, EdgeKind.LOOP)], {0}).error < 1e-9


def test_of_ties_that_contradict_one_another_the_first_has_no_right_of_its_own() -> None:
    """Two ties between the same pieces: the one of less error holds them, whichever came first."""
    nodes = {0: shift(0.0), 1: shift(1.0), 2: shift(11.0), 3: shift(12.0)}
    path = odometry_path(nodes, [edge(0, 1, 1.0), edge(2, 3, 1.0)])
    ties = _Ties(path, [edge(0, 2, 40.0, EdgeKind.LOOP), edge(1, 3, 11.0, EdgeKind.LOOP)], False)
    both = np.ones(2, bool)
    assert ties.holding(both, np.array([30.0, 0.5])).tolist() == [False, True]
    assert ties.holding(both, np.array([0.5, 30.0])).tolist() == [True, False]


def test_what_most_ties_contradict_is_left_out_of_the_first_solve() -> None:
    """Three ties put the second piece 10 away, the one before them 40."""
    nodes = {0: shift(0.0), 1: shift(1.0), 2: shift(41.0), 3: shift(42.0)}
    path = odometry_path(nodes, [edge(0, 1, 1.0), edge(2, 3, 1.0)])
    places = [(0, 2, 41.0), (1, 2, 10.0), (1, 3, 11.0), (0, 3, 12.0)]
    active, began = _Ties(path, [edge(*x, EdgeKind.LOOP) for x in places], False).begin(nodes, {0})
    assert active.tolist() == [False, True, True, True]
    assert began[2].t[0] == pytest.approx(11.0, abs=1e-9)


@pytest.mark.parametrize("is_forward", [True, False])
def test_a_path_grows_from_either_end_of_an_edge(is_forward: bool) -> None:
    """Keyframe 1 is at x = 5, turned and twice as large; 0 at x = 2. From 1 to 0 it is the inverse."""
    S_0, S_1 = Sim3(np.eye(3), np.array([2.0, 0.0, 0.0])), Sim3(
        se3.so3_exp(np.array([0.0, 0.0, np.pi / 2])), np.array([5.0, 0.0, 0.0]), 2.0
    )  # fmt: skip
    step = Edge(0, 1, S_0.inverse() @ S_1, np.full(7, 0.1), EdgeKind.ODOMETRY)
    path = OdometryPath()
    path.start(0 if is_forward else 1, S_0 if is_forward else S_1)
    path.grow_by(step)
    S, _, joined = path.between(np.array([0]), np.array([1]))
    assert joined.all()
    np.testing.assert_allclose((Sim3Batch.of([step.S_a_b]).inverse() @ S).tangent(), np.zeros((1, 7)), atol=1e-9)
    other = Edge(1, 2, Sim3(np.eye(3), np.array([1.0, 0.0, 0.0])), np.full(7, 0.1), EdgeKind.ODOMETRY)
    path.grow_by(other)
    path.grow_by(other)
    assert [k in path for k in (0, 1, 2, 3)] == [True, True, True, False]
    path.grow_by(Edge(7, 8, Sim3.identity(), np.full(7, 0.1), EdgeKind.ODOMETRY))
    assert 7 not in path


@pytest.mark.parametrize("far", ["a", "b"])
@pytest.mark.parametrize(("error", "agrees"), [(1.4, True), (1.6, False)])
def test_a_pair_of_loops_may_differ_by_what_the_odometry_between_their_ends_leaves_open(
    far: str, error: float, agrees: bool
) -> None:
    """Ten steps of deviation .1 between the ends b of two exact loops, or between their ends a: .316 in all, and for
    seven numbers the limit is at 4.67 deviations, 1.48."""
    sigmas = np.array([1e-6] * 3 + [0.1] * 3 + [1e-6])
    steps = [Edge(k, k + 1, shift(1.0), sigmas, EdgeKind.ODOMETRY) for k in range(40)]
    path = odometry_path({k: shift(float(k)) for k in range(41)}, steps)
    ends = [(0, 30), (0, 40)] if far == "b" else [(0, 30), (10, 30)]
    exact = np.full(7, 1e-4)
    loops = [Edge(a, b, shift(b - a + (error if n else 0.0)), exact, EdgeKind.LOOP) for n, (a, b) in enumerate(ends)]
    agree, known = agree_in_pairs(path, Measured.of(loops), np.array([[0, 1]]), is_metric=False)
    assert known.all()
    assert agree.tolist() == [agrees]
