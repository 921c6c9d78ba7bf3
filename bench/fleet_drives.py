"""Many short drives through one city and through another that looks like it, made up: which maps are merged."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bench.fleet_made_up import (
    SEEN_FALSE,
    SEEN_TRUE,
    Drives,
    bonds_of,
    codes_of,
    deceived,
    false_bond,
    overlap_of,
    places_of,
)
from bench.fleet_scale import TRAJECTORY
from vgslam.errors import InputError
from vgslam.fleet.bridges import Bridged, solve_bridged
from vgslam.fleet.meet import Known
from vgslam.fleet.merge_many import candidate_pairs
from vgslam.fleet.ties import Bond
from vgslam.geometry import se3
from vgslam.geometry.robust_similarity import umeyama
from vgslam.geometry.sim3 import Sim3
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.types import Array, Ids

CITY, OTHER = 12, 4  # drives through the city, and through the one that looks like it
FRAMES = 60  # frames of a drive: about 50 m
STEP = 30  # frames from the beginning of one drive to that of the next: neighbours overlap by half
STEPS = (30, 40, 45, 50, 55)  # the same, for what becomes of drives that overlap by less
KEYFRAMES = 16
CHANGED_BITS = 300  # bits of 2048 by which the places of the other city differ from those that they look like
Kind = Literal["independent", "agreeing, one place", "agreeing, places apart", "agreeing, all of the street"]
KINDS: tuple[Kind, ...] = (
    "independent", "agreeing, one place", "agreeing, places apart", "agreeing, all of the street"
)  # fmt: skip
"""False bonds that say each something else; that drives past one house and its like make; past several places of one
street that look like those of another at the same distances, with other houses between; and of a street that was built
twice, house by house. Those that agree lay a drive of the other city on those of this one."""
PLACES_AT = {1: (10,), 2: (10, 40), 3: (5, 25, 45)}
"""Frames of the other drive at which its look-alike places lie, by their number."""


def measure_drives(data: Path, seeds: Sequence[int]) -> tuple[dict[str, Any], list[str]]:
    """What is merged for each seed, kind and number of false bonds between the cities, and by how much the drives
    overlap; figures and a page."""
    file = data / TRAJECTORY
    if not file.is_file():
        raise InputError(f"{file}: no such file; give the folder of the sequences with --data")
    T = read_trajectory(file).T_world_cam
    cases: list[tuple[Kind, int]] = [(KINDS[0], 0), *((kind, n) for kind in KINDS for n in (1, 2, 3))]
    rows = [_measured(T, seed, kind, n) for kind, n in cases if _is_possible(kind, n) for seed in seeds]
    overlaps = [_measured(T, seed, KINDS[0], 0, step) for step in STEPS for seed in seeds]
    return {"rows": rows, "overlaps": overlaps}, _page(rows, overlaps, len(seeds))


def _is_possible(kind: Kind, n: int) -> bool:
    """One false bond agrees with no other; two drives of the city, and no more, pass one place."""
    return kind == "independent" or (n == 2 if kind == "agreeing, one place" else n > 1)


def _measured(T: Array, seed: int, kind: Kind, n_false: int, step: int = STEP) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    begin = int(rng.integers(0, len(T) - step * CITY - FRAMES))
    begins = np.array([begin + step * i for i in (*range(CITY), *range(0, 2 * OTHER, 2))])
    pairs = candidate_pairs(_about(T, begins, rng))
    true = [p for p in pairs if _overlap(begins, p)]
    across = [p for p in pairs if (p[0] < CITY) != (p[1] < CITY)]
    drives = Drives(begins, FRAMES)
    nodes, bonds, _ = bonds_of(T, drives, true, rng)
    false = _false_bonds(T, drives, nodes, kind, n_false, rng, across)
    found = solve_bridged([*bonds, *false], {i: float(FRAMES) for i in range(len(begins))})
    return {
        "seed": seed, "step": step, "kind": kind, "false_bonds": len(false), "pairs": len(pairs),
        "pairs_across": len(across), "true_bonds": len(bonds), **_outcome(nodes, bonds, found),
    }  # fmt: skip


def _about(T: Array, begins: Ids, rng: np.random.Generator) -> dict[int, Known]:
    keyframes, places = np.linspace(0, FRAMES - 1, KEYFRAMES).round().astype(int), places_of(T)
    about = {}
    for i, b in enumerate(begins.tolist()):
        codes = codes_of(places[b + keyframes], rng)
        about[i] = Known(codes if i < CITY else _alike(codes, rng), keyframes, {0: FRAMES})
    return about


def _outcome(nodes: Sequence[Sim3], true: Sequence[Bond], found: Bridged) -> dict[str, Any]:
    anchors = found.anchors
    group = max(([n for n in g if n < CITY] for g in [*anchors.groups, [0]]), key=len)
    at, solved = (np.array([S[n].t for n in group if n in anchors.nodes]) for S in (nodes, anchors.nodes))
    off = np.linalg.norm(at - umeyama(at, solved).apply(solved), axis=1) if len(at) > 2 else np.zeros(1)
    doubtful = {(b.a, b.b) for b in found.doubtful}
    return {
        "city_together": len(group), "false_merges": sum(len({n < CITY for n in g}) > 1 for g in anchors.groups),
        "refused": len(anchors.refused), "doubtful": len(doubtful), "aside": len(anchors.aside),
        "true_lost": len(doubtful & {(b.a, b.b) for b in true}), "error_m": float(np.median(off)),
    }  # fmt: skip


def _alike(codes: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    bits = np.unpackbits(codes, axis=1)
    for row in bits:
        row[rng.choice(2048, CHANGED_BITS, replace=False)] ^= 1
    return np.packbits(bits, axis=1)


def _overlap(begins: Ids, pair: tuple[int, int]) -> bool:
    same_city = (pair[0] < CITY) == (pair[1] < CITY)
    return same_city and abs(int(begins[pair[0]] - begins[pair[1]])) < FRAMES


def _false_bonds(
    T: Array, drives: Drives, nodes: list[Sim3], kind: Kind, n: int, rng: np.random.Generator,
    across: list[tuple[int, int]],
) -> list[Bond]:  # fmt: skip
    """Places of the other city taken for some of this one."""
    if kind == "independent":
        chosen = [across[i] for i in sorted(rng.permutation(len(across))[:n].tolist())]
        return [
            false_bond(T, drives, nodes, p, _wrong(rng, nodes[p[1]].s), int(rng.integers(FRAMES - 15)), rng)
            for p in chosen
        ]
    nth = int(rng.integers(1, OTHER))  # drives 2 nth - 1, 2 nth and 2 nth + 1 of the city lie on it
    other, first = CITY + nth, 2 * nth - (n == 3)
    at = [STEP + 10] * n if kind == "agreeing, one place" else PLACES_AT[n]
    begins = [STEP * (first + k - 2 * nth) for k in range(n)]  # from the first frame of the other drive
    places, found = places_of(T), list[Bond]()
    for k in range(n):
        pair, since = (first + k, other), at[k] - begins[k]
        alike = None if kind == "agreeing, all of the street" else deceived(T, drives, pair[0], since)
        bond = false_bond(T, drives, nodes, pair, Sim3.identity(), since, rng)
        found.append(replace(bond, overlap=overlap_of(T, places, drives, pair, rng, alike)))
    return found


def _wrong(rng: np.random.Generator, scale: float) -> Sim3:
    turn, shift = se3.so3_exp(rng.normal(0, 0.7, 3)), rng.normal(0, 20.0, 3) / scale
    return Sim3(turn, shift, float(np.exp(rng.normal(0, 0.5))))


def _page(rows: list[dict[str, Any]], overlaps: list[dict[str, Any]], n_seeds: int) -> list[str]:
    lines = []
    for kind, n in dict.fromkeys((r["kind"], r["false_bonds"]) for r in rows):
        some = [r for r in rows if (r["kind"], r["false_bonds"]) == (kind, n)]
        lines.append(
            f"| {n} | {kind if n else ''} | {min(r['city_together'] for r in some)} | "
            f"{sum(r['false_merges'] > 0 for r in some)} of {len(some)} | "
            f"{sum(r['true_lost'] for r in some)} of {sum(r['true_bonds'] for r in some)} | "
            f"{np.mean([r['refused'] for r in some]):.1f} | {np.mean([r['doubtful'] for r in some]):.1f} | "
            f"{np.median([r['error_m'] for r in some]):.2f} |"
        )
    less = []
    for step in dict.fromkeys(r["step"] for r in overlaps):
        some = [r for r in overlaps if r["step"] == step]
        less.append(
            f"| {FRAMES - step} | {sum(r['true_bonds'] for r in some)} | {sum(r['true_lost'] for r in some)} | "
            f"{', '.join(str(r['city_together']) for r in some)} |"
        )
    return [
        "## Made-up drives through a city and a look-alike", "",
        f"{CITY} drives through one city and {OTHER} through another whose places look like its own, {n_seeds} seeds. "
        "No map is read and no pair verified: false bonds between the cities are put in by their number. Each is a row "
        "of keyframes that a look-alike deceives. Agreeing ones lay a drive of the other city on those of this one: "
        "those of all drives past one house; those past several places at the same distances, between which other "
        "houses stand; and those of a street that was built twice, house by house. Of what must be seen "
        f"{100 * SEEN_TRUE:.0f} % verify where it is there, {100 * SEEN_FALSE:.0f} % where it is not.", "",
        "| false bonds | which | drives of the city in one map, least | cities merged | true bonds doubted | bonds "
        "refused, mean | doubted, mean | median error, m |", "|---:|---|---:|---:|---:|---:|---:|---:|", *lines, "",
        "Without false bonds, by how much the drives overlap:", "",
        "| frames in common | true bonds | of these doubted | drives of the city in one map, by seed |",
        "|---:|---:|---:|---|", *less,
    ]  # fmt: skip
