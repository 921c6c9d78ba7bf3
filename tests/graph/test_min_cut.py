"""Weakest cuts of small graphs, worked out by hand."""

import numpy as np
import pytest

from vgslam.graph.min_cut import min_cut
from vgslam.types import Array


def graph(n: int, edges: dict[tuple[int, int], float]) -> Array:
    W = np.zeros((n, n))
    for (a, b), w in edges.items():
        W[a, b] = W[b, a] = w
    return W


def test_two_clusters_come_apart_at_the_edges_between_them_and_not_beside_the_source() -> None:
    W = graph(6, {(0, 1): 5, (1, 2): 5, (0, 2): 5, (3, 4): 5, (4, 5): 5, (3, 5): 5, (2, 3): 2, (1, 4): 1.5})
    cut = min_cut(W, np.array([0]), np.array([5]))
    assert cut.is_source_side.tolist() == [True, True, True, False, False, False]
    assert cut.weight == pytest.approx(3.5)


def test_of_several_cuts_the_one_nearest_to_the_sources_and_flows_may_take_back_what_others_took() -> None:
    chain = graph(4, {(0, 1): 3, (1, 2): 1, (2, 3): 1})
    assert min_cut(chain, np.array([0]), np.array([3])).is_source_side.tolist() == [True, True, False, False]
    # the first path, 0-1-3-5, takes what the second one needs: 0-2-3-1-4-5 goes back along it
    crossed = graph(6, {(0, 1): 1, (0, 2): 1, (1, 3): 1, (1, 4): 1, (2, 3): 1, (3, 5): 1, (4, 5): 1})
    assert min_cut(crossed, np.array([0]), np.array([5])).weight == pytest.approx(2.0)


def test_several_sources_stay_together_and_negative_weights_hold_nothing() -> None:
    W = graph(4, {(0, 1): 1, (1, 2): -4, (0, 2): 2, (2, 3): 9})
    cut = min_cut(W, np.array([0, 1]), np.array([3]))
    assert cut.is_source_side.tolist() == [True, True, False, False]
    assert cut.weight == pytest.approx(2.0)


def test_what_nothing_holds_is_apart_at_no_cost_and_no_node_is_on_both_sides() -> None:
    cut = min_cut(graph(3, {(0, 1): 1}), np.array([0]), np.array([2]))
    assert cut.is_source_side.tolist() == [True, True, False]
    assert cut.weight == 0.0
    with pytest.raises(ValueError, match="both sides"):
        min_cut(np.zeros((2, 2)), np.array([0, 1]), np.array([1]))
