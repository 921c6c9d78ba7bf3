"""What is told of maps that one place alone ties."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vgslam.fleet.meet import tied
from vgslam.fleet.ties import Tie, bond_of


@dataclass(frozen=True)
class Doubt:
    """Two maps that show what may be one place, which is not enough."""

    a: int
    """Number of a map."""
    b: int
    keyframes_a: tuple[int, int]
    """The first and the last keyframe of map a that show the place."""
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
