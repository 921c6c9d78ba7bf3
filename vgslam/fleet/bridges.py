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
from pathlib import Path

from vgslam.fleet.anchors import Anchors, solve_anchors
from vgslam.fleet.meet import tied
from vgslam.fleet.overlap import UNCHECKED
from vgslam.fleet.sights import Witnesses
from vgslam.fleet.ties import Bond, Tie, bond_of
from vgslam.graph.roots import Roots

MOST_WAY = 5  # bonds of a way round at most: each adds its own uncertainty, so that a longer one ends near many places


@dataclass(frozen=True)
class Bridged:
    """Parts that are tied well enough, and what was not believed."""

    anchors: Anchors  # solved by the bonds that are believed alone
    doubtful: list[Bond]  # bonds that nothing contradicts and nothing else supports: one place alone ties two sides


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


@dataclass(frozen=True)
class Doubt:
    """Two maps that show what may be one place, which is not enough."""

    a: int  # number of a map
    b: int
    keyframes_a: tuple[int, int]  # the first and the last keyframe of map a that show the place
    keyframes_b: tuple[int, int]
    n_ties: int

    @staticmethod
    def of(a: int, b: int, ties: Sequence[Tie]) -> "Doubt":
        """What is told of two maps, from the ties between them."""
        ids_a, ids_b = [tie.a for tie in ties], [tie.b for tie in ties]
        return Doubt(a, b, (min(ids_a), max(ids_a)), (min(ids_b), max(ids_b)), len(ties))

    def where(self, maps: Sequence[Path]) -> str:
        """The place, by the keyframes of both maps."""
        (a0, a1), (b0, b1) = self.keyframes_a, self.keyframes_b
        return f"keyframes {a0} to {a1} of {maps[self.a]}, {b0} to {b1} of {maps[self.b]}"

    def line(self, maps: Sequence[Path]) -> str:
        """One line for a person."""
        return (
            f"not merged: one place alone ties {maps[self.a]} and {maps[self.b]} ({self.where(maps)}), and another may "
            "look like it; record again across it, farther along both, or past a second place that both show"
        )


def between_groups(doubts: Sequence[Doubt], groups: Sequence[Sequence[int]]) -> list[Doubt]:
    """One doubt for each two groups that are still apart, that with most ties. A map in no group is one by itself."""
    of = {n: min(members) for members in groups for n in members}
    best: dict[tuple[int, int], Doubt] = {}
    for d in sorted(doubts, key=lambda d: (-d.n_ties, d.a, d.b)):
        a, b = of.get(d.a, d.a), of.get(d.b, d.b)
        if a != b:
            best.setdefault((min(a, b), max(a, b)), d)
    return [best[pair] for pair in sorted(best)]


def told_of_two(maps: tuple[Path, Path], ties: Sequence[Tie]) -> str:
    """What is told of two maps that were joined because somebody named them, given their ties; empty if these are
    enough."""
    bonds = [bond_of(0, 1, some) for some in tied(ties).values()]
    if any(bond.witnesses.are_enough for bond, _ in bonds):
        return ""
    agreeing = max((kept for _, kept in bonds), key=len, default=[])
    where = f" ({Doubt.of(0, 1, agreeing).where(maps)})" if agreeing else ""
    return (
        f"joined, as you named the two; but one place alone ties them{where}, and another may look like it: see "
        "whether the result is right (`vgslam fleet merge` would have left them apart)"
    )
