"""What ties two groups of maps: two places do, one alone does not, and what looks like it from far aside does."""

from pathlib import Path

import numpy as np
import pytest

from vgslam.fleet.bridges import Doubt, between_groups, solve_bridged
from vgslam.fleet.sights import Sight, Witnesses
from vgslam.fleet.ties import Bond
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3

DEPTH = 10.0
SIGMAS = np.array([0.02] * 3 + [0.5] * 3 + [0.05])
NODES = [
    Sim3(se3.so3_exp(np.array([0.1 * n, 0.3 * n, 0.0])), np.array([20.0 * n, 0.0, 0.0]), 1.0 + 0.1 * n)
    for n in range(9)
]
"""S_world_part: each in a frame and a scale of its own."""
ALONG = (0.0, 1.0, 2.0)
"""Where the keyframes of a row stand, from the first."""


def looks(eye_x: float, seen_x: float | None = None) -> Sight:
    """From a place on the x axis, aside or at something else."""
    return Sight(np.array([eye_x, 0.0, 0.0]), np.array([eye_x if seen_x is None else seen_x, 0.0, DEPTH]))


def bond(a: int, b: int, sights: list[Sight], wrong: Sim3 | None = None, others: list[Sight] | None = None) -> Bond:
    """A bond that says the truth, or `wrong`, with what is seen, in the world; others: what side b sees, if another."""
    S = NODES[a].inverse() @ (wrong or Sim3.identity()) @ NODES[b]
    there = ((wrong or Sim3.identity()) @ NODES[b]).inverse()
    pairs = tuple(
        (x.through(NODES[a].inverse()), y.through(there)) for x, y in zip(sights, others or sights, strict=True)
    )
    sigmas = SIGMAS / np.array([1, 1, 1, *[NODES[a].s] * 3, 1])
    return Bond(a, b, S, sigmas, 0.02, len(sights), Witnesses.of(pairs))


def row(x: float, *steps: float) -> list[Sight]:
    return [looks(x + d) for d in steps or ALONG]


def sure(a: int, b: int) -> Bond:
    return bond(a, b, [*row(20.0 * a), *row(20.0 * a + 15)])


@pytest.mark.parametrize(
    ("x", "is_believed"), [((0, 0.5, 4.6, 5.1), True), ((0, 0.5, 4.4, 5.1), False), ((0, 0.5, 1.0, 7.0), False)]
)
def test_two_places_are_enough_if_they_lie_apart(x: tuple[float, ...], is_believed: bool) -> None:
    """More than 4 where one sees 10 far, and two keyframes each."""
    found = solve_bridged([bond(0, 1, row(5.0, *x))])
    assert found.anchors.groups == ([[0, 1]] if is_believed else [])
    assert [(b.a, b.b) for b in found.doubtful] == ([] if is_believed else [(0, 1)])


def test_places_that_lie_apart_on_one_side_only_are_one() -> None:
    """Two far ends of a street are both found where the other map is: then one of them is wrong."""
    here, there = row(0.0, 0.0, 1.0, 12.0, 13.0), row(0.0, 0.0, 1.0, 2.0, 3.0)
    assert solve_bridged([bond(0, 1, here)]).doubtful == []
    assert len(solve_bridged([bond(0, 1, here, others=there)]).doubtful) == 1
    assert len(solve_bridged([bond(0, 1, there, others=here)]).doubtful) == 1


@pytest.mark.parametrize(("n", "step", "is_believed"), [(6, 2.35, True), (5, 2.35, False), (6, 1.9, False)])
def test_one_place_is_enough_in_six_views_with_parallax(n: int, step: float, is_believed: bool) -> None:
    """All look at one thing, at most 11.6 away, from places that have to be a fifth of that apart."""
    at = step * (np.arange(n) - (n - 1) / 2)
    sights = [looks(float(x), 0.0) for x in at]
    assert bool(solve_bridged([bond(0, 1, sights)]).anchors.groups) is is_believed


def test_many_views_from_one_place_are_one() -> None:
    sights = [looks(0.01 * k, 0.0) for k in range(40)]
    assert len(solve_bridged([bond(0, 1, sights)]).doubtful) == 1
    assert Witnesses.of([(x, x) for x in sights]).n_views == 1


def test_one_bond_between_two_groups_does_not_join_them() -> None:
    groups = [sure(0, 1), sure(1, 2), sure(3, 4)]
    found = solve_bridged([*groups, bond(2, 3, row(50.0))])
    assert found.anchors.groups == [[0, 1, 2], [3, 4]]
    assert [(b.a, b.b) for b in found.doubtful] == [(2, 3)]
    assert solve_bridged([*groups, bond(2, 3, [*row(50.0), *row(65.0)])]).anchors.groups == [[0, 1, 2, 3, 4]]


