"""Many maps become few: pairs that look alike, one verification a pair, anchors, a tree of merges."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from vgslam.errors import MapError, VgslamError
from vgslam.fleet.anchors import Anchors
from vgslam.fleet.bridges import Doubt, between_groups, solve_bridged
from vgslam.fleet.calls import Calls
from vgslam.fleet.fold import Branch, MapTies, fold_two, next_pairs
from vgslam.fleet.meet import Known, Met, known, meet_and_check, tied
from vgslam.fleet.overlap import UNCHECKED, Overlap
from vgslam.fleet.ties import Bond, Tie, bond_of
from vgslam.reloc.map_index import MapIndex, alike_maps

N_NEAR = 60  # codes that are looked at for each: more than those of a map of its own
LEAST_LIKE = 0.15
"""Likeness from which keyframes may show one place: most others are below, nearly all of it above. Verification
decides."""
LEAST_VOTES = 2
"""Keyframes of each of two maps that must look so much like one of the other's for the pair to be verified."""
MOST_PARTNERS = 10  # pairs that are verified for a map, those that look most alike first

MapPart = tuple[int, int]  # number of a map, and a component of it


@dataclass(frozen=True)
class Merged:
    """What became of many maps."""

    groups: list[tuple[Path, list[int]]]  # new maps, and the numbers of those that are in each
    apart: list[int]  # maps that stay as they are
    notes: dict[int, str]  # why a map stays apart, where there is more to say than that it shares no place with another
    n_pairs: int  # pairs of maps that were verified
    n_met: int  # pairs that showed the same places
    refused: list[tuple[int, int]] = field(default_factory=list)  # pairs whose bond contradicts the others
    doubts: list[Doubt] = field(default_factory=list)  # groups, or maps, that one place alone ties


@dataclass(frozen=True)
class Anchored:
    """Where the parts of all maps lie in one another."""

    anchors: Anchors
    edges: MapTies  # the ties of the bonds that are used, between maps
    weights: dict[tuple[int, int], float]  # how many they are
    parts: list[MapPart]  # the parts by the number of their node
    doubts: list[Doubt]  # pairs whose bond is not enough


def merge_many(
    maps: Sequence[Path], out: Path, calls: Calls, say: Callable[[str], None] = lambda line: None
) -> Merged:  # fmt: skip
    """Merges saved maps into new, numbered ones below `out`; those that share nothing stay apart. Raises MapError where
    all maps cannot be read, OutputError."""
    notes: dict[int, str] = {}
    about = _known(maps, calls, notes)
    if not about:
        raise MapError(f"none of {len(maps)} maps can be read: {next(iter(notes.values()))}")
    pairs = candidate_pairs(about)
    say(f"{len(about)} maps, {sum(len(a.keyframes) for a in about.values())} places, {len(pairs)} pairs to verify")
    met = _met(maps, pairs, calls, say)
    ties = {pair: x.ties for pair, x in met.items()}
    found = anchored(about, ties, {pair: x.overlaps for pair, x in met.items()})
    for node, reason in found.anchors.aside.items():
        notes[found.parts[node][0]] = f"put aside: {reason}"
    refused = sorted({_pair(found.parts[b.a][0], found.parts[b.b][0]) for b in found.anchors.refused})
    groups = fold(maps, found.edges, found.weights, out, calls, notes)
    within = {n for _, members in groups for n in members}
    apart = [n for n in range(len(maps)) if n not in within]
    doubts = between_groups(found.doubts, [members for _, members in groups])
    for n in apart:
        mine = [d for d in doubts if n in (d.a, d.b)]
        if mine and n not in notes:
            notes[n] = mine[0].line(maps)
    return Merged(groups, apart, notes, len(pairs), sum(map(bool, ties.values())), refused, doubts)


def _pair(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)


def _known(maps: Sequence[Path], calls: Calls, notes: dict[int, str]) -> dict[int, Known]:
    found: dict[int, Known] = {}
    for i, answer in calls.each(known, [(path,) for path in maps]):
        if isinstance(answer, VgslamError):
            notes[i] = str(answer)
        else:
            found[i] = answer
    return dict(sorted(found.items()))


def candidate_pairs(about: dict[int, Known]) -> list[tuple[int, int]]:
    """Pairs of maps (i < j) that look alike in several places, each map with those that look most like it."""
    if len(about) < 2:
        return []
    codes = np.concatenate([a.codes for a in about.values()])
    maps = np.concatenate([np.full(len(a.codes), n, np.int64) for n, a in about.items()])
    alike = alike_maps(MapIndex(codes, maps), N_NEAR, LEAST_LIKE, LEAST_VOTES)
    partners: dict[int, int] = {}
    chosen = []
    for a, b in alike.maps[np.argsort(-alike.strength, kind="stable")].tolist():
        if min(partners.get(a, 0), partners.get(b, 0)) < MOST_PARTNERS:
            chosen.append((a, b))
            partners[a], partners[b] = partners.get(a, 0) + 1, partners.get(b, 0) + 1
    return sorted(chosen)


