"""Ties are edges between pieces of the map that no odometry joins. As many as can be true together are chosen.

Ties between the same two pieces that agree through the odometry are a camp. Trees of camps are grown from the largest
ones, each piece put where most of its ties say, after the consensus of pairwise consistent measurements (Mangelson et
al., ICRA 2018) with cycles through any number of pieces. The answer does not depend on the order of the ties.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vgslam.graph.loop_consistency import Measured, agree_in_pairs
from vgslam.graph.odometry_path import OdometryPath
from vgslam.graph.roots import Roots
from vgslam.graph.tie_tree import TieTree
from vgslam.types import Array, Edge

MOST_CAMPS = 8  # between the same two pieces; ties beyond are taken for false
MOST_LEADERS = 8  # ties that are tried as the middle of a camp
MOST_SEEDS = 8  # camps from which trees are grown
WORST_SHARE = 0.5  # ties off by less than this share of the worst stay for now: the worst may cause their errors
MOST_OPTIONS = 8  # camps that may place the next piece


@dataclass(frozen=True)
class TieChoice:
    """The ties that can be true together."""

    is_kept: np.ndarray
    """(N,): whether a tie is one of them."""
    tree: list[int]
    """Indices of kept ties that hold the pieces together without a cycle. They join all pieces that the ties join."""


@dataclass(frozen=True)
class _Camp:
    """Ties between two pieces that agree. The camp with the larger weight goes first."""

    pieces: frozenset[int]
    leader: int  # index of the tie that represents the others
    members: list[int]  # indices of the ties
    weight: float


def choose_ties(path: OdometryPath, ties: Sequence[Edge], is_metric: bool = False) -> TieChoice:
    """The most ties that agree with one place of every piece; of equally many, those with more inliers, then with
    smaller ids. path: odometry of all keyframes that the ties name. Raises KeyError for a tie that names others."""
    rank = [(max(e.id_a, e.id_b), min(e.id_a, e.id_b), str(e.kind)) for e in ties]
    order = sorted(range(len(ties)), key=rank.__getitem__)
    choice = _Search(path, [ties[i] for i in order], is_metric).run()
    is_kept = np.zeros(len(ties), bool)
    is_kept[np.array(order, np.int64)[choice.is_kept]] = True
    return TieChoice(is_kept, [order[i] for i in choice.tree])


class _Search:
    def __init__(self, path: OdometryPath, ties: list[Edge], is_metric: bool) -> None:
        self.path, self.is_metric = path, is_metric
        turned = np.array([path.piece_of(e.id_a) > path.piece_of(e.id_b) for e in ties], bool)
        self.all = Measured.of(ties).turned(turned)
        self.ties = [self.all[np.array([i])] for i in range(len(ties))]
        self.ratios = [e.inlier_ratio for e in ties]

    def run(self) -> TieChoice:
        is_kept, tree = np.zeros(len(self.ties), bool), list[int]()
        for camps in _groups(self._camps()):
            best, leaders = self._best_tree(camps)
            for camp in best:
                is_kept[camp.members] = True
            tree += leaders
        return TieChoice(is_kept, tree)

    def _camps(self) -> list[_Camp]:
        """All camps, the largest first."""
        between: dict[frozenset[int], list[int]] = {}
        for i, tie in enumerate(self.ties):
            pieces = self.path.piece_of(int(tie.a[0])), self.path.piece_of(int(tie.b[0]))
            between.setdefault(frozenset(pieces), []).append(i)
        camps = [camp for pieces, rest in between.items() for camp in self._camps_between(pieces, rest)]
        return sorted(camps, key=lambda c: (-c.weight, c.leader))

    def _camps_between(self, pieces: frozenset[int], rest: list[int]) -> list[_Camp]:
        camps: list[_Camp] = []
        while rest and len(camps) < MOST_CAMPS:
            at = np.unique(np.linspace(0, len(rest) - 1, min(MOST_LEADERS, len(rest))).round().astype(int))
            pairs = np.array([[i, j] for i in at for j in range(len(rest))])
            agree, _ = agree_in_pairs(self.path, self.all[np.array(rest)], pairs, self.is_metric)
            agree = agree.reshape(len(at), len(rest))
            leader = int(np.argmax(agree.sum(1)))
            is_in = agree[leader]
            is_in[at[leader]] = True
            members = [i for i, yes in zip(rest, is_in, strict=True) if yes]
            weight = len(members) + 1e-6 * sum(self.ratios[i] for i in members)
            camps.append(_Camp(pieces, rest[at[leader]], members, weight))
            rest = [i for i, yes in zip(rest, is_in, strict=True) if not yes]
        return camps

    def _best_tree(self, camps: list[_Camp]) -> tuple[list[_Camp], list[int]]:
        """The camps of joined pieces that can be true together, and the ties of their tree."""
        best: tuple[list[_Camp], list[int]] = [], []
        most = _most(camps)
        for seed in camps[:MOST_SEEDS]:
            grown = self._grown_from(seed, camps)
            if not best[0] or _weight(grown[0]) > _weight(best[0]) + 1e-9:
                best = grown
            if _weight(best[0]) > most - 1e-9:
                break
        return best

    def _grown_from(self, seed: _Camp, camps: list[_Camp]) -> tuple[list[_Camp], list[int]]:
        tree = TieTree(self.path, self.is_metric)
        tree.add(self.ties[seed.leader])
        placed, kept, leaders = set(seed.pieces), [seed], [seed.leader]
        rest = [c for c in camps if c.pieces != seed.pieces]  # others between the seed's pieces contradict it
        while options := [c for c in rest if len(c.pieces & placed) == 1]:
            camp, agreeing = self._best_option(tree, options, placed)
            tree.add(self.ties[camp.leader])
            leaders.append(camp.leader)
            kept += agreeing
            placed |= camp.pieces
            rest = [c for c in rest if not c.pieces <= placed]
        return kept, leaders

    def _best_option(self, tree: TieTree, options: list[_Camp], placed: set[int]) -> tuple[_Camp, list[_Camp]]:
        """The camp that places a new piece so that most of that piece's ties agree, and the camps that do."""
        best: tuple[_Camp, list[_Camp]] | None = None
        for camp in options[:MOST_OPTIONS]:
            rivals = [c for c in options if c.pieces - placed == camp.pieces - placed]
            most = _most(rivals)
            tree.add(self.ties[camp.leader])
            agreeing = [c for c in rivals if c is camp or tree.agrees(self.ties[c.leader])]
            tree.take_back(self.ties[camp.leader])
            if best is None or _weight(agreeing) > _weight(best[1]) + 1e-9:
                best = camp, agreeing
            if _weight(agreeing) > most - 1e-9:
                break
        assert best is not None
        return best


