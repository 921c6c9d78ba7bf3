"""What maps must have in common where ties lay them over each other, and what follows if they have not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fleet.said import said
from fleet.test_bridges import bond, row, sure
from fleet.walks import N, saved, sight_from, walk
from hand_map import add_landmarks, at, hand_map

from vgslam.fleet import meet as meet_module
from vgslam.fleet.bridges import solve_bridged
from vgslam.fleet.meet import Known, meet_and_check
from vgslam.fleet.merge_many import anchored
from vgslam.fleet.overlap import UNCHECKED, Overlap, Views, alike, overlap, places, spread_out
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.types import Array, Edge, EdgeKind

DEPTH = 10.0


def views(*x: float, first: int = 0, turned_deg: float = 0.0, depth: float = DEPTH) -> Views:
    """Along the x axis, looking along z."""
    axis = se3.so3_exp(np.array([0.0, np.radians(turned_deg), 0.0]))[:, 2]
    eyes = np.column_stack([x, np.zeros((len(x), 2))])
    return Views(first + np.arange(len(x)), eyes, np.tile(axis, (len(x), 1)), np.full(len(x), depth))


@pytest.mark.parametrize(("other", "are_alike"), [
    (views(2.4), True), (views(2.6), False), (views(0.0, turned_deg=14.0), True), (views(0.0, turned_deg=16.0), False),
    (views(0.0, turned_deg=180.0), False), (views(0.0, depth=19.0), True), (views(0.0, depth=21.0), False),
    (views(1.2, depth=5.1), True),
    (views(1.4, depth=5.1), False),
])  # fmt: skip
def test_views_are_alike_within_limits(other: Views, are_alike: bool) -> None:
    """A quarter of the lesser depth, 15 degrees, twice the depth."""
    assert bool(np.isfinite(alike(views(0.0), other))[0, 0]) is are_alike
    assert bool(np.isfinite(alike(other, views(0.0)))[0, 0]) is are_alike


def test_views_of_a_map_are_those_that_see_something_in_the_others_frame() -> None:
    """Keyframe 0 is at (1, 0, 0) and looks along x at what is 4 away; 1 sees nothing. The similarity doubles lengths,
    turns x to y, and moves by 10 along z."""
    m = hand_map([at(x=1.0, turn=(0, 90, 0)), at()])
    add_landmarks(m, 0, np.array([[5.0, 0.0, 0.0], [5.0, 0.1, 0.1], [5.0, -0.1, 0.2]]))
    S = Sim3(se3.so3_exp(np.array([0.0, 0.0, np.pi / 2])), np.array([0.0, 0.0, 10.0]), 2.0)
    found = Views.of(m, np.array([0, 1]), S)
    assert found.ids.tolist() == [0]
    np.testing.assert_allclose(found.eyes, [[0.0, 2.0, 10.0]], atol=1e-12)
    np.testing.assert_allclose(found.axes, [[0.0, 1.0, 0.0]], atol=1e-12)
    np.testing.assert_allclose(found.depths, [8.0])
    np.testing.assert_allclose(found.seen, [[0.0, 10.0, 10.0]], atol=1e-12)


def tied_at(*x: float) -> Array:
    return np.array([[at, 0.0, DEPTH] for at in x])


def test_places_lie_apart_and_the_views_most_alike_are_tried_first() -> None:
    a, b = views(0.0, 1.0, 5.0, 30.0), views(0.1, 1.5, 5.2, 6.0, first=10)
    found = places(a, b, tied_at(0.0))
    assert found == [[(0, 10), (0, 11)], [(2, 12), (2, 13)]], "1 shows what 0 shows; nobody is at 30"


def test_two_are_tried_at_a_place_and_none_that_is_not_alike() -> None:
    assert places(views(0.0), views(0.3, 0.1, 0.2, first=10), tied_at(0.0)) == [[(0, 11), (0, 12)]]
    assert places(views(0.0), views(0.1, 9.0, first=10), tied_at(0.0)) == [[(0, 10)]]


def test_the_larger_depth_says_what_another_place_is() -> None:
    """Two fifths of it: 4 for a view with depth 10 and 8 for one with 20, which looks from 10 further back."""
    for x, n in ((7.9, 1), (8.1, 2)):
        eyes, axes = np.array([[0.0, 0.0, 0.0], [x, 0.0, -10.0]]), np.tile([0.0, 0.0, 1.0], (2, 1))
        a = Views(np.arange(2), eyes, axes, np.array([DEPTH, 2 * DEPTH]))
        assert len(places(a, replace(a, ids=np.arange(10, 12)), tied_at(0.0))) == n


def test_nothing_is_said_of_places_far_from_what_the_ties_show() -> None:
    """Five depths."""
    for x, depth, is_near in ((49.0, DEPTH, True), (51.0, DEPTH, False), (24.0, 5.0, True), (26.0, 5.0, False)):
        there = np.array([[0.0, 0.0, depth]])
        assert bool(places(views(x, depth=depth), views(x, first=5, depth=depth), there)) is is_near
    assert places(views(0.0), views(0.0), np.zeros((0, 3))) == []
    assert places(views(), views(0.0), tied_at(0.0)) == []


def test_places_that_are_looked_at_are_spread_over_all() -> None:
    found = spread_out([[(i, i)] for i in reversed(range(23))])
    assert [p[0][0] for p in found] == list(range(0, 23, 2))
    assert spread_out([]) == []


def test_a_place_is_seen_if_one_pair_verifies_or_has_before() -> None:
    asked: list[tuple[int, int]] = []

    def verifies(i: int, j: int) -> bool:
        asked.append((i, j))
        return (i, j) == (3, 4)

    looks = [[(1, 2)], [(3, 3), (3, 4)], [(5, 5), (5, 6)]]
    assert overlap(looks, {(1, 2)}, verifies) == Overlap(3, 2)
    assert asked == [(3, 3), (3, 4), (5, 5), (5, 6)]


@pytest.mark.parametrize(("n", "seen", "contradicts"), [(4, 1, True), (4, 2, False), (3, 0, False), (12, 5, True)])
def test_half_of_four_places_or_more_must_be_seen(n: int, seen: int, contradicts: bool) -> None:
    assert Overlap(n, seen).contradicts is contradicts


FEW, MOST = Overlap(8, 2), Overlap(8, 6)


def test_two_places_that_agree_tie_nothing_if_all_between_differs() -> None:
    two = bond(0, 1, [*row(0.0), *row(15.0)])
    assert solve_bridged([two]).anchors.groups == [[0, 1]], "without a look"
    assert solve_bridged([replace(two, overlap=MOST)]).anchors.groups == [[0, 1]]
    found = solve_bridged([replace(two, overlap=FEW)])
    assert (found.anchors.groups, len(found.doubtful)) == ([], 1)


@pytest.mark.parametrize(("looks", "are_merged"), [
    ((UNCHECKED, UNCHECKED), True), ((FEW, UNCHECKED), False), ((FEW, FEW), False), ((MOST, MOST), True),
    ((Overlap(3, 0), Overlap(3, 0)), False), ((Overlap(3, 0), MOST), True), ((FEW, MOST), False),
])  # fmt: skip
def test_what_several_bonds_show_together_counts_together(looks: tuple[Overlap, Overlap], are_merged: bool) -> None:
    """Two bonds past a place each, which agree, between the same two groups."""
    across = [bond(2, 3, row(50.0)), bond(1, 4, row(70.0))]
    both = [replace(b, overlap=x) for b, x in zip(across, looks, strict=True)]
    found = solve_bridged([sure(0, 1), sure(1, 2), sure(3, 4), *both])
    assert (len(found.anchors.groups) == 1) is are_merged


def test_a_way_round_leads_over_no_bond_that_is_contradicted() -> None:
    ring = [bond(0, 1, row(0.0)), bond(1, 2, row(30.0)), bond(0, 2, row(60.0))]
    assert solve_bridged(ring).anchors.groups == [[0, 1, 2]]
    assert solve_bridged([*ring[:2], replace(ring[2], overlap=FEW)]).anchors.groups == []


def test_a_contradicted_bond_parts_nothing_that_others_tie() -> None:
    found = solve_bridged([sure(0, 1), sure(1, 2), replace(bond(0, 2, row(0.0)), overlap=FEW)])
    assert found.anchors.groups == [[0, 1, 2]]


class Seen:
    """A meeting of two keyframes."""

    depth = 4.0

    def __init__(self, a: int, b: int) -> None:
        step = sight_from(b - N)
        assert step.depth == pytest.approx(4.0)
        m = walk(Sim3.identity())
        S = m.keyframes[a].S_world_keyframe.inverse() @ m.keyframes[b - N].S_world_keyframe
        self.edge = Edge(a, b, S, np.full(7, 0.01), EdgeKind.LOOP, 0.8)
        self.found = type("Found", (), {"ids": np.array([a])})()


@pytest.mark.parametrize("last", [N - 1, 0])
def test_two_maps_are_looked_at_where_their_ties_lay_them_over_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    """The same walk twice, from frame to frame, and another of which the first keyframes alone look the same. Every
    second of the six keyframes shows another place."""
    paths = [saved(walk(Sim3.identity()), tmp_path / "a")]
    S = Sim3(se3.so3_exp(np.array([0.2, 0.5, 0.0])), np.array([9.0, 1.0, 3.0]), 2.0)
    paths.append(saved(walk(S), tmp_path / "b"))

    class Finder:
        def __init__(self, *_: object) -> None:
            pass

        def forget(self) -> None:
            pass

        def find(self, k: int, other_components: bool) -> list[Seen]:
            return [Seen(k - N, k)] if k - N <= 1 else []

    class Verifier:
        def verify(self, a: int, b: int) -> Seen | None:
            return Seen(a, b) if b - N <= last else None

    monkeypatch.setattr(meet_module, "LoopFinder", Finder)
    monkeypatch.setattr(meet_module, "open_verifier", lambda *_: Verifier())
    monkeypatch.setattr(meet_module, "_rows", lambda m, places, n_a: [range(N, 2 * N)])
    met = meet_and_check(*paths)
    assert len(met.ties) == 2
    assert met.overlaps == {(0, 0): Overlap(3, 3 if last == N - 1 else 1)}


def test_what_was_looked_at_goes_with_the_bond_of_its_components() -> None:
    about = {n: Known(np.zeros((1, 256), np.uint8), np.arange(1), {0: 9}) for n in (0, 4)}
    ties = {(0, 4): [said(Sim3.identity(), a=i) for i in (0, 1, 10, 11)]}
    assert len(anchored(about, ties, {(0, 4): {(0, 0): MOST}}).edges) == 1
    none = anchored(about, ties, {(0, 4): {(0, 0): FEW}})
    assert (none.edges, len(none.doubts)) == ({}, 1)
