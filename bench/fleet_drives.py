"""Many short drives through one city and through another that looks like it, made up: which maps are merged."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.fleet_scale import FRAMES, TRAJECTORY, bonds_of, codes_of, places_of
from vgslam.errors import InputError
from vgslam.fleet.anchors import solve_anchors
from vgslam.fleet.meet import Known
from vgslam.fleet.merge_many import candidate_pairs
from vgslam.fleet.ties import Bond
from vgslam.geometry import se3
from vgslam.geometry.robust_similarity import umeyama
from vgslam.geometry.sim3 import Sim3
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.types import Array, Ids

CITY, OTHER = 12, 4
"""Drives through the city, and through the one that looks like it."""
STEP = 30
"""Frames from the beginning of one drive to that of the next: neighbours overlap by half."""
KEYFRAMES = 16
CHANGED_BITS = 300
"""Bits of 2048 by which the places of the other city differ from those that they look like."""


def measure_drives(data: Path, seeds: Sequence[int]) -> tuple[dict[str, Any], list[str]]:
    """What is merged for each seed and number of false bonds between the cities; figures and a page."""
    file = data / TRAJECTORY
    if not file.is_file():
        raise InputError(f"{file}: no such file; give the folder of the sequences with --data")
    T = read_trajectory(file).T_world_cam
    rows = [_measured(T, seed, n_false) for n_false in (0, 1, 2, 3) for seed in seeds]
    return {"rows": rows}, _page(rows, len(seeds))


def _measured(T: Array, seed: int, n_false: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    begin = int(rng.integers(0, len(T) - STEP * CITY - FRAMES))
    begins = np.array([begin + STEP * i for i in (*range(CITY), *range(0, 2 * OTHER, 2))])
    keyframes = np.linspace(0, FRAMES - 1, KEYFRAMES).round().astype(int)
    places = places_of(T)
    about = {}
    for i, b in enumerate(begins.tolist()):
        codes = codes_of(places[b + keyframes], rng)
        about[i] = Known(codes if i < CITY else _alike(codes, rng), keyframes, {0: FRAMES})
    pairs = candidate_pairs(about)
    true = [p for p in pairs if _overlap(begins, p)]
    across = [p for p in pairs if (p[0] < CITY) != (p[1] < CITY)]
    nodes, bonds, _ = bonds_of(T, begins, true, rng, false_share=0.0)
    chosen = rng.permutation(len(across))[:n_false]
    taken = [across[i] for i in sorted(chosen.tolist())]
    bonds = [*bonds, *(_false(nodes, a, b, bonds[0].sigmas, rng) for a, b in taken)]
    anchors = solve_anchors(bonds, {i: float(FRAMES) for i in range(len(begins))})
    group = next((g for g in anchors.groups if 0 in g), [0])
    mine = [n for n in group if n < CITY]
    at, found = np.array([nodes[n].t for n in mine]), np.array([anchors.nodes[n].t for n in mine])
    off = np.linalg.norm(at - umeyama(at, found).apply(found), axis=1) if len(mine) > 2 else np.zeros(1)
    return {
        "seed": seed, "false_bonds": len(chosen), "pairs": len(pairs), "pairs_across": len(across),
        "city_together": len(mine), "false_merges": sum(len({n < CITY for n in g}) > 1 for g in anchors.groups),
        "refused": len(anchors.refused), "aside": len(anchors.aside), "error_m": float(np.median(off)),
    }  # fmt: skip


def _alike(codes: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    bits = np.unpackbits(codes, axis=1)
    for row in bits:
        row[rng.choice(2048, CHANGED_BITS, replace=False)] ^= 1
    return np.packbits(bits, axis=1)


def _overlap(begins: Ids, pair: tuple[int, int]) -> bool:
    same_city = (pair[0] < CITY) == (pair[1] < CITY)
    return same_city and abs(int(begins[pair[0]] - begins[pair[1]])) < FRAMES


def _false(nodes: list[Sim3], a: int, b: int, sigmas: Array, rng: np.random.Generator) -> Bond:
    """Another place of the other city taken for one of this."""
    turn, shift = se3.so3_exp(rng.normal(0, 0.7, 3)), rng.normal(0, 20.0, 3) / nodes[b].s
    wrong = Sim3(turn, shift, float(np.exp(rng.normal(0, 0.5))))
    return Bond(a, b, nodes[a].inverse() @ nodes[b] @ wrong, sigmas, 0.02, 4)


def _page(rows: list[dict[str, Any]], n_seeds: int) -> list[str]:
    lines = []
    for n_false in sorted({r["false_bonds"] for r in rows}):
        some = [r for r in rows if r["false_bonds"] == n_false]
        lines.append(
            f"| {n_false} | {np.median([r['pairs'] for r in some]):.0f} | {min(r['city_together'] for r in some)} | "
            f"{sum(r['false_merges'] for r in some)} of {len(some)} | {np.mean([r['refused'] for r in some]):.1f} | "
            f"{np.median([r['error_m'] for r in some]):.2f} |"
        )
    return [
        "## Made-up drives through a city and a look-alike", "",
        f"{CITY} drives through one city and {OTHER} through another whose places look like its own, {n_seeds} seeds. "
        "No map is read and no pair verified: false bonds between the cities are put in by their number.", "",
        "| false bonds | pairs to verify | drives of the city in one map, least | merges of the cities | bonds "
        "refused, mean | median error, m |", "|---:|---:|---:|---:|---:|---:|", *lines,
    ]  # fmt: skip
