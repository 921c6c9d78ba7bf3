"""Nets of similarities: the same optimum as GTSAM's, its derivatives, and few passes however many nodes."""

import gtsam
import numpy as np
import pytest

from vgslam.errors import GraphError
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.pose_graph import optimize, to_gtsam
from vgslam.graph.sim3_batch import Sim3Batch
from vgslam.graph.similarity_net import Net, NetSolver, _log_jacobian, _moved, huber_cost, logarithm
from vgslam.graph.two_levels import TwoLevels, conjugate_gradients, neighbourhoods
from vgslam.types import Array, Edge, EdgeKind

SIGMAS = np.array([0.02] * 3 + [0.3] * 3 + [0.05])


def similarity(x: Array) -> Sim3:
    return Sim3(se3.so3_exp(x[:3]), x[3:6], float(np.exp(x[6])))


def along(n: int, rng: np.random.Generator) -> list[Sim3]:
    """Nodes along a road with a bend, each in units of its own."""
    angle = 2.0 * np.arange(n) / n
    return [
        Sim3(se3.so3_exp(rng.normal(0, 0.5, 3)), n / 5 * np.array([np.sin(a), 1 - np.cos(a), 0.0]),
             float(np.exp(rng.normal(0, 0.4)))) for a in angle
    ]  # fmt: skip


def measured(nodes: list[Sim3], width: int, per_node: int, rng: np.random.Generator, n_false: int = 0) -> list[Edge]:
    """Each node against some of the next `width`, with noise; some of them false."""
    pairs = {(i, i + 1) for i in range(len(nodes) - 1)}
    pairs |= {
        (i, int(j)) for i in range(len(nodes) - 2)
        for j in rng.integers(i + 1, min(len(nodes), i + width), per_node)
    }  # fmt: skip
    found = []
    for k, (a, b) in enumerate(sorted(pairs)):
        off = rng.normal(0, SIGMAS) if k % 9 or k >= 9 * n_false else np.array([0.4, -0.3, 0.1, 3.0, 0.0, 2.0, 0.3])
        found.append(Edge(a, b, nodes[a].inverse() @ nodes[b] @ similarity(off), SIGMAS, EdgeKind.LOOP))
    return found


def net_of(nodes: list[Sim3], edges: list[Edge]) -> tuple[Net, Sim3Batch, np.ndarray]:
    """Net, nodes, and the mask that holds the first."""
    return Net.of(edges, {n: n for n in range(len(nodes))}), Sim3Batch.of(nodes), np.arange(len(nodes)) == 0


