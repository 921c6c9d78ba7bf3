"""`python -m bench survival`: rendered sequences at few frames a second, where features are easily lost."""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from rich.console import Console

from bench.record import claim_folder, provenance, write_record
from vgslam.errors import ConfigError
from vgslam.types import Image

if TYPE_CHECKING:
    from vgslam.session.network import OpenedNetwork
    from vgslam_train.worlds.sequences import Sequence

NAME = "bench_survival"
SMOOTH_PX, DIM = 2.0, 0.12
"""Deviation of the blur that takes the texture away, and the share of the light that is left in the dark."""
DARK_NOISE = 2.0  # deviation of the noise of a camera in the dark, in grey levels of 255


@dataclass(frozen=True)
class Case:
    """A kind of sequence."""

    world: str
    motion: str
    rate_hz: float
    """Frames a second."""
    look: str = "plain"
    """plain, dim, blurred (a shutter that is open for half of the time) or smooth (hardly any texture)."""


CASES = (
    Case("room", "walk", 5.0), Case("room", "rotate", 8.0), Case("room", "loop", 6.0), Case("corridor", "walk", 5.0),
    Case("clutter", "orbit", 5.0), Case("street", "drive", 5.0), Case("hills", "drone", 5.0),
    Case("room", "walk", 8.0, "dim"), Case("clutter", "orbit", 8.0, "blurred"), Case("corridor", "walk", 8.0, "smooth"),
)  # fmt: skip


@dataclass
class BenchSurvivalArgs:
    """Coverage and error with and without the network, on rendered worlds with fast motion, blur and noise."""

    weights: tuple[str, ...] = ("vggt-s",)
    """Networks that stand beside none."""

    seeds: int = 2
    """Sequences of each kind."""

    first_seed: int = 700
    """Seed of the first."""

    worlds: tuple[str, ...] = ()
    """Only these worlds, as in `--worlds clutter hills`; without it all kinds."""

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
    look: str
    seed: int
    network: str
    coverage: float
    """Share of the frames with a pose."""
    largest: float
    """Share of the frames in the largest component."""
    ate_percent: float
    """ATE in % of the path, after alignment by a Sim(3); NaN if the camera only turned or hardly any frame has a
    pose."""
    cpu_s: float
    """CPU seconds of the frames, in one process with all other runs."""
    n_asked: int = 0
    """How often the network was asked."""
    n_believed: int = 0


def run_bench_survival(args: BenchSurvivalArgs) -> int:
    """Measures, prints and writes; returns 0. ConfigError, WeightsError and OutputError with one line."""
    _check(args)
    from vgslam.network.options import NetworkOptions
    from vgslam.session.network import open_network

    networks: dict[str, Callable[[], OpenedNetwork | None]] = {
        "none": lambda: None,
    }
    for weights in args.weights:
        networks[f"vggt ({weights})"] = partial(open_network, NetworkOptions("vggt", weights), print)
    rows = []
    for case in cases_of(args.worlds):
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            film = film_of(case, seed, args.frames)
            for name, network in networks.items():
                rows.append(_survival(film, network(), case, seed, name))
            print(_line(rows[-len(networks) :]), file=sys.stderr, flush=True)
            written = _write(args, rows, list(networks))
    Console().print(_table(rows, list(networks)), soft_wrap=True)
    print(written)
    return 0


def cases_of(worlds: tuple[str, ...]) -> tuple[Case, ...]:
    """The kinds of these worlds, all without a name. ConfigError for a world that none of them has."""
    known = dict.fromkeys(case.world for case in CASES)
    strange = [world for world in worlds if world not in known]
    if strange:
        raise ConfigError(f"--worlds: unknown world '{strange[0]}': known are {', '.join(known)}")
    return tuple(case for case in CASES if not worlds or case.world in worlds)


def _write(args: BenchSurvivalArgs, rows: list[Survival], names: list[str]) -> str:
    plain = [asdict(r) | {"ate_percent": None if np.isnan(r.ate_percent) else r.ate_percent} for r in rows]
    return write_record(args.out, NAME, provenance() | {"rows": plain}, _table(rows, names))


def film_of(case: Case, seed: int, n_frames: int) -> "Sequence":
    """The sequence of a case, as its look says."""
    from vgslam_train.worlds.sequences import Shot, render_sequence

    shot = Shot(rate_hz=case.rate_hz, supersample=1, shutter=0.5 if case.look == "blurred" else 0.1, imaging=0.4)
    film = render_sequence(case.world, case.motion, n_frames, seed, shot=shot)
    return replace(film, images=np.stack([_looked(image, case.look, seed) for image in film.images]))


def _looked(image: Image, look: str, seed: int) -> Image:
    """An image in the dark, or without its texture."""
    if look == "smooth":
        return np.asarray(cv2.GaussianBlur(image, (0, 0), SMOOTH_PX), np.uint8)
    if look == "dim":
        noise = np.random.default_rng([seed, int(image[::7].sum())]).normal(0, DARK_NOISE, image.shape)
        return np.clip(DIM * image + noise, 0, 255).round().astype(np.uint8)
    return image


def _survival(
    film: "Sequence", network: "OpenedNetwork | None", case: Case, seed: int, name: str
) -> Survival:  # fmt: skip
    from vgslam.evaluation.alignment import align
    from vgslam.slam import Slam
    from vgslam.types import Frame

    began = time.process_time()
    guide, proposer = (network.guide, network.proposer) if network else (None, None)
    slam = Slam(film.camera, guide=guide, proposer=proposer)
    for i, image in enumerate(film.images):
        slam.process(Frame(i, i / case.rate_hz, image))
    slam.finish()
    cpu_s = time.process_time() - began
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
    said = network.desk.report() if network else {"n_asked": 0, "n_believed": 0}
    return Survival(
        case.world, case.motion, case.look, seed, name, len(posed) / n, n_largest / n, ate, cpu_s, said["n_asked"],
        said["n_believed"],
    )  # fmt: skip


def _line(rows: list[Survival]) -> str:
    r = rows[0]
    cells = [f"{x.network}: {x.coverage:.2f}, {x.ate_percent:.2f} %, {x.n_asked} asked" for x in rows]
    return f"{r.world}, {r.motion}, {r.look}, seed {r.seed}: {'; '.join(cells)}"


def _table(rows: list[Survival], names: list[str]) -> str:
    titles = " | ".join(f"{n}: coverage (largest piece), ATE % of path" for n in names)
    lines = [f"| world | motion | look | seed | {titles} |", "|---|---|---|---:|" + "---:|" * len(names)]
    for i in range(0, len(rows), len(names)):
        r, shown = rows[i], " | ".join(map(_cell, rows[i : i + len(names)]))
        lines.append(f"| {r.world} | {r.motion} | {r.look} | {r.seed} | {shown} |")
    for what, of in (("mean", np.nanmean), ("median", np.nanmedian)):
        cells = []
        for name in names:
            a = np.array([[r.coverage, r.largest, r.ate_percent] for r in rows if r.network == name])
            cells.append("{:.2f} ({:.2f}), {:.2f}".format(*of(a, axis=0)))
        lines.append(f"| {what} | | | | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: Survival) -> str:
    asked = f", asked {row.n_asked}, believed {row.n_believed}" if row.n_asked else ""
    return f"{row.coverage:.2f} ({row.largest:.2f}), {row.ate_percent:.2f}{asked}"


def _check(args: BenchSurvivalArgs) -> None:
    if args.seeds < 1 or args.frames < 10:
        raise ConfigError("--seeds must be at least 1 and --frames at least 10")
    cases_of(args.worlds)
    claim_folder(args.out, NAME, args.overwrite)
