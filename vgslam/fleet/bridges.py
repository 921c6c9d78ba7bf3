"""Which bonds tie maps together well enough: a place that looks like another is no bridge.

A false place is verified as well as a true one, but it does not agree with another false place elsewhere (Mangelson et
al., ICRA 2018). So two sides that nothing else ties are joined by what crosses between them if that shows

- two places, which lie apart on both sides (by as much as one sees), or
- one place in so many views with parallax that it is a copy in its shape, or
- one place, and a way round over other maps that ends where this place says, past other places.

All of it is looked at where the solved bonds have put it. A bond that lays two maps over each other and for which the
rest does not look the same (`overlap`) ties nothing, whatever it shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vgslam.fleet.anchors import Anchors, solve_anchors
from vgslam.fleet.overlap import UNCHECKED
from vgslam.fleet.sights import Witnesses
from vgslam.fleet.ties import Bond
from vgslam.graph.roots import Roots

MOST_WAY = 5
"""Bonds of a way round at most: each adds its own uncertainty, so that a longer one ends near many places."""


@dataclass(frozen=True)
class Bridged:
    """Parts that are tied well enough, and what was not believed."""

    anchors: Anchors
    """Solved by the bonds that are believed alone."""
    doubtful: list[Bond]
    """Bonds that nothing contradicts and nothing else supports: one place alone ties two sides."""


def solve_bridged(bonds: Sequence[Bond], sizes: dict[int, float] | None = None) -> Bridged:
    """`solve_anchors` by the bonds that are believed. Raises GraphError."""
    left, doubtful = list(bonds), list[Bond]()
    anchors: Anchors | None = None
    while True:
        anchors = solve_anchors(left, sizes, anchors)
        more = doubtful_of(anchors)
        if not more:
            return Bridged(anchors, doubtful)
        doubtful += more
        out = {(b.a, b.b) for b in more}
        left = [b for b in left if (b.a, b.b) not in out]


def doubtful_of(anchors: Anchors) -> list[Bond]:
    """The bonds in use between sides that they do not tie well enough."""
    bonds = anchors.used
    sides, weak = Roots(), list[int]()
    for i, b in enumerate(bonds):
        if sides.of(b.a) == sides.of(b.b):
            continue
        if not b.overlap.contradicts and _in_one_frame(anchors, b).are_enough:
            sides.join(b.a, b.b)
        else:
            weak.append(i)
    witnesses = {i: _in_one_frame(anchors, bonds[i]) for i in weak}
    while weak:
        weak = [i for i in weak if sides.of(bonds[i].a) != sides.of(bonds[i].b)]
        likely = [i for i in weak if not bonds[i].overlap.contradicts]
        if not _join_sides(sides, bonds, witnesses, likely) and not _join_rounds(sides, bonds, witnesses, likely):
            break
    return [bonds[i] for i in weak]


def _in_one_frame(anchors: Anchors, b: Bond) -> Witnesses:
    return b.witnesses.through(anchors.nodes[b.a], anchors.nodes[b.b])


def _between(sides: Roots, bonds: Sequence[Bond], weak: Sequence[int]) -> dict[tuple[int, int], list[int]]:
    """The weak bonds by the two sides that they lie between, where what these must have in common was found."""
    found: dict[tuple[int, int], list[int]] = {}
    for i in weak:
        a, b = sides.of(bonds[i].a), sides.of(bonds[i].b)
        found.setdefault((min(a, b), max(a, b)), []).append(i)
    overlaps = {pair: sum((bonds[i].overlap for i in some), UNCHECKED) for pair, some in found.items()}
    return {pair: some for pair, some in found.items() if not overlaps[pair].contradicts}


def _join_sides(sides: Roots, bonds: Sequence[Bond], witnesses: Mapping[int, Witnesses], weak: Sequence[int]) -> bool:
    """Joins two sides whose bonds are enough together; whether there were any."""
    joined = False
    for (a, b), some in _between(sides, bonds, weak).items():
        if len(some) > 1 and Witnesses.together([witnesses[i] for i in some]).are_enough:
            joined |= sides.join(a, b)
    return joined


def _join_rounds(sides: Roots, bonds: Sequence[Bond], witnesses: Mapping[int, Witnesses], weak: Sequence[int]) -> bool:
    """Joins two sides that a bond and a way round tie, past different places; whether there were any."""
    between = _between(sides, bonds, weak)
    ways: dict[int, list[tuple[int, list[int]]]] = {}
    for (a, b), some in between.items():
        ways.setdefault(a, []).append((b, some))
        ways.setdefault(b, []).append((a, some))
    joined = False
    for (a, b), some in between.items():
        if any(_leads_round(a, b, witnesses[i], ways, witnesses) for i in some):
            joined |= sides.join(a, b)
    return joined


def _leads_round(
    a: int, b: int, place: Witnesses, ways: dict[int, list[tuple[int, list[int]]]], witnesses: Mapping[int, Witnesses]
) -> bool:  # fmt: skip
    """Whether a few other bonds lead from side a to b, none of which shows the same place."""
    if not len(place.eyes):
        return False
    reached, front = {a}, [a]
    for _ in range(MOST_WAY):
        found = []
        for at in front:
            for to, some in ways[at]:
                is_new = to not in reached and any(
                    len(witnesses[i].eyes) and place.elsewhere(witnesses[i]).all() for i in some
                )
                if is_new:
                    reached.add(to)
                    found.append(to)
        if b in reached:
            return True
        front = found
    return False
