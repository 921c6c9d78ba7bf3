"""Merges of two maps by ties that are known, each checked, and their order: a tree over a group of maps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vgslam.errors import GraphError
from vgslam.fleet.anchors import LIMIT_SIGMA
from vgslam.fleet.ties import Tie
from vgslam.graph.map_graph import MapGraph
from vgslam.graph.robust import edge_errors_sigma
from vgslam.map.slam_map import SlamMap
from vgslam.metric.keep import remember, restore
from vgslam.store.map_folder import MapFolder
from vgslam.store.merge import Joiner, put_beside
from vgslam.store.open import load_map
from vgslam.types import Edge, EdgeKind

LEAST_SHARE = 0.5  # least share of the ties between two maps that have to hold after the merge
MOST_STRAIN_SIGMA = 12.0  # error of a step of odometry, in its deviations, beyond which a merge has torn a map apart


def merge_two(merged: SlamMap, other: SlamMap, joiner: Joiner) -> int:
    """Puts `other` beside `merged` and joins what belongs together, metres and gravity kept. Returns the number of
    components joined. Raises MapError and OutputError."""
    put_beside(merged, other)
    anchors = remember(merged)
    n_joined = joiner.join(merged)
    restore(merged, anchors)
    return n_joined


@dataclass
class TieJoiner:
    """Joins components by ties that were verified before; implements `store.merge.Joiner`. notes: what went wrong."""

    edges: Sequence[Edge]  # the ties, by the keyframes of the map that holds both
    notes: list[str] = field(default_factory=list)

    def join(self, slam_map: SlamMap) -> int:
        """The number of components that were joined. The graph is solved once, with all ties."""
        if not self.edges:
            return 0
        before = {k.component_id for k in slam_map.keyframes}
        try:
            MapGraph(slam_map).close(list(self.edges))
        except GraphError as error:
            self.notes.append(f"not joined: {error}")
            return 0
        return len(before) - len({k.component_id for k in slam_map.keyframes})


def trouble_of(m: SlamMap, ties: Sequence[Edge]) -> str:
    """Why a merged map cannot be believed: most ties do not hold, or a map was torn. Empty if it can."""
    nodes = {k.id: k.S_world_keyframe for k in m.keyframes}
    component = {k.id: k.component_id for k in m.keyframes}
    if not all(np.isfinite(S.matrix()).all() for S in nodes.values()):
        return "it holds numbers that are not finite"
    joined = [e for e in ties if component[e.id_a] == component[e.id_b]]
    held = int((edge_errors_sigma(nodes, joined) <= LIMIT_SIGMA).sum())
    if held < max(1.0, LEAST_SHARE * len(ties)):
        return f"{held} of {len(ties)} ties hold"
    steps = [e for e in m.edges.values() if e.kind is EdgeKind.ODOMETRY]
    strain = float(edge_errors_sigma(nodes, steps).max(initial=0.0))
    if strain > MOST_STRAIN_SIGMA:
        return f"a step between two keyframes is off by {strain:.0f} sigma"
    return ""


@dataclass(frozen=True)
class Branch:
    """A map that a fold works on: one that was given, or what two branches gave."""

    path: Path
    offsets: dict[int, int]  # the given maps that are in it, and the ids of their first keyframes


MapTies = dict[tuple[int, int], list[Tie]]  # ties between two given maps, by their numbers


def fold_two(a: Branch, b: Branch, ties: MapTies, out: Path) -> tuple[Branch | None, str]:
    """Merges two branches into a new map; None and why where that is not believed. Raises MapError and OutputError."""
    merged, other = load_map(a.path), load_map(b.path)
    offset = len(merged.keyframes)
    offsets = a.offsets | {n: k + offset for n, k in b.offsets.items()}
    edges = _between(a, b, ties, offsets)
    joiner = TieJoiner(edges)
    n_joined = merge_two(merged, other, joiner)
    trouble = joiner.notes[0] if joiner.notes else "" if n_joined else "their ties join nothing"
    trouble = trouble or trouble_of(merged, edges)
    if trouble:
        return None, trouble
    with MapFolder(out) as folder:
        folder.save(merged)
    return Branch(out, offsets), ""


def _between(a: Branch, b: Branch, ties: MapTies, offsets: dict[int, int]) -> list[Edge]:
    """All ties between maps of the two branches, by the keyframes of the map that holds both."""
    found = []
    for (i, j), some in sorted(ties.items()):
        if (i in a.offsets and j in b.offsets) or (i in b.offsets and j in a.offsets):
            found += [tie.edge(offsets[i], offsets[j]) for tie in some]
    return found


def next_pairs(branches: Sequence[Branch], weights: dict[tuple[int, int], float]) -> list[tuple[int, int]]:
    """Pairs of branches to be merged side by side: the heaviest ties first, each branch once. Indices (i < j)."""
    of = {n: i for i, branch in enumerate(branches) for n in branch.offsets}
    heavy: dict[tuple[int, int], float] = {}
    for (x, y), weight in weights.items():
        if x in of and y in of and of[x] != of[y]:
            pair = (min(of[x], of[y]), max(of[x], of[y]))
            heavy[pair] = heavy.get(pair, 0.0) + weight
    taken: set[int] = set()
    pairs = []
    for pair in sorted(heavy, key=lambda p: (-heavy[p], p)):
        if taken.isdisjoint(pair):
            pairs.append(pair)
            taken |= set(pair)
    return pairs
