"""Many made-up maps along KITTI's longest trajectory: what pairs and anchors cost, and whether they are right."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vgslam.errors import InputError
from vgslam.fleet.bridges import solve_bridged
from vgslam.fleet.meet import Known
from vgslam.fleet.merge_many import candidate_pairs
from vgslam.fleet.sights import Sight
from vgslam.fleet.ties import Bond
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.results.environment import peak_memory_mib
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.types import Array, Ids

TRAJECTORY = "trajectories/kitti00_full_gt_kitti.txt"
FRAMES, CODES = 60, 16
"""Frames of a map (about 50 m) and keyframes by which it is known."""
PLACE_M, TURN_DEG = 4.0, 45.0
"""Views within this distance and angle show the same place."""
CHANGED_BITS = 400
"""Bits of 2048 that differ between a place and a view of it: a likeness of 0.3 to 0.4 of two views."""
FALSE_SHARE = 0.02
"""Share of verified pairs that are false, without any sense."""
SIGMAS = np.array([0.02] * 3 + [1.0] * 3 + [0.05])
FALSE_TURN_RAD, FALSE_SHIFT_M = 0.7, 20.0
DEPTH_M, KEYFRAME_M = 10.0, 2.5
"""How far ahead a keyframe's place lies, and how far it is to the next keyframe."""
ROW = 4
"""Keyframes in a row that a look-alike deceives while it is in view: three have to agree."""


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
    nodes, bonds, is_false = bonds_of(T, begins, true, rng)
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


def places_of(T: Array) -> Ids:
    """Number of the place that each pose (N,4,4) sees: its cell and heading."""
    heading = np.degrees(np.arctan2(T[:, 0, 2], T[:, 2, 2]))
    cells = np.column_stack([np.floor(T[:, [0, 2], 3] / PLACE_M), np.floor(heading / TURN_DEG)]).astype(np.int64)
    return np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def codes_of(places: Ids, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Codes (n,256) of views of numbered places (n,)."""
    out = np.zeros((len(places), 256), np.uint8)
    for row, place in enumerate(places.tolist()):
        bits = np.random.default_rng([place, 3]).integers(0, 2, 2048, dtype=np.uint8)
        bits[rng.choice(2048, CHANGED_BITS, replace=False)] ^= 1
        out[row] = np.packbits(bits)
    return out


def bonds_of(
    T: Array, begins: Ids, pairs: Sequence[tuple[int, int]], rng: np.random.Generator, false_share: float = FALSE_SHARE
) -> tuple[list[Sim3], list[Bond], list[bool]]:  # fmt: skip
    """Frames of the maps' middles, in units of their own, and a bond a pair; some are false, at one place."""
    nodes = [Sim3.from_T(T[b + FRAMES // 2], float(np.exp(rng.normal(0, 0.7)))) for b in begins]
    places, bonds, is_false = places_of(T), list[Bond](), list[bool]()
    for a, b in pairs:
        is_false.append(bool(rng.random() < false_share))
        if is_false[-1]:
            turn, shift = rng.normal(0, FALSE_TURN_RAD, 3), rng.normal(0, FALSE_SHIFT_M, 3) / nodes[b].s
            wrong = Sim3(se3.so3_exp(turn), shift, float(np.exp(rng.normal(0, 0.5))))
            at = int(rng.integers(0, FRAMES - 10))
            bonds.append(false_bond(T, begins, nodes, (a, b), wrong, at, rng))
            continue
        sigmas = _sigmas(nodes[a])
        x = rng.normal(0, sigmas)
        noise = Sim3(se3.so3_exp(x[:3]), x[3:6] * nodes[a].s / nodes[b].s, float(np.exp(x[6])))
        S = nodes[a].inverse() @ nodes[b] @ noise
        bonds.append(Bond(a, b, S, sigmas, 0.02, 4, _sights(T, places, begins, nodes, (a, b))))
    return nodes, bonds, is_false


def false_bond(
    T: Array, begins: Ids, nodes: Sequence[Sim3], pair: tuple[int, int], wrong: Sim3, at: int, rng: np.random.Generator
) -> Bond:  # fmt: skip
    """A bond of a map with another, which is off by `wrong`: a row of keyframes from frame `at` of the first goes past
    something that looks like what the other map shows."""
    a, b = pair
    S = nodes[a].inverse() @ nodes[b] @ wrong
    frames = (begins[a] + at + _keyframes(T[begins[a] + at : begins[a] + FRAMES])[:ROW]).tolist()
    copy = _ahead(T[frames[0]])
    sights = []
    for f in frames:
        here = Sight(T[f, :3, 3], copy + rng.normal(0, 0.05 * DEPTH_M, 3)).through(nodes[a].inverse())
        sights.append((here, here.through(S.inverse())))
    return Bond(a, b, S, _sigmas(nodes[a]), 0.02, ROW, tuple(sights))


def _sights(
    T: Array, places: Ids, begins: Ids, nodes: Sequence[Sim3], pair: tuple[int, int]
) -> tuple[tuple[Sight, Sight], ...]:
    """What keyframes of the first map and the nearest frames of the other see where both show the same places."""
    a, b = pair
    others = np.arange(begins[b], begins[b] + FRAMES)
    found = []
    for i in (begins[a] + _keyframes(T[begins[a] : begins[a] + FRAMES])).tolist():
        same = others[places[others] == places[i]]
        if not len(same):
            continue
        j = int(same[np.linalg.norm(T[same, :3, 3] - T[i, :3, 3], axis=1).argmin()])
        seen = _ahead(T[i])
        sights = Sight(T[i, :3, 3], seen).through(nodes[a].inverse()), Sight(T[j, :3, 3], seen)
        found.append((sights[0], sights[1].through(nodes[b].inverse())))
    return tuple(found)


def _keyframes(T: Array) -> Ids:
    """Frames of a drive that become keyframes: the next after KEYFRAME_M each."""
    far = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(T[:, :3, 3], axis=0), axis=1))])
    return np.unique(np.searchsorted(far, np.arange(0.0, far[-1] + 1e-9, KEYFRAME_M)))


def _ahead(T_world_cam: Array) -> Array:
    return np.asarray(T_world_cam[:3, 3] + DEPTH_M * T_world_cam[:3, 2])


def _sigmas(node: Sim3) -> Array:
    return np.asarray(SIGMAS / np.array([1, 1, 1, *[node.s] * 3, 1]))


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
