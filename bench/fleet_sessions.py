"""KITTI's longest trajectory with simulated odometry, cut into sessions that are merged, against one graph."""

import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from vgslam.errors import InputError, VgslamError
from vgslam.fleet.calls import in_one_line
from vgslam.fleet.fold import MapTies
from vgslam.fleet.meet import Known
from vgslam.fleet.merge_many import anchored, fold
from vgslam.fleet.sights import Sight
from vgslam.fleet.ties import Tie
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.robust_similarity import umeyama
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.robust import optimize_map
from vgslam.map.slam_map import SlamMap
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.store.map_folder import MapFolder
from vgslam.store.open import load_map
from vgslam.types import Array, Edge, EdgeKind, Keyframe, PoseEstimate, Status

TRAJECTORY = "trajectories/kitti00_full_gt_kitti.txt"
N_SESSIONS, OVERLAP = 8, 10  # sessions, and keyframes that neighbours have in common
EVERY = 5  # every so many frames there is a keyframe: about 4 m
STEP = np.array([0.002] * 3 + [0.04] * 3 + [0.002])
"""Deviations of a step of odometry: rotation in rad, position in m, log-scale. A scale that nothing holds drifts."""
LOOP = np.array([0.005] * 3 + [0.2] * 3 + [0.02])
NEAR_M, FACING_DEG, APART = 6.0, 30.0, 30
"""A keyframe sees the place of another within this distance and angle, and so many keyframes away."""
IMAGE, CAMERA = np.zeros((12, 16, 3), np.uint8), Camera.from_fov(16, 12, 70.0)
DEPTH_M = 10.0


class Here:
    """Implements `Calls` in this process."""

    def each(self, do: Any, given: Sequence[tuple[Any, ...]]) -> Any:
        for i, arguments in enumerate(given):
            try:
                yield i, do(*arguments)
            except VgslamError as error:
                yield i, in_one_line(error)


def measure_sessions(data: Path, seeds: Sequence[int], work: Path) -> tuple[dict[str, Any], list[str]]:
    """Errors of both for each seed; figures and a page."""
    file = data / TRAJECTORY
    if not file.is_file():
        raise InputError(f"{file}: no such file; give the folder of the sequences with --data")
    T = read_trajectory(file).T_world_cam[::EVERY]
    rows = [_measured(T, seed, work / str(seed)) for seed in seeds]
    return {"rows": rows}, _page(len(T), rows)


def _measured(T: Array, seed: int, work: Path) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    true = [Sim3.from_T(x) for x in T]
    steps = [_noisy(a.inverse() @ b, STEP, rng) for a, b in pairwise(true)]
    loops = {(a, b): _noisy(true[a].inverse() @ true[b], LOOP, rng) for a, b in _revisits(T)}
    whole = _map(range(len(T)), steps, loops, Sim3.identity())
    ranges = [range(s[0], min(s[-1] + 1 + OVERLAP, len(T))) for s in np.array_split(np.arange(len(T)), N_SESSIONS)]
    maps = []
    for i, r in enumerate(ranges):
        frame = Sim3(se3.so3_exp(rng.normal(0, 1, 3)), rng.normal(0, 50, 3), float(np.exp(rng.normal(0, 0.7))))
        m = _map(r, steps, loops, frame)
        with MapFolder(work / f"session-{i}") as folder:
            folder.save(m)
        maps.append(m)
    ties = _ties(maps, ranges, loops, rng)
    began = time.process_time()
    about = {i: Known(np.zeros((0, 256), np.uint8), np.zeros(0, np.int64), {0: len(r)}) for i, r in enumerate(ranges)}
    found = anchored(about, ties)
    notes: dict[int, str] = {}
    groups = fold([work / f"session-{i}" for i in range(len(maps))], found.edges, found.weights, work, Here(), notes)
    merge_s = time.process_time() - began
    path, members = groups[0]
    merged = load_map(path)
    length = {str(r.start): len(r) for r in ranges}
    at = [int(s.name) + k for s in merged.sessions for k in range(length[s.name])]
    return {
        "seed": seed, "keyframes": len(T), "loops": len(loops), "sessions_merged": len(members),
        "refused": len(found.anchors.refused), "aside": len(found.anchors.aside), "doubtful": len(found.doubts),
        "merge_cpu_s": merge_s,
        "whole_m": _error_m(whole, T, list(range(len(T)))), "merged_m": _error_m(merged, T, at),
        "odometry_m": _error_m(_map(range(len(T)), steps, {}, Sim3.identity()), T, list(range(len(T)))),
    }  # fmt: skip


def _noisy(S: Sim3, sigmas: Array, rng: np.random.Generator) -> Sim3:
    x = rng.normal(0, sigmas)
    return S @ Sim3(se3.so3_exp(x[:3]), x[3:6], float(np.exp(x[6])))


def _revisits(T: Array) -> list[tuple[int, int]]:
    """The nearest earlier keyframe that shows the same place, for each that has one."""
    found = []
    for b in range(APART, len(T)):
        apart = np.linalg.norm(T[: b - APART, :3, 3] - T[b, :3, 3], axis=1)
        turned = np.array([se3.angle_deg(R.T @ T[b, :3, :3]) for R in T[: b - APART, :3, :3]]) if len(apart) else apart
        fits = np.flatnonzero((apart < NEAR_M) & (turned < FACING_DEG))
        if len(fits):
            found.append((int(fits[apart[fits].argmin()]), b))
    return found


