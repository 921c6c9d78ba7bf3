"""What is told of maps that one place alone ties."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vgslam.fleet.ties import Tie


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
        """Of two maps and the ties between them."""
        ids_a, ids_b = [tie.a for tie in ties], [tie.b for tie in ties]
        return Doubt(a, b, (min(ids_a), max(ids_a)), (min(ids_b), max(ids_b)), len(ties))

    def line(self, maps: Sequence[Path]) -> str:
        """One line for a person."""
        (a0, a1), (b0, b1) = self.keyframes_a, self.keyframes_b
        return (
            f"not merged: one place alone ties {maps[self.a]} (keyframes {a0} to {a1}) and {maps[self.b]} (keyframes "
            f"{b0} to {b1}), and another may look like it; record again from there along one of them, or past two places"
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