@pytest.mark.parametrize("turn", [0.0, 1e-6, 0.1, 1.0])
def test_the_logarithm_is_gtsams(turn: float) -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        x = np.concatenate([turn * rng.normal(0, 0.5, 3), rng.normal(0, 2, 3), turn * rng.normal(0, 0.3, 1)])
        S = similarity(x)
        found = logarithm(Sim3Batch.of([S]))[0]
        np.testing.assert_allclose(found, gtsam.Similarity3.Logmap(to_gtsam(S)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("still", [0, 4])
def test_the_right_side_is_the_slope_of_the_error(still: int) -> None:
    """By differences, at every node and in every direction; none where a node is held, first or last of its edges."""
    rng = np.random.default_rng(2)
    true = along(5, rng)
    net, S, _ = net_of(true, measured(true, 4, 2, rng, 1))
    held = np.arange(5) == still
    S = _moved(S, rng.normal(0, 0.05, (5, 7)))
    _, right = net.blocks(S, held)
    for n, k in np.ndindex(5, 7):
        x = np.zeros((5, 7))
        x[n, k] = 1e-6
        slope = (net.cost(_moved(S, x)) - net.cost(_moved(S, -x))) / 2e-6
        assert right[n, k] == pytest.approx(0.0 if n == still else -slope, rel=1e-3, abs=1e-2)


@pytest.mark.parametrize("n", [3, 12, 150])
def test_the_optimum_is_gtsams(n: int) -> None:
    """From the truth moved by some deviations; a few measurements are false."""
    rng = np.random.default_rng(n)
    true = along(n, rng)
    edges = measured(true, 12, 4, rng, n // 30)
    net, S, held = net_of(true, edges)
    start = _moved(S, np.where(held[:, None], 0.0, rng.normal(0, 2.0 * SIGMAS, (n, 7))))
    nodes = {i: Sim3(start.R[i], start.t[i], float(start.s[i])) for i in range(n)}
    reference, error = optimize(nodes, edges, {0}, 100)
    assert net.cost(Sim3Batch.of([reference[i] for i in range(n)])) == pytest.approx(error, rel=1e-5)
    found = NetSolver(held).solve(start, net, 50)
    assert 0.999 * error < net.cost(found) < error, "GTSAM's derivative of the logarithm is an approximation"
    for _ in range(20):
        assert net.cost(_moved(found, rng.normal(0, 0.01 * SIGMAS, (n, 7)) * ~held[:, None])) > net.cost(found)
    off = np.linalg.norm([reference[i].t - found.t[i] for i in range(n)], axis=1)
    assert off.max() < 0.3 * np.sqrt(n), "what the deviations of that many steps add up to"


def test_the_same_nodes_are_solved_again_without_a_measurement() -> None:
    rng = np.random.default_rng(5)
    true = along(60, rng)
    net, S, held = net_of(true, measured(true, 10, 4, rng))
    solver = NetSolver(held)
    less = net[np.arange(len(net.a)) % 7 > 0]
    again = solver.solve(solver.solve(S, net, 50), less, 50)
    assert less.cost(again) == pytest.approx(less.cost(NetSolver(held).solve(S, less, 50)), rel=1e-4)
    np.testing.assert_array_equal(again.t[0], true[0].t)


def test_passes_hardly_grow_with_the_number_of_nodes() -> None:
    """Three times as many along three times the road, and a matrix whose condition grows with the square or more."""
    passes = []
    for n in (150, 450):
        rng = np.random.default_rng(7)
        true = along(n, rng)
        net, S, held = net_of(true, measured(true, 30, 5, rng))
        blocks, right = net.blocks(S, held)
        levels = TwoLevels.of(blocks, S, neighbourhoods(net.a, net.b, n))
        x, count = conjugate_gradients(blocks, right, levels, 0.0, 1e-6, 500)
        np.testing.assert_allclose(blocks.times(x), right, atol=1e-3 * np.abs(right).max())
        passes.append(count)
    assert passes[1] < 1.6 * passes[0] < 150


def test_every_node_is_in_a_set_of_neighbours() -> None:
    rng = np.random.default_rng(3)
    edges = measured(along(300, rng), 20, 4, rng)
    a, b = (np.array([getattr(e, name) for e in edges]) for name in ("id_a", "id_b"))
    apart = neighbourhoods(np.concatenate([a, a + 300]), np.concatenate([b, b + 300]), 600)
    size = np.bincount(apart)
    assert size.min() > 2
    assert size.max() <= 20
    assert not set(apart[:300].tolist()) & set(apart[300:].tolist()), "nothing joins the two"


def pair(off: float, scale: float = 1.0) -> tuple[Net, Sim3Batch]:
    """Two nodes a unit apart along x, of which was measured that the step is `off` longer, and the second's unit."""
    nodes = [Sim3.identity(), Sim3(np.eye(3), np.array([1.0, 0.0, 0.0]), 1.0)]
    step = Sim3(np.eye(3), np.array([1.0 + off, 0.0, 0.0]), scale)
    net, S, _ = net_of(nodes, [Edge(0, 1, step, SIGMAS, EdgeKind.LOOP)])
    return net, S


def test_errors_count_in_deviations() -> None:
    """0.6 of a length known to 0.3, and a log-scale of 0.1 known to 0.05: two deviations each."""
    assert pair(0.6)[0].errors_sigma(pair(0.6)[1]) == pytest.approx([2.0])
    net, S = pair(0.0, float(np.exp(0.1)))
    assert net.errors_sigma(S) == pytest.approx([2.0])


def test_a_scale_that_is_far_off_is_found_in_a_few_steps() -> None:
    net, S = pair(0.5, float(np.exp(2.0)))
    found = NetSolver(np.array([True, False])).solve(S, net, 8)
    assert found.s[1] == pytest.approx(np.exp(2.0), rel=1e-3)
    np.testing.assert_allclose(found.t[1], [1.5, 0.0, 0.0], atol=1e-3)


@pytest.mark.parametrize("turn", [0.1, 1.0])
def test_the_derivative_of_the_logarithm_is_what_differences_say(turn: float) -> None:
    x = np.array([0.5 * turn, -0.3 * turn, 0.6 * turn, 1.0, -2.0, 0.5, 0.3 * turn])
    S = similarity(x)
    log = logarithm(Sim3Batch.of([S]))
    found = _log_jacobian(log)[0]
    for k in range(7):
        step = np.where(np.arange(7) == k, 1e-6, 0.0)
        ahead, behind = (logarithm(_moved(Sim3Batch.of([S]), sign * step[None]))[0] for sign in (1, -1))
        np.testing.assert_allclose(found[:, k], (ahead - behind) / 2e-6, atol=2e-3)


@pytest.mark.parametrize(("n", "seed", "far"), [(5, 3, 2.0), (3, 0, 4.0)])
def test_a_step_that_would_make_it_worse_is_shortened(n: int, seed: int, far: float) -> None:
    """Nodes that begin so far off that the first whole step leads farther away."""
    rng = np.random.default_rng(seed)
    true = along(n, rng)
    net, S, held = net_of(true, measured(true, min(6, n), 4, rng))
    off = rng.normal(0, far * np.array([1.0] * 3 + [2.0] * 3 + [0.5]), (n, 7))
    start = _moved(S, np.where(held[:, None], 0.0, off))
    best = net.cost(NetSolver(held).solve(S, net, 50))
    assert net.cost(start) > 100.0 * best
    assert net.cost(NetSolver(held).solve(start, net, 60)) == pytest.approx(best, rel=1e-3)


def test_what_is_not_finite_is_refused() -> None:
    rng = np.random.default_rng(4)
    true = along(4, rng)
    net, S, held = net_of(true, measured(true, 3, 2, rng))
    S.t[2] = np.nan
    with pytest.raises(GraphError, match="not finite"):
        NetSolver(held).solve(S, net, 5)


def test_hubers_kernel_is_a_square_and_then_a_line() -> None:
    assert huber_cost(np.array([2.0, 3.0, 5.0])) == pytest.approx(2.0 + 4.5 + 3.0 * 3.5)
