"""Many made-up maps along KITTI's longest trajectory: what pairs and anchors cost, and whether they are right."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.fleet_made_up import Drives, bonds_of, codes_of, places_of
from vgslam.errors import InputError
from vgslam.fleet.bridges import solve_bridged
from vgslam.fleet.meet import Known
from vgslam.fleet.merge_many import candidate_pairs
from vgslam.geometry.sim3 import Sim3
from vgslam.results.environment import peak_memory_mib
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.types import Array

TRAJECTORY = "trajectories/kitti00_full_gt_kitti.txt"
FRAMES, CODES = 100, 48  # keyframes of a map (about 80 m), and those by which it is known
FALSE_SHARE = 0.02  # share of verified pairs that are false, without any sense


def measure_scale(data: Path, numbers: Sequence[int]) -> tuple[dict[str, Any], list[str]]:
    """Cost and rightness by the number of maps; figures and a page."""
    file = data / TRAJECTORY
    if not file.is_file():
        raise InputError(f"{file}: no such file; give the folder of the sequences with --data")
    T = read_trajectory(file).T_world_cam
    rows = [_measured(T, n) for n in sorted(numbers)]
    return {"rows": rows}, _page(rows)


def _measured(T: Array, n: int) -> dict[str, Any]:
    rng = np.random.default_rng(n)
    begins = np.sort(rng.integers(0, len(T) - FRAMES, n))
    keyframes = np.linspace(0, FRAMES - 1, CODES).round().astype(int)
    places = places_of(T)
    about = {i: Known(codes_of(places[b + keyframes], rng), keyframes, {0: FRAMES}) for i, b in enumerate(begins)}
    began = time.process_time()
    pairs = candidate_pairs(about)
    pairs_s = time.process_time() - began
    shared = {i: set(places[b : b + FRAMES].tolist()) for i, b in enumerate(begins)}
    true = [p for p in pairs if shared[p[0]] & shared[p[1]]]
    nodes, bonds, is_false = bonds_of(T, Drives(begins, FRAMES), true, rng, FALSE_SHARE)
    began = time.process_time()
    bridged = solve_bridged(bonds, {i: float(FRAMES) for i in range(n)})
    anchors_s = time.process_time() - began
    anchors, doubtful = bridged.anchors, {(b.a, b.b) for b in bridged.doubtful}
    refused = {(b.a, b.b) for b in anchors.refused}
    false = {(b.a, b.b) for b, wrong in zip(bonds, is_false, strict=True) if wrong}
    return {
        "maps": n, "codes": n * CODES, "pairs": len(pairs), "pairs_that_overlap": len(true), "bonds": len(bonds),
        "false": len(false), "false_used": len(false - refused - doubtful), "true_refused": len(refused - false),
        "true_doubtful": len(doubtful - false),
        "aside": len(anchors.aside), "largest_group": len(anchors.groups[0]) if anchors.groups else 0,
        "groups": len(anchors.groups), "median_error_m": _error_m(nodes, anchors.nodes, anchors.groups),
        "pairs_ms_per_map": 1000 * pairs_s / n, "anchors_ms_per_map": 1000 * anchors_s / n,
        "peak_mib": peak_memory_mib(),
    }  # fmt: skip


def _error_m(true: list[Sim3], solved: dict[int, Sim3], groups: list[list[int]]) -> float:
    """Median error of position in the largest group, in m, aligned by a Sim(3)."""
    from vgslam.geometry.robust_similarity import umeyama

    if not groups or len(groups[0]) < 3:
        return 0.0
    a = np.array([true[n].t for n in groups[0]])
    b = np.array([solved[n].t for n in groups[0]])
    return float(np.median(np.linalg.norm(a - umeyama(a, b).apply(b), axis=1)))


def _page(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"| {r['maps']:,} | {r['pairs']:,} ({r['pairs_that_overlap']:,}) | {r['bonds']:,} ({r['false']}) | "
        f"{r['false_used']} | {r['true_refused']} | {r['true_doubtful']} | {r['aside']} | "
        f"{r['groups']} ({r['largest_group']:,}) | {r['median_error_m']:.1f} | {r['pairs_ms_per_map']:.1f} | "
        f"{r['anchors_ms_per_map']:.1f} | {r['peak_mib']:.0f} |"
        for r in rows
    ]  # fmt: skip
    return [
        "## Made-up maps along KITTI 00", "",
        f"Pieces of {FRAMES} frames at random places of the trajectory, each in a frame and a scale of its own, known "
        f"by {CODES} codes. Bonds are measured with noise, and {100 * FALSE_SHARE:.0f} % of them are false. CPU ms a "
        "map; no map is read and no pair verified here.", "",
        "| maps | pairs found (that overlap) | bonds (false) | false in use | true refused | true doubted | "
        "put aside | groups (largest) | median error, m | pairs, ms | anchors, ms | peak MiB |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|", *lines,
    ]  # fmt: skip
