"""`python -m bench survival`: rendered sequences at few frames a second, where features are easily lost."""

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from bench.provenance import provenance
from bench.record import claim_folder, write_record
from vgslam.errors import ConfigError

if TYPE_CHECKING:
    from vgslam.frontend.asking import AskedGuide
    from vgslam_train.worlds.sequences import Sequence

NAME = "bench_survival"
CASES = (
    ("room", "walk", 5.0), ("room", "rotate", 8.0), ("room", "loop", 6.0), ("corridor", "walk", 5.0),
    ("clutter", "orbit", 5.0), ("street", "drive", 5.0), ("hills", "drone", 5.0),
)  # fmt: skip
"""World, motion and frames a second."""


@dataclass
class BenchSurvivalArgs:
    """Coverage and error with and without the network, on rendered worlds with fast motion, blur and noise."""

    weights: str = "vggt-s"
    """Network that stands beside `sfm`."""

    seeds: int = 2
    """Sequences of each kind."""

    frames: int = 60
    """Length of a sequence."""

    out: Path = Path("out/bench-survival")
    """Folder for bench_survival.json and bench_survival.md."""

    overwrite: bool = False
    """Replace earlier results in OUT."""


@dataclass(frozen=True)
class Survival:
    """One run."""

    world: str
    motion: str
    seed: int
    network: str
    coverage: float
    """Share of the frames with a pose."""
    largest: float
    """Share of the frames in the largest component."""
    ate_percent: float
    """ATE in % of the path, after alignment by a Sim(3); NaN if the camera only turned or hardly any frame has a
    pose."""


def run_bench_survival(args: BenchSurvivalArgs) -> int:
    """Measures, prints and writes; returns 0. ConfigError, WeightsError and OutputError with one line."""
    _check(args)
    from vgslam.session.network import NetworkOptions, open_network

    def network() -> "AskedGuide | None":
        opened = open_network(NetworkOptions("vggt", args.weights), print)
        return None if opened is None else opened.guide

    guides: dict[str, Callable[[], AskedGuide | None]] = {"none": lambda: None, f"vggt ({args.weights})": network}
    rows = []
    for world, motion, rate_hz in CASES:
        for seed in range(700, 700 + args.seeds):
            film = _film(world, motion, rate_hz, seed, args.frames)
            for name, guide in guides.items():
                rows.append(_survival(film, guide(), (world, motion, seed, name, rate_hz)))
            print(f"{world}, {motion}, seed {seed}: done", file=sys.stderr)
    table = _table(rows, list(guides))
    about = provenance() | {
        "rows": [asdict(r) for r in rows],
    }  # fmt: skip
    Console().print(table, soft_wrap=True)
    print(write_record(args.out, NAME, about, table))
    return 0


def _film(world: str, motion: str, rate_hz: float, seed: int, n_frames: int) -> "Sequence":
    from vgslam_train.worlds.sequences import Shot, render_sequence

    shot = Shot(rate_hz=rate_hz, supersample=1, shutter=0.1, imaging=0.4)
    return render_sequence(world, motion, n_frames, seed, shot=shot)


def _survival(film: "Sequence", guide: "AskedGuide | None", case: tuple[str, str, int, str, float]) -> Survival:
    from vgslam.evaluation.alignment import align
    from vgslam.slam import Slam
    from vgslam.types import Frame

    world, motion, seed, name, rate_hz = case
    slam = Slam(film.camera, guide=guide)
    for i, image in enumerate(film.images):
        slam.process(Frame(i, i / rate_hz, image))
    slam.finish()
    posed = [f for f in slam.map.frames if f.T_ref_cam is not None]
    components = np.array([f.component_id for f in posed], np.int64)
    n, n_largest, ate = len(film.images), 0, float("nan")
    if len(posed):
        numbers, counts = np.unique(components, return_counts=True)
        main = numbers[counts.argmax()]
        n_largest = int(counts.max())
        mine = [f for f in posed if f.component_id == main]
        estimate = np.stack([T for f in mine if (T := slam.map.pose_of(f)) is not None])
        truth = film.T_world_cam[[f.frame_id for f in mine]]
        length = float(np.linalg.norm(np.diff(truth[:, :3, 3], axis=0), axis=1).sum())
        if len(mine) > 5 and length > 0:
            moved = align(truth, estimate, with_scale=True).apply(estimate)
            ate = 100 * float(np.sqrt(((moved[:, :3, 3] - truth[:, :3, 3]) ** 2).sum(1).mean())) / length
    return Survival(world, motion, seed, name, len(posed) / n, n_largest / n, ate)


def _table(rows: list[Survival], names: list[str]) -> str:
    lines = ["| world | motion | seed | " + " | ".join(f"{n}: coverage (largest piece), ATE % of path" for n in names)
             + " |", "|---|---|---:|" + "---:|" * len(names)]  # fmt: skip
    for i in range(0, len(rows), len(names)):
        cells = [f"{r.coverage:.2f} ({r.largest:.2f}), {r.ate_percent:.2f}" for r in rows[i : i + len(names)]]
        lines.append(f"| {rows[i].world} | {rows[i].motion} | {rows[i].seed} | " + " | ".join(cells) + " |")
    for what, of in (("mean", np.nanmean), ("median", np.nanmedian)):
        cells = []
        for name in names:
            a = np.array([[r.coverage, r.largest, r.ate_percent] for r in rows if r.network == name])
            cells.append("{:.2f} ({:.2f}), {:.2f}".format(*of(a, axis=0)))
        lines.append(f"| {what} | | | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _check(args: BenchSurvivalArgs) -> None:
    if args.seeds < 1 or args.frames < 10:
        raise ConfigError("--seeds must be at least 1 and --frames at least 10")
    claim_folder(args.out, NAME, args.overwrite)
