"""Anchors of many maps against known truth: honest bonds, false ones, scales that are none."""

import pickle

import numpy as np
import pytest

from vgslam.fleet.anchors import solve_anchors
from vgslam.fleet.sights import Sight
from vgslam.fleet.ties import Bond, Tie, bond_of
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3

SIGMAS = np.array([0.02] * 3 + [0.2] * 3 + [0.05])


def truth(n: int, seed: int = 0) -> list[Sim3]:
    """Maps along a ring of 10 units, each in units of its own."""
    rng = np.random.default_rng(seed)
    return [
        Sim3(
            se3.so3_exp(rng.normal(0, 1, 3)),
            10 * np.array([np.cos(a), np.sin(a), 0.1 * a]),
            float(np.exp(rng.normal(0, 0.5))),
        )
        for a in 2 * np.pi * np.arange(n) / n
    ]


def bond(
    nodes: list[Sim3], a: int, b: int, rng: np.random.Generator, wrong: Sim3 | None = None, n_ties: int = 4
) -> Bond:
    """What is measured between two maps, within the deviations, which are in units of a."""
    sigmas = SIGMAS / np.array([1, 1, 1, *[nodes[a].s] * 3, 1])
    x = 0.5 * rng.normal(0, sigmas)
    S = (
        nodes[a].inverse()
        @ nodes[b]
        @ Sim3(se3.so3_exp(x[:3]), x[3:6] / (nodes[b].s / nodes[a].s), float(np.exp(x[6])))
    )
    return Bond(a, b, S if wrong is None else S @ wrong, sigmas, 0.02, n_ties)


def ring(nodes: list[Sim3], rng: np.random.Generator) -> list[Bond]:
    """Each map with the next two."""
    n = len(nodes)
    pairs = sorted({(min(i, (i + d) % n), max(i, (i + d) % n)) for i in range(n) for d in (1, 2)})
    return [bond(nodes, a, b, rng) for a, b in pairs]


def worst(nodes: list[Sim3], solved: dict[int, Sim3]) -> tuple[float, float]:
    """Largest error of position, in units of the truth, and of log-scale, in the frame of map 0."""
    off = [nodes[0].inverse() @ nodes[n] for n in solved]
    shift = max(float(np.linalg.norm(S.t - x.t)) * nodes[0].s for S, x in zip(off, solved.values(), strict=True))
    return shift, max(abs(float(np.log(S.s / x.s))) for S, x in zip(off, solved.values(), strict=True))


def test_anchors_are_the_truth_up_to_noise() -> None:
    nodes, rng = truth(8), np.random.default_rng(1)
    found = solve_anchors(ring(nodes, rng))
    assert found.groups == [list(range(8))]
    assert found.refused == []
    assert found.aside == {}
    shift, log_scale = worst(nodes, found.nodes)
    assert shift < 0.6
    assert log_scale < 0.1


@pytest.mark.parametrize("seed", range(3))
def test_false_bonds_are_refused_and_nothing_else(seed: int) -> None:
    """A bond that calls another place the same has another rotation and position, and more ties than the true ones."""
    nodes, rng = truth(10, seed), np.random.default_rng(seed + 10)
    true = ring(nodes, rng)
    wrong = Sim3(se3.so3_exp(np.array([0.0, 0.9, 0.3])), np.array([6.0, -4.0, 1.0]), 1.3)
    false = [bond(nodes, a, b, rng, wrong, n_ties=8) for a, b in ((0, 5), (1, 7))]
    found = solve_anchors([*false, *true])
    assert {(b.a, b.b) for b in found.refused} == {(0, 5), (1, 7)}
    assert worst(nodes, found.nodes)[0] < 0.6


def test_a_bond_that_is_a_little_false_is_refused_after_the_solve() -> None:
    """Ten deviations off in position: too little to be seen before."""
    nodes, rng = truth(8), np.random.default_rng(6)
    wrong = Sim3(np.eye(3), np.array([10 * 0.2 / nodes[4].s, 0.0, 0.0]))
    found = solve_anchors([*ring(nodes, rng), bond(nodes, 0, 4, rng, wrong)])
    assert [(b.a, b.b) for b in found.refused] == [(0, 4)]


