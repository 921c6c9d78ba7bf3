"""`python -m bench refine`: what the adjustment of a whole map costs, by its number of keyframes."""

import resource
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.record import claim_folder, provenance, write_record
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import RefineConfig
from vgslam.refine.refine_map import refine_map
from vgslam.types import Array, Ids, Keyframe

NAME = "refine"
CAMERA = Camera(300.0, 300.0, 159.5, 119.5, 320, 240)
POINTS_PER_KEYFRAME, DEPTH = 60, 12.0  # new landmarks of each keyframe of the made-up drive, and how far they are seen


@dataclass
class BenchRefineArgs:
    """The adjustment of whole maps: seconds and memory by keyframes, on a made-up drive without loops."""

    keyframes: tuple[int, ...] = (500, 1000, 2000, 5000)
    """Lengths of the drive, in keyframes."""

    out: Path = field(default_factory=lambda: Path("out/bench"))
    """Folder of the record."""

    overwrite: bool = False
    """Replace an earlier record there."""


def run_bench_refine(args: BenchRefineArgs) -> int:
    """Prints and writes the table; returns 0."""
    claim_folder(args.out, NAME, args.overwrite)
    rows = []
    for n in args.keyframes:
        rows.append(_row(n))
        print(rows[-1], flush=True)
    figures = {"provenance": provenance(), "rows": rows}
    print(write_record(args.out, NAME, figures, _page(rows)))
    return 0


def _row(n: int) -> dict[str, float]:
    m = drive(n)
    began = time.process_time()
    outcome = refine_map(m, RefineConfig(seconds=3600.0))
    cpu_s = time.process_time() - began
    (found,) = outcome.components
    before, after = found.before, found.after
    assert before is not None
    assert after is not None
    return {
        "keyframes": n, "observations": sum(len(s.ids) for s in m.observed), "cpu_s": round(cpu_s, 2),
        "ms_per_keyframe": round(1000.0 * cpu_s / n, 2), "px_before": round(before.mean_px, 2),
        "px_after": round(after.mean_px, 2), "is_kept": float(found.is_kept),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0),
    }  # fmt: skip


def drive(n: int, seed: int = 0) -> SlamMap:
    """A map of n keyframes whose path winds ahead, with the errors of tracking."""
    rng = np.random.default_rng(seed)
    truth = np.tile(np.eye(4), (n, 1, 1))
    for k in range(1, n):
        turn = se3.so3_exp(np.array([0.0, 0.05 * np.sin(0.07 * k), 0.0]))
        truth[k] = truth[k - 1] @ se3.from_rt(turn, np.array([0.1 * np.sin(0.5 * k), 0.05 * np.cos(0.4 * k), 0.5]))
    m, alive = SlamMap(), np.zeros((0, 3))
    ids: Ids = np.zeros(0, np.int64)
    image, T = np.full((24, 32, 3), 90, np.uint8), truth[0]
    for k in range(n):
        if k:
            T = T @ se3.inverse(truth[k - 1]) @ truth[k] @ se3.exp(rng.normal(0, 0.004, 6))
        m.add_keyframe(Keyframe(k, k, 0.1 * k, image, CAMERA, Sim3.from_T(T)), ids[:0], np.zeros((0, 2)))
        alive, ids = _seen(m, k, truth[k], alive, ids, rng)
    m.landmarks.is_triangulated[:] = True
    return m


def _seen(m: SlamMap, k: int, T: Array, alive: Array, ids: Ids, rng: np.random.Generator) -> tuple[Array, Ids]:
    """Let keyframe k observe the landmarks that are still in view, and new ones; returns both together."""
    z = rng.uniform(2.0, DEPTH, POINTS_PER_KEYFRAME)
    px = rng.uniform([0, 0], [CAMERA.width - 1, CAMERA.height - 1], (POINTS_PER_KEYFRAME, 2))
    new = CAMERA.rays(px) * z[:, None]
    guessed = new * np.exp(rng.normal(0, 0.03, (len(z), 1)))
    made = m.landmarks.add(k, guessed, np.full(len(z), 0.05), np.zeros((len(z), 3), np.uint8))
    alive, ids = np.concatenate([alive, se3.transform(T, new)]), np.concatenate([ids, made])
    local = se3.transform(se3.inverse(T), alive)
    ahead = local[:, 2] > 0.5
    alive, ids, local = alive[ahead], ids[ahead], local[ahead]
    at = CAMERA.project(local)
    inside = ((at >= 0) & (at <= [CAMERA.width - 1, CAMERA.height - 1])).all(1)
    m.observe(k, ids[inside], at[inside] + rng.normal(0, 0.3, (int(inside.sum()), 2)))
    return alive[inside], ids[inside]


def _page(rows: list[dict[str, float]]) -> str:
    origin = provenance()
    header = list(rows[0])
    lines = [
        "# The adjustment of whole maps", "",
        f"`{origin['command']}`, commit {origin.get('commit', 'unknown')}. A made-up drive without loops, about 60 new "
        "landmarks a keyframe, 0.3 px of noise. px: mean reprojection error. peak_mib: of the process "
        "up to there.",
        "", "| " + " | ".join(header) + " |", "|" + "---:|" * len(header),
    ]  # fmt: skip
    lines += ["| " + " | ".join(f"{row[name]:g}" for name in header) + " |" for row in rows]
    return "\n".join(lines) + "\n"