def _met(
    maps: Sequence[Path], pairs: Sequence[tuple[int, int]], calls: Calls, say: Callable[[str], None]
) -> dict[tuple[int, int], Met]:  # fmt: skip
    found: dict[tuple[int, int], Met] = {}
    for n, answer in calls.each(meet_and_check, [(maps[i], maps[j]) for i, j in pairs]):
        i, j = pairs[n]
        if isinstance(answer, VgslamError):
            say(f"{maps[i].name} and {maps[j].name} were not verified: {answer}")
        else:
            found[i, j] = answer
    return dict(sorted(found.items()))


def anchored(
    about: dict[int, Known], ties: dict[tuple[int, int], list[Tie]],
    overlaps: dict[tuple[int, int], dict[tuple[int, int], Overlap]] | None = None,
) -> Anchored:  # fmt: skip
    """The anchors of all parts, by the bonds that are believed. overlaps: by maps, then by their components."""
    parts = [(n, c) for n, a in about.items() for c in sorted(a.sizes)]
    node = {part: i for i, part in enumerate(parts)}
    bonds: list[Bond] = []
    kept: dict[tuple[int, int], list[Tie]] = {}
    for (i, j), all_ties in ties.items():
        for (part_i, part_j), some in tied(all_ties).items():
            bond, agreeing = bond_of(node[i, part_i], node[j, part_j], some)
            overlap = (overlaps or {}).get((i, j), {}).get((part_i, part_j), UNCHECKED)
            bonds.append(replace(bond, overlap=overlap))
            kept[bond.a, bond.b] = agreeing
    sizes = {i: float(about[n].sizes[c]) for i, (n, c) in enumerate(parts)}
    bridged = solve_bridged(bonds, sizes)
    edges: MapTies = {}
    for bond in bridged.anchors.used:
        pair = parts[bond.a][0], parts[bond.b][0]
        edges.setdefault(pair, []).extend(kept[bond.a, bond.b])
    doubts = [Doubt.of(parts[b.a][0], parts[b.b][0], kept[b.a, b.b]) for b in bridged.doubtful]
    return Anchored(bridged.anchors, edges, {pair: float(len(e)) for pair, e in edges.items()}, parts, doubts)


def fold(
    maps: Sequence[Path], edges: MapTies, weights: dict[tuple[int, int], float], out: Path, calls: Calls,
    notes: dict[int, str],
) -> list[tuple[Path, list[int]]]:  # fmt: skip
    """Merges two by two, side by side, until nothing is left. What is not believed stays apart, and is noted. Returns
    the new maps and the numbers of those in them."""
    weights = dict(weights)
    branches = [Branch(maps[n], {n: 0}) for n in sorted({n for pair in edges for n in pair})]
    step = 0
    while pairs := next_pairs(branches, weights):
        jobs = []
        for i, j in pairs:
            step += 1
            between = {p: e for p, e in edges.items() if set(p) <= {*branches[i].offsets, *branches[j].offsets}}
            jobs.append((branches[i], branches[j], between, out / ".steps" / f"{step:04d}"))
        gone: set[int] = set()
        made: list[Branch] = []
        for n, answer in calls.each(fold_two, jobs):
            i, j = pairs[n]
            branch, trouble = (None, str(answer)) if isinstance(answer, VgslamError) else answer
            if branch is not None:
                gone |= {i, j}
                made.append(branch)
                continue
            small = min(branches[i].offsets, branches[j].offsets, key=lambda o: (len(o), -min(o)))
            notes |= dict.fromkeys(small, f"not merged: {trouble}")
            x, y = set(branches[i].offsets), set(branches[j].offsets)
            weights = {p: w for p, w in weights.items() if not (x & {*p} and y & {*p})}
        branches = sorted([*(b for k, b in enumerate(branches) if k not in gone), *made], key=lambda b: min(b.offsets))
    return _named([b for b in branches if len(b.offsets) > 1], out)


def _named(branches: list[Branch], out: Path) -> list[tuple[Path, list[int]]]:
    """The maps under their last names, the largest first; those of the steps on the way go."""
    found = []
    for n, branch in enumerate(sorted(branches, key=lambda b: (-len(b.offsets), min(b.offsets))), 1):
        place = out / f"merged-{n}.vgslam"
        branch.path.rename(place)
        found.append((place, sorted(branch.offsets)))
    shutil.rmtree(out / ".steps", ignore_errors=True)
    return found
