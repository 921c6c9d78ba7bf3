"""Edges between pieces that no odometry joins: the consistent majority wins, in whatever order they are offered."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from used_edges import active_edges

from bench.loop_simulation import disturbed
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.incremental import IncrementalGraph
from vgslam.graph.odometry_path import odometry_path
from vgslam.graph.piece_ties import choose_ties
from vgslam.graph.robust import edge_errors_sigma, solve_robust
from vgslam.types import Edge, EdgeKind

N = 5  # keyframes a piece
ODOMETRY = np.array([0.002] * 3 + [0.005] * 3 + [0.002])
TIE = np.array([0.01] * 3 + [0.03] * 3 + [0.01])
PIECE = {"A": 0, "B": N, "C": 2 * N, "D": 3 * N}


def truth(n_pieces: int = 3) -> dict[int, Sim3]:
    """Poses on a curve through n_pieces * N keyframes."""
    return {
        k: Sim3(se3.so3_exp(np.array([0.02 * k, 0.1 * k, 0.0])), np.array([1.0 * k, 0.1 * k * k % 3, 0.3 * k]))
        for k in range(n_pieces * N)
    }


def odometry(true: dict[int, Sim3], rng: np.random.Generator) -> list[Edge]:
    return [
        Edge(k - 1, k, disturbed(true[k - 1].inverse() @ true[k], ODOMETRY, rng), ODOMETRY, EdgeKind.ODOMETRY)
        for k in true if k % N
    ]  # fmt: skip


def tie(true: dict[int, Sim3], a: int, b: int, rng: np.random.Generator, is_false: Sim3 | None = None) -> Edge:
    """A measurement between a and b; a false one puts the piece of b elsewhere by the similarity is_false."""
    S_b = true[b] if is_false is None else is_false @ true[b]
    return Edge(a, b, disturbed(true[a].inverse() @ S_b, TIE / 4, rng), TIE, EdgeKind.LOOP)


ELSEWHERE = Sim3(se3.so3_exp(np.array([0.3, -0.8, 0.2])), np.array([20.0, -9.0, 14.0]), 1.4)
ELSEWHERE_TOO = Sim3(se3.so3_exp(np.array([-0.5, 0.4, 0.1])), np.array([-12.0, 25.0, 3.0]), 0.7)

# name: false ties, true ones; "A1" is the second keyframe of piece A
CASES = {
    "one true tie a pair of three": (["A1 B2"], ["A3 B3", "A2 C1", "B4 C3"]),
    "two true between two pieces": (["A1 B2"], ["A3 B3", "A0 B1", "B4 C3"]),
    "two true, one of them told from the other end": (["A1 B2"], ["A3 B3", "B1 A0", "B4 C3"]),
    "three true against two that are false alike": (["A1 B2", "A2 B3"], ["A3 B3", "B1 A0", "A4 B0"]),
    "two false, each elsewhere": (["A1 B2", "A4 C2*"], ["A3 B3", "A2 C1", "B4 C3"]),
    "four pieces in a ring": (["A1 D2"], ["A3 B3", "B2 C1", "C4 D3", "A0 D0"]),
}


def offers(case: str) -> tuple[dict[int, Sim3], list[Edge], list[Edge], list[Edge]]:
    """Truth, odometry, false and true ties of a case."""
    false, true_ties = CASES[case]
    rng = np.random.default_rng(0)
    true = truth(1 + max("ABCD".index(c) for words in CASES[case] for w in words for c in w if c in PIECE))

    def edge(word: str, is_false: bool) -> Edge:
        a, b = (PIECE[end[0]] + int(end[1]) for end in word.split())
        elsewhere = ELSEWHERE_TOO if word.endswith("*") else ELSEWHERE
        return tie(true, a, b, rng, elsewhere if is_false else None)

    return true, odometry(true, rng), [edge(w, True) for w in false], [edge(w, False) for w in true_ties]


def gap(A: dict[int, Sim3], B: dict[int, Sim3]) -> float:
    return max(float(np.abs(A[n].matrix() - B[n].matrix()).max()) for n in B)


def orders(edges: Sequence[Edge], at_most: int = 40) -> list[tuple[Edge, ...]]:
    """All orders, or so many that are spread over them."""
    found = list(itertools.permutations(edges))
    return found[:: -(-len(found) // at_most)]


def begun(true: dict[int, Sim3], steps: list[Edge]) -> IncrementalGraph:
    """A graph of the pieces, each a component of its own."""
    graph = IncrementalGraph()
    for k, S in moved_pieces(true, steps).items():
        graph.add_keyframe(k, S, k // N)
    for e in steps:
        graph.add_edge(e)
    graph.update()
    return graph


def moved_pieces(true: dict[int, Sim3], steps: list[Edge]) -> dict[int, Sim3]:
    """Each piece by its odometry, in a frame and unit of its own; the first where it is."""
    rng = np.random.default_rng(1)
    nodes: dict[int, Sim3] = {}
    frames = {
        p: Sim3(se3.so3_exp(rng.normal(0, 1, 3)), rng.normal(0, 30, 3), float(np.exp(rng.normal(0, 0.5))))
        for p in range(1, len(true) // N)
    }
    for k, S in true.items():
        if k % N == 0:
            nodes[k] = frames[k // N] @ S if k else S
        else:
            nodes[k] = nodes[k - 1] @ steps[k - 1 - k // N].S_a_b
    return nodes


@pytest.mark.parametrize("case", CASES)
def test_the_incremental_graph_ends_with_the_majority_in_every_order(case: str) -> None:
    true, steps, false, good = offers(case)
    for offered in orders([*false, *good]):
        graph = begun(true, steps)
        told, names = dict(graph.nodes), [(e.id_a, e.id_b) for e in offered]
        for e in offered:
            graph.add_edge(e)
            told |= graph.update()
        assert gap(told, graph.nodes) < 1e-2, names
        off = {key[:2] for key in graph.switched_off}
        assert off == {(e.id_a, e.id_b) for e in false}, names
        assert gap(graph.nodes, true) < 0.2, names
        assert edge_errors_sigma(graph.nodes, good).max() < 3.0, names
        assert edge_errors_sigma(graph.nodes, active_edges(graph)).max() < 3.0, names


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("joined_by", ["a false tie", "a true tie"])
def test_the_full_solve_ends_with_the_majority_in_every_order(case: str, joined_by: str) -> None:
    true, steps, false, good = offers(case)
    graph = begun(true, steps)
    for e in [*false, *good] if joined_by == "a false tie" else good:
        graph.add_edge(e)
    start = dict(graph.nodes)  # where joins have put the pieces, nothing solved
    for offered in orders([*false, *good], 24):
        solution = solve_robust(start, [*steps, *offered], {0})
        names = [(e.id_a, e.id_b) for e in offered]
        assert {(x.edge.id_a, x.edge.id_b) for x in solution.switched_off} == {(e.id_a, e.id_b) for e in false}, names
        assert min(x.error_sigma for x in solution.switched_off) > 30.0
        assert gap(solution.nodes, true) < 0.2, names
        assert edge_errors_sigma(solution.nodes, solution.active).max() < 3.0, names


def random_ties(n_pieces: int, seed: int) -> tuple[dict[int, Sim3], list[Edge], list[Edge], list[Edge]]:
    """Truth, odometry, false and true ties. Every piece has two or three true ties to one before it, and at most as
    many false ones less one, each to elsewhere."""
    rng = np.random.default_rng(seed)
    true = truth(n_pieces)
    false: list[Edge] = []
    good: list[Edge] = []

    def pairs(p: int, q: int, n: int) -> list[tuple[int, int]]:
        ends = [(p * N + i, q * N + j) for i in range(N) for j in range(N)]
        taken = {(e.id_a, e.id_b) for e in [*false, *good]} | {(e.id_b, e.id_a) for e in [*false, *good]}
        free = [x for x in ends if x not in taken]
        chosen = [free[i] for i in rng.permutation(len(free))[:n]]
        return [x if rng.random() < 0.5 else x[::-1] for x in chosen]

    for q in range(1, n_pieces):
        n_true = int(rng.integers(2, 4))
        good += [tie(true, a, b, rng) for a, b in pairs(int(rng.integers(q)), q, n_true)]
        for a, b in pairs(int(rng.integers(q)), q, int(rng.integers(n_true))):
            wrong = Sim3(se3.so3_exp(rng.normal(0, 1, 3)), rng.normal(0, 30, 3), float(np.exp(rng.normal(0, 0.3))))
            false.append(tie(true, a, b, rng, wrong))
    return true, odometry(true, rng), false, good


@given(st.integers(2, 5), st.integers(0, 10_000), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_the_majority_wins_among_random_ties_offered_in_random_portions(n_pieces, seed, random) -> None:
    true, steps, false, good = random_ties(n_pieces, seed)
    offered = [*false, *good]
    random.shuffle(offered)
    graph = begun(true, steps)
    for e in offered:
        graph.add_edge(e)
        if random.random() < 0.5:
            graph.update()
    graph.update()
    wrong = {(e.id_a, e.id_b) for e in false}
    assert {key[:2] for key in graph.switched_off} == wrong
    assert gap(graph.nodes, true) < 0.3
    solution = solve_robust(graph.nodes, [*steps, *offered], {0})
    assert {(x.edge.id_a, x.edge.id_b) for x in solution.switched_off} == wrong
    assert all(x.is_tie for x in solution.switched_off)


def test_one_against_one_is_decided_alike_in_both_orders_and_told() -> None:
    true, steps, (false, *_), (good, *_) = offers("two true between two pieces")
    ends = []
    for offered in ((false, good), (good, false)):
        graph = begun(true, steps)
        for e in offered:
            graph.add_edge(e)
            graph.update()
        (off,) = graph.switched_off.values()
        assert off.error_sigma > 30.0
        ends.append((off.edge.id_a, off.edge.id_b))
    assert ends[0] == ends[1]


def test_ties_are_held_by_a_tree_that_joins_all_that_they_join() -> None:
    true, steps, false, good = offers("two false, each elsewhere")
    path = odometry_path(true, steps)
    choice = choose_ties(path, [*false, *good])
    np.testing.assert_array_equal(choice.is_kept, [False, False, True, True, True])
    assert len(choice.tree) == 2
    assert choice.is_kept[choice.tree].all()
    nothing = choose_ties(path, [])
    assert len(nothing.is_kept) == 0
    assert nothing.tree == []