def test_two_bonds_join_two_groups_if_they_show_two_places() -> None:
    groups = [sure(0, 1), sure(1, 2), sure(3, 4)]
    found = solve_bridged([*groups, bond(2, 3, row(50.0)), bond(1, 4, row(70.0))])
    assert found.anchors.groups == [[0, 1, 2, 3, 4]]
    assert found.doubtful == []
    found = solve_bridged([*groups, bond(2, 3, row(50.0)), bond(1, 4, row(54.2))])
    assert found.anchors.groups == [[0, 1, 2, 3, 4]], "two of each row lie apart, though not all"
    found = solve_bridged([*groups, bond(2, 3, row(50.0)), bond(1, 4, row(51.0))])
    assert found.anchors.groups == [[0, 1, 2], [3, 4]], "all drives of a city past one house are deceived by its like"
    assert len(found.doubtful) == 2


def test_two_bonds_that_contradict_each_other_join_nothing() -> None:
    wrong = Sim3(se3.so3_exp(np.array([0.0, 0.8, 0.0])), np.array([15.0, 0.0, 5.0]), 1.2)
    bonds = [sure(0, 1), sure(1, 2), sure(3, 4), bond(2, 3, row(50.0), wrong), bond(1, 4, row(70.0))]
    found = solve_bridged(bonds)
    assert found.anchors.groups == [[0, 1, 2], [3, 4]]
    assert len(found.doubtful) + len(found.anchors.refused) == 2


def test_a_false_bond_between_groups_does_not_cost_a_true_one() -> None:
    """The false one has more ties, so that the first solve follows it; the true one shows two places."""
    wrong = Sim3(se3.so3_exp(np.array([0.0, 0.8, 0.0])), np.array([15.0, 0.0, 5.0]), 1.2)
    false = bond(1, 4, row(70.0, *(0.01 * k for k in range(40))), wrong)
    true = bond(2, 3, row(50.0, 0.0, 1.0, 11.0, 12.0))
    found = solve_bridged([sure(0, 1), sure(1, 2), sure(3, 4), false, true])
    assert found.anchors.groups == [[0, 1, 2, 3, 4]]
    assert [(b.a, b.b) for b in [*found.doubtful, *found.anchors.refused]] == [(1, 4)]


def test_a_way_round_over_other_maps_is_a_second_witness() -> None:
    """Three maps, each bond at a place of its own, or all past the same place."""
    found = solve_bridged([bond(0, 1, row(0.0)), bond(1, 2, row(30.0)), bond(0, 2, row(60.0))])
    assert found.anchors.groups == [[0, 1, 2]]
    found = solve_bridged([bond(0, 1, row(0.0)), bond(1, 2, row(2.0)), bond(0, 2, row(4.0))])
    assert found.anchors.groups == []
    assert len(found.doubtful) == 3


def test_a_way_round_is_short() -> None:
    """Five bonds and the one that closes them are believed, six are not: each adds its own error."""
    for n, is_believed in ((6, True), (7, False)):
        chain = [bond(i, i + 1, row(40.0 * i)) for i in range(n - 1)]
        found = solve_bridged([*chain, bond(0, n - 1, row(1000.0))])
        assert bool(found.anchors.groups) is is_believed, n


def test_a_map_without_one_scale_is_put_aside_before_bridges_are_looked_at() -> None:
    """Map 2 is seen at its scale by one map, at twice that by another."""
    collapsed = Sim3(np.eye(3), np.zeros(3), 2.0)
    S = NODES[2].inverse() @ NODES[3] @ collapsed
    wrong = Bond(2, 3, S, sure(2, 3).sigmas, 0.02, 6, sure(2, 3).witnesses)
    bonds = [sure(0, 1), bond(0, 3, [*row(0.0), *row(20.0)]), bond(1, 3, [*row(20.0), *row(40.0)]), sure(1, 2), wrong]
    found = solve_bridged(bonds, dict.fromkeys(range(4), 10.0))
    assert set(found.anchors.aside) == {2}
    assert found.anchors.groups == [[0, 1, 3]]


def test_bonds_of_which_nothing_is_known_are_no_bridge() -> None:
    bare = Bond(0, 1, NODES[0].inverse() @ NODES[1], SIGMAS, 0.02, 9)
    assert solve_bridged([bare]).anchors.groups == []
    assert solve_bridged([]).anchors.groups == []


def test_one_line_for_two_groups_names_maps_and_keyframes() -> None:
    few, many = Doubt(1, 3, (0, 2), (5, 7), 3), Doubt(0, 4, (10, 14), (20, 25), 9)
    within, alone = Doubt(0, 1, (0, 0), (0, 0), 5), Doubt(5, 0, (1, 2), (3, 4), 4)
    found = between_groups([few, many, within, alone], [[0, 1, 2], [3, 4]])
    assert found == [many, alone]
    line = many.line([Path(f"m{i}") for i in range(6)])
    assert line.startswith("not merged: one place alone ties m0 and m4 (keyframes 10 to 14 of m0, 20 to 25 of m4)")
    assert "record again" in line
