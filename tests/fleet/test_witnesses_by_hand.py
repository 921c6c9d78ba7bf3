"""How many witnesses sights are, and which ways lead round, with places and depths worked out by hand."""

from typing import Any

import numpy as np
import pytest
from fleet.test_bridges import NODES, SIGMAS, bond, row, sure

from vgslam.fleet import bridges
from vgslam.fleet.bridges import solve_bridged
from vgslam.fleet.sights import Sight, Witnesses
from vgslam.fleet.ties import Bond


def sees(x: float, depth: float = 10.0, eye_x: float | None = None) -> Sight:
    """A camera that looks along z at a place on a wall."""
    eye = x if eye_x is None else eye_x
    return Sight(np.array([eye, 0.0, 0.0]), np.array([x, 0.0, depth]))


def both(sight: Sight) -> tuple[Sight, Sight]:
    return sight, sight


def test_a_view_counts_that_is_far_from_all_that_were_counted() -> None:
    """Nine views of one thing, 1.5 apart and at most 11.7 away: a fifth of that is less than 3, and more than 1.5, so
    that every second one counts."""
    views = [both(sees(0.0, eye_x=1.5 * (k - 4))) for k in range(9)]
    assert Witnesses.of(views).n_views == 5


@pytest.mark.parametrize(("x", "is_another"), [(9.0, True), (7.0, False)])
@pytest.mark.parametrize(("first", "second"), [((10.0, 20.0), (10.0, 10.0)), ((10.0, 10.0), (20.0, 10.0))])
def test_the_largest_of_four_depths_says_what_is_another_place(
    x: float, is_another: bool, first: tuple[float, float], second: tuple[float, float]
) -> None:
    """0.4 of 20 is 8, and of 10 only 4."""

    def at(where: float, depths: tuple[float, float]) -> tuple[Sight, Sight]:
        a, b = (Sight(np.array([where, 0.0, -depth]), np.array([where, 0.0, 0.0])) for depth in depths)
        return a, b

    found = Witnesses.of([at(0.0, first)]).elsewhere(Witnesses.of([at(x, second)]))
    assert found.tolist() == [[is_another]]


def test_the_depth_of_a_sight_is_the_way_from_the_eye() -> None:
    sight = Sight(np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0]))
    assert sight.depth == pytest.approx(27**0.5)


def test_two_bonds_join_two_groups_in_whatever_order_they_name_them() -> None:
    """Maps 0 and 3 are one group, 1 and 2 the other: the first bond goes from the one to the other, the second back."""
    groups = [sure(0, 3), sure(1, 2)]
    found = solve_bridged([*groups, bond(0, 1, row(90.0)), bond(2, 3, row(120.0))])
    assert found.anchors.groups == [[0, 1, 2, 3]]
    assert solve_bridged([*groups, bond(0, 1, row(90.0)), bond(2, 3, row(91.0))]).anchors.groups == [[0, 3], [1, 2]]


def test_a_way_round_leads_over_maps_of_any_number() -> None:
    """Round 0, 2, 1, 3 and back: whichever bond is left out, one of the others is gone from the higher to the lower."""
    pairs = [(0, 2), (1, 2), (1, 3), (0, 3)]
    found = solve_bridged([bond(a, b, row(40.0 * n)) for n, (a, b) in enumerate(pairs)])
    assert found.anchors.groups == [[0, 1, 2, 3]]


def test_a_bond_of_which_nothing_is_known_is_no_part_of_a_way_round() -> None:
    bare = Bond(0, 2, NODES[0].inverse() @ NODES[2], SIGMAS, 0.02, 3)
    found = solve_bridged([bond(0, 1, row(0.0)), bond(1, 2, row(30.0)), bare])
    assert found.anchors.groups == []
    assert len(found.doubtful) == 3


def test_sizes_of_maps_are_asked_again_when_bonds_were_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    original = bridges.solve_anchors

    def solve(bonds: list[Bond], sizes: dict[int, float] | None = None, *begun: Any) -> object:
        asked.append((len(bonds), sizes))
        return original(bonds, sizes, *begun)

    monkeypatch.setattr(bridges, "solve_anchors", solve)
    sizes = dict.fromkeys(range(3), 10.0)
    solve_bridged([sure(0, 1), bond(1, 2, row(50.0))], sizes)
    assert asked == [(2, sizes), (1, sizes)]