def _map(keyframes: range, steps: Sequence[Sim3], loops: dict[tuple[int, int], Sim3], frame: Sim3) -> SlamMap:
    """The map of some keyframes in a frame of reference of its own, solved with the loops within."""
    m = SlamMap()
    m.begin_session(str(keyframes.start), "2026-01-01T00:00:00+00:00")
    S = frame
    for k, n in enumerate(keyframes):
        S = S if k == 0 else S @ steps[n - 1]
        m.add_keyframe(Keyframe(k, k, 0.5 * n, IMAGE, CAMERA, S), np.zeros(0, np.int64), np.zeros((0, 2)))
        ids = m.landmarks.add(k, np.array([[0.0, 0.0, DEPTH_M]]), np.array([0.1]), IMAGE[0, :1])
        m.observe(k, ids, np.array([[8.0, 6.0]]))
        m.frames.append(PoseEstimate(k, 0.5 * n, Status.TRACKED, k, np.eye(4)))
        if k:
            m.edges[k - 1, k] = Edge(k - 1, k, steps[n - 1], STEP, EdgeKind.ODOMETRY)
    for (a, b), S_a_b in loops.items():
        if a in keyframes and b in keyframes:
            pair = a - keyframes.start, b - keyframes.start
            m.edges[pair] = Edge(*pair, S_a_b, LOOP, EdgeKind.LOOP)
    optimize_map(m)
    return m


def _ties(
    maps: Sequence[SlamMap], ranges: Sequence[range], loops: dict[tuple[int, int], Sim3], rng: np.random.Generator
) -> MapTies:  # fmt: skip
    """What keyframes of two sessions measure of one another: the places that loops show, and what neighbours share."""
    found: MapTies = {}
    for i in range(len(maps)):
        for j in range(i + 1, len(maps)):
            own_i, own_j = _own(ranges, i), _own(ranges, j)
            some = [(a, b, S) for (a, b), S in loops.items() if a in own_i and b in own_j]
            if j == i + 1:
                shared = range(ranges[j].start, ranges[i].stop)
                some += [(n, n, _noisy(Sim3.identity(), LOOP, rng)) for n in shared]
            if some:
                found[i, j] = [_tie(maps[i], maps[j], a - ranges[i].start, b - ranges[j].start, S) for a, b, S in some]
    return found


def _own(ranges: Sequence[range], i: int) -> range:
    """The keyframes of a session but those that it has in common with the next."""
    return ranges[i] if i + 1 == len(ranges) else range(ranges[i].start, ranges[i + 1].start)


def _tie(a: SlamMap, b: SlamMap, k: int, n: int, S_a_b: Sim3) -> Tie:
    S_a, S_b = (Sim3(np.eye(3), m.centres(np.arange(len(m.keyframes))).mean(0)) for m in (a, b))
    at, other = a.keyframes[k].S_world_keyframe, b.keyframes[n].S_world_keyframe
    S_place_b = at @ S_a_b @ other.inverse() @ S_b
    far = max(float(np.linalg.norm(at.t - S_a.t)), float(np.linalg.norm(S_place_b.t - at.t)))
    ahead = S_a_b.inverse().apply(np.array([[0.0, 0.0, DEPTH_M]]))  # what keyframe k sees, in the frame of n
    sights = (
        Sight(at.t, at.apply(np.array([[0.0, 0.0, DEPTH_M]]))[0]).through(S_a.inverse()),
        Sight(other.t, other.apply(ahead)[0]).through(S_b.inverse()),
    )
    return Tie(k, n, 0, 0, S_a_b, LOOP, 0.9, S_a.inverse() @ S_place_b, max(far, DEPTH_M * at.s), *sights)


def _error_m(m: SlamMap, T: Array, at: Sequence[int]) -> float:
    """RMS error of the keyframes' positions, which are those of the trajectory at `at`, aligned by a Sim(3)."""
    true, found = T[list(at), :3, 3], m.centres(np.arange(len(m.keyframes)))
    return float(np.sqrt((np.linalg.norm(true - umeyama(true, found).apply(found), axis=1) ** 2).mean()))


def _page(n: int, rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"| {r['seed']} | {r['loops']} | {r['odometry_m']:.1f} | {r['whole_m']:.2f} | {r['merged_m']:.2f} | "
        f"{r['merged_m'] / r['whole_m']:.2f} | {r['sessions_merged']} | {r['refused']} | {r['merge_cpu_s']:.1f} |"
        for r in rows
    ]  # fmt: skip
    ratios = [r["merged_m"] / r["whole_m"] for r in rows]
    return [
        "## KITTI 00 in sessions", "",
        f"The trajectory's {n} keyframes (every {EVERY}th frame) with simulated odometry whose scale drifts, and loops "
        f"at true revisits: solved as one graph, and cut into {N_SESSIONS} sessions of which each is solved alone, in "
        f"a frame and a scale of its own, and then merged. Neighbours have {OVERLAP} keyframes in common. RMS error of "
        f"positions; ratio: median {np.median(ratios):.2f}, worst {max(ratios):.2f}.", "",
        "| seed | loops | odometry alone, m | one graph, m | merged, m | ratio | sessions in one map | bonds refused | "
        "merge, CPU s |", "|---:|---:|---:|---:|---:|---:|---:|---:|---:|", *lines,
    ]  # fmt: skip