def _weight(camps: list[_Camp]) -> float:
    return sum(c.weight for c in camps)


def _most(camps: list[_Camp]) -> float:
    """Weight of the largest camps, one for each two pieces: no more can be true together."""
    largest: dict[frozenset[int], float] = {}
    for c in camps:
        largest[c.pieces] = max(c.weight, largest.get(c.pieces, 0.0))
    return sum(largest.values())


def _groups(camps: list[_Camp]) -> list[list[_Camp]]:
    """The camps of each set of pieces that they join."""
    groups: list[tuple[set[int], list[_Camp]]] = []
    for camp in camps:
        touched = [g for g in groups if g[0] & camp.pieces]
        groups = [g for g in groups if not g[0] & camp.pieces]
        pieces = set(camp.pieces).union(*(g[0] for g in touched))
        groups.append((pieces, [c for g in touched for c in g[1]] + [camp]))
    return [sorted(g[1], key=lambda c: (-c.weight, c.leader)) for g in groups]


def fit_together(path: OdometryPath, ties: Sequence[Edge], tie: Edge, is_metric: bool = False) -> bool:
    """Whether a tie agrees with other ties that are taken for true; True if those do not hold its two pieces."""
    tree = TieTree(path, is_metric)
    for e, holds in zip(ties, holding_ties(path, ties), strict=True):
        if holds:
            tree.add(Measured.of([e]))
    return tree.agrees(Measured.of([tie]))


def first_contradicted(path: OdometryPath, ties: Sequence[Edge], errors: Array, limit: float) -> list[Edge]:
    """The ties to leave out first, given their errors (N,) at the optimum: the worst of those beyond the limit,
    because one false tie pushes true ones beyond it too. Ties without which pieces would fall apart stay."""
    order = np.argsort(errors, kind="stable")
    may_go = np.zeros(len(ties), bool)
    may_go[order] = ~holding_ties(path, [ties[i] for i in order.tolist()])
    may_go &= errors > limit
    if not may_go.any():
        return []
    worst = may_go & (errors > WORST_SHARE * errors[may_go].max())
    return [ties[i] for i in np.flatnonzero(worst).tolist()]


def holding_ties(path: OdometryPath, ties: Sequence[Edge]) -> np.ndarray:
    """Mask (N,) of the ties that, taken one after another, join pieces that nothing before them joins."""
    roots = Roots()
    return np.array([roots.join(path.piece_of(e.id_a), path.piece_of(e.id_b)) for e in ties], bool)
