"""`python -m bench dense-depth`: the keyframes' dense depth against depth images of the recording."""

import json
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from bench.child_cost import run_measured
from bench.record import claim_folder, provenance, write_record
from vgslam.errors import InputError
from vgslam.frontend.image_mask import Mask
from vgslam.map.slam_map import SlamMap
from vgslam.metric.depth import keyframe_ratios
from vgslam.metric.measured import SessionView
from vgslam.sources.depth_images import DepthOf, depth_of
from vgslam.sources.open import open_source
from vgslam.store.open import load_map
from vgslam.types import Array, Float32, Keyframe

NAME = "dense_depth"
SURE = 0.5
"""Confidence from which clouds and meshes take a depth."""
LEAST_LANDMARKS = 40
"""Landmarks with measured depth that a keyframe needs for its scale in metres."""


@dataclass
class BenchDenseDepthArgs:
    """Dense depth of keyframes against a recording's depth images, each keyframe scaled by its landmarks."""

    sequence: tyro.conf.Positional[Path]
    """A recording with depth images (7-Scenes, TUM RGB-D)."""

    uses: tuple[str, ...] = (
        "--network none --slam.mapper.dense-every 1",
        "--network vggt-s --vggt.dense-depth",
        "--network vggt-s2 --vggt.dense-depth",
    )
    """What is compared: options of `vgslam run`, in one string each."""

    options: str = ""
    """Options of all runs."""

    out: Path = Path("out/bench-dense-depth")
    """Folder of the record; the runs go to its folder `runs`."""

    overwrite: bool = False
    """Replace an earlier record there."""


@dataclass(frozen=True)
class DepthFigures:
    """What came out of one use; errors are |depth / measured - 1|."""

    use: str
    keyframes: int  # with dense depth and with a depth image
    known: float  # share of the measured pixels that have a depth
    mean_error: float
    median_error: float
    sure: float  # share of the measured pixels whose depth clouds and meshes take
    sure_mean_error: float | None  # None: no depth is sure
    sure_median_error: float | None
    cpu_s: float  # of the whole run
    network_cpu_s: float


def run_bench_dense_depth(args: BenchDenseDepthArgs) -> int:
    """Prints and writes the table; returns 0. InputError, OutputError."""
    claim_folder(args.out, NAME, args.overwrite)
    source = open_source(args.sequence)
    depth = depth_of(source)
    shutil.rmtree(args.out / "runs", ignore_errors=True)
    (args.out / "runs").mkdir()
    rows = [_row(args, use, i, depth) for i, use in enumerate(args.uses)]
    about = provenance() | {"sequence": args.sequence.name}
    page = _page(about, rows)
    print(page)
    print(write_record(args.out, NAME, about | {"rows": [vars(r) for r in rows]}, page))
    return 0


def _row(args: BenchDenseDepthArgs, use: str, i: int, depth: DepthOf) -> DepthFigures:
    folder = args.out / "runs" / str(i)
    words = ["run", str(args.sequence), "--out", str(folder), "--map", f"{folder}-map", "--quiet"]
    cost = run_measured([*words, *shlex.split(use), *shlex.split(args.options)], args.out / f"run-{i}.log")
    network: dict[str, Any] = json.loads((folder / "report.json").read_text()).get("network") or {}
    m = load_map(Path(f"{folder}-map"))
    pixels = [p for p in (_compared(m, k, depth) for k in m.keyframes) if p is not None]
    if not pixels:
        raise InputError(f"{args.sequence}: no keyframe with dense depth has a depth image; see {folder}")
    error, sure = np.concatenate([p[0] for p in pixels]), np.concatenate([p[1] for p in pixels])
    known = np.isfinite(error)
    return DepthFigures(
        use, len(pixels), float(known.mean()), float(error[known].mean()), float(np.median(error[known])),
        float(sure.mean()), float(error[sure].mean()) if sure.any() else None,
        float(np.median(error[sure])) if sure.any() else None, cost.cpu_s, float(network.get("cpu_s", 0.0)),
    )  # fmt: skip


def _compared(m: SlamMap, k: Keyframe, depth: DepthOf) -> tuple[Array, Mask] | None:
    """Errors (N,) of the measured pixels, not finite where the keyframe has no depth, and which of them are sure (N,)
    bool; None for a keyframe without dense depth or depth image."""
    image = next((d for d in depth.images if abs(d.time_s - k.timestamp_s) < 1e-6), None)
    if image is None or k.depth is None or k.confidence is None or k.depth_camera is None:
        return None
    measured = depth.read_m(image)
    ratios = keyframe_ratios(SessionView(m, 0), k, measured, depth)
    if len(ratios) < LEAST_LANDMARKS:
        return None
    mine = k.depth * np.float32(k.S_world_keyframe.s * np.median(ratios))
    truth = _seen_from(k, measured, depth)
    has = truth > 0
    error = np.where(mine > 0, np.abs(mine / np.maximum(truth, 1e-6) - 1.0), np.inf)[has]
    return error.astype(np.float64), (k.confidence > SURE)[has] & np.isfinite(error)


def _seen_from(k: Keyframe, measured: Float32, depth: DepthOf) -> Float32:
    """Measured depth (h,w) at the cells of the keyframe's dense depth, 0 where there is none."""
    assert k.depth_camera is not None
    h, w = k.depth_camera.height, k.depth_camera.width
    v, u = np.indices((h, w))
    rays = k.depth_camera.rays(np.stack([u.ravel(), v.ravel()], axis=1).astype(np.float64))
    px = np.round(depth.pixels(rays, measured.shape)).astype(int)
    inside = ((px >= 0) & (px < measured.shape[::-1])).all(1)
    found = np.zeros(h * w, np.float32)
    found[inside] = measured[px[inside, 1], px[inside, 0]]
    return found.reshape(h, w)


def _page(about: dict[str, Any], rows: Sequence[DepthFigures]) -> str:
    lines = [
        "# Dense depth against depth images", "",
        f"`{about['command']}`", "",
        f"{about['sequence']}, commit {about['commit']}, {about['machine']['cpu']}, {about['machine']['cores']} cores. "
        "Every pixel of keyframes that has a measured depth; each keyframe scaled by the landmarks that it sees. An "
        "error is |depth / measured - 1|; sure are depths that clouds and meshes take.", "",
        "| run with | keyframes | pixels with depth | error: mean | median | sure | error: mean | median | CPU s "
        "| of them the network |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    lines += [
        f"| `{r.use}` | {r.keyframes} | {r.known:.2f} | {r.mean_error:.3f} | {r.median_error:.3f} | {r.sure:.2f} "
        f"| {_figure(r.sure_mean_error)} | {_figure(r.sure_median_error)} | {r.cpu_s:.0f} | {r.network_cpu_s:.1f} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def _figure(error: float | None) -> str:
    return "–" if error is None else f"{error:.3f}"