def test_maps_that_share_nothing_stay_apart() -> None:
    nodes, rng = truth(6), np.random.default_rng(2)
    found = solve_anchors([bond(nodes, 0, 1, rng), bond(nodes, 1, 2, rng), bond(nodes, 4, 5, rng)])
    assert found.groups == [[0, 1, 2], [4, 5]]
    assert set(found.nodes) == {0, 1, 2, 4, 5}
    assert solve_anchors([]).groups == []


def test_a_map_without_one_scale_is_put_aside() -> None:
    """Map 2 is seen at one end at its scale, at the other at twice that: rotations agree, scales do not."""
    nodes, rng = truth(4), np.random.default_rng(3)
    collapsed = Sim3(np.eye(3), np.zeros(3), 2.0)
    bonds = [
        bond(nodes, 0, 1, rng), bond(nodes, 0, 3, rng), bond(nodes, 1, 3, rng), bond(nodes, 1, 2, rng),
        bond(nodes, 2, 3, rng, collapsed),
    ]  # fmt: skip
    found = solve_anchors(bonds, {0: 10, 1: 10, 2: 10, 3: 10})
    assert set(found.aside) == {2}
    assert "scale" in found.aside[2]
    assert found.groups == [[0, 1, 3]]


def test_the_scale_within_one_bond_is_looked_at_too() -> None:
    """Two maps: the ties of one place say twice what those of the other say. The smaller map goes."""
    nodes, rng = truth(2), np.random.default_rng(4)
    good = bond(nodes, 0, 1, rng)
    loose = Bond(0, 1, good.S_a_b, good.sigmas, 0.7, 6)
    assert solve_anchors([good]).aside == {}
    found = solve_anchors([loose], {0: 50.0, 1: 20.0})
    assert set(found.aside) == {1}
    assert "101 %" in found.aside[1], "exp(0.7) = 2.01"
    assert found.groups == []


def tie(S: Sim3, reach: float = 5.0, a: int = 0) -> Tie:
    sights = Sight(np.array([a, 0.0, 0.0]), np.array([a, 0.0, 3.0])), Sight(np.zeros(3), np.array([0.0, 4.0, 0.0]))
    return Tie(a, 0, 0, 0, Sim3.identity(), np.full(7, 0.01), 0.8, S, reach, *sights)


def test_a_bond_is_what_most_ties_say() -> None:
    near = [tie(Sim3(np.eye(3), np.array([1.0 + x, 0, 0]), 2.0 + x), a=i) for i, x in enumerate((-0.1, 0.0, 0.1))]
    far = tie(Sim3(se3.so3_exp(np.array([0, 0.5, 0])), np.array([9.0, 0, 0]), 2.0))
    found, kept = bond_of(3, 7, [far, *near])
    assert [t.a for t in kept] == [0, 1, 2]
    assert (found.a, found.b, found.n_ties) == (3, 7, 3)
    assert found.witnesses.eyes[:, 0, 0].tolist() == [0.0, 1.0, 2.0]
    np.testing.assert_allclose(found.S_a_b.t, [1.0, 0, 0])
    assert found.S_a_b.s == pytest.approx(2.0)
    assert found.sigmas[0] == pytest.approx(0.02), "not below drift"
    assert found.sigmas[3] == pytest.approx(0.25), "5 % of 5"
    with pytest.raises(ValueError, match="no ties"):
        bond_of(0, 1, [])


def test_ties_survive_the_wire() -> None:
    sent = tie(truth(3)[1], 2.5, 9)
    back: Tie = pickle.loads(pickle.dumps(sent))
    np.testing.assert_array_equal(back.S_middle.matrix(), sent.S_middle.matrix())
    assert (back.a, back.reach, back.inlier_ratio) == (9, 2.5, 0.8)
    assert (back.sight_a.depth, back.sight_b.depth) == (3.0, 4.0)
    np.testing.assert_array_equal(back.sight_a.eye, [9.0, 0.0, 0.0])


def test_lengths_of_a_bond_are_weighed_in_units_of_its_second_map() -> None:
    """0.4 units of the first map are 0.1 of the second, whose unit is four of the first's."""
    made = Bond(0, 1, Sim3(np.eye(3), np.zeros(3), 4.0), np.array([0.02] * 3 + [0.4] * 3 + [0.05]), 0.0, 1)
    np.testing.assert_allclose(made.edge.sigmas, [0.02] * 3 + [0.1] * 3 + [0.05])
