"""`python -m bench starts`: networks beside each other where they are asked, at starts: what is believed, how far it is
from the truth, and what a question costs."""

import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.record import claim_folder, provenance, write_record
from vgslam.errors import ConfigError

if TYPE_CHECKING:
    from bench.adapt_starts import StartError
    from vgslam.frontend.guide import Guide
    from vgslam_train.worlds.sequences import Sequence

NAME = "starts"
GAPS = (1, 2, 3)  # frames between the two views of a start
FAR_OFF = 0.5  # a start is far off whose second position is wrong by more than this share of the way


@dataclass
class BenchStartsArgs:
    """Pairs of frames of the sequences of `bench survival`: each is a start that every network is asked for."""

    weights: tuple[str, ...] = ("vggt-s", "vggt-s2")
    """Networks: names of the package or files."""

    seeds: int = 2
    """Sequences of each kind."""

    first_seed: int = 900
    """Seed of the first."""

    frames: int = 30
    """Length of a sequence."""

    every: int = 3
    """Frames from the first view of a start to that of the next."""

    out: Path = Path("out/bench-starts")
    """Folder for starts.json and starts.md."""

    overwrite: bool = False
    """Replace earlier results in OUT."""


@dataclass(frozen=True)
class Row:
    """One network in one sequence."""

    world: str
    motion: str
    look: str
    seed: int
    weights: str
    n_asked: int
    believed: "dict[str, StartError]"  # by the first frame and the gap
    cpu_s: float  # CPU seconds of all questions, without their verification


def run_bench_starts(args: BenchStartsArgs) -> int:
    """Measures, prints and writes after each sequence; returns 0. ConfigError, WeightsError and OutputError with one
    line."""
    from bench.survival import CASES, film_of

    _check(args)
    guides = {name: _guide(name) for name in args.weights}
    rows: list[Row] = []
    for case in CASES:
        if case.motion == "rotate":
            continue  # a start needs a motion
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            film = film_of(case, seed, args.frames)
            for name, guide in guides.items():
                rows.append(Row(case.world, case.motion, case.look, seed, name, *_asked(guide, film, args.every)))
            print(_line(rows[-len(guides) :]), file=sys.stderr, flush=True)
            about = provenance()
            written = write_record(args.out, NAME, about | {"rows": [asdict(r) for r in rows]}, page(about, rows))
    print(page(about, rows))
    print(written)
    return 0


def _asked(guide: "Guide", film: "Sequence", every: int) -> "tuple[int, dict[str, StartError], float]":
    """Questions, what was believed, and CPU seconds of the questions."""
    from bench.adapt_starts import start_error, tracked
    from vgslam.frontend.network_start import verified_start

    n_asked, believed, cpu_s = 0, {}, 0.0
    for k in range(0, len(film) - max(GAPS), every):
        for gap in GAPS:
            window = tracked(film, k, k + gap)
            began = time.process_time()
            found = guide.predict(window)
            cpu_s += time.process_time() - began
            start = None if found is None else verified_start(found, window)
            n_asked += 1
            if start is not None:
                believed[f"{k}+{gap}"] = start_error(film, k, k + gap, window, start.T_window_cam[-1], start)
    return n_asked, believed, cpu_s


def page(about: dict[str, Any], rows: list[Row]) -> str:
    """The page for people."""
    names = list(dict.fromkeys(r.weights for r in rows))
    head = "\n".join(f"- {name}: {value}" for name, value in about.items())
    titles = ["network", "starts asked for", "believed", f"of them far off (over {FAR_OFF:g})", "rotation [deg]",
              "direction [deg]", "translation", "depth", "CPU s of a question"]  # fmt: skip
    lines = ["| " + " | ".join(titles) + " |", "|---|" + "---:|" * (len(titles) - 1)]
    lines += [_summary(name, rows) for name in names]
    lines += ["", "Believed in each kind of sequence:", "", f"| world | look | asked | {' | '.join(names)} |"]
    lines += ["|---|---|" + "---:|" * (1 + len(names)), *_kinds(names, rows)]
    return (
        "# Starts by the networks\n\nPairs of frames of rendered worlds that no network was trained on, one to three "
        "frames apart. believed: those that the held-out tracks agree with; then median errors against the truth, "
        "of all believed and, in brackets, of those that every network was believed at. Translation and depth in units "
        f"of the landmarks' median depth.\n\n{head}\n\n" + "\n".join(lines) + "\n"
    )


def _summary(name: str, rows: list[Row]) -> str:
    mine = [r for r in rows if r.weights == name]
    n, cpu_s = sum(r.n_asked for r in mine), sum(r.cpu_s for r in mine)
    errors = [e for r in mine for e in r.believed.values()]
    common = [e for r in mine for k, e in r.believed.items() if all(k in o.believed for o in rows if _is_same(o, r))]
    far = sum(e.translation > FAR_OFF for e in errors)
    cells = [name, str(n), str(len(errors)), str(far)]
    for figure in ("rotation_deg", "direction_deg", "translation", "depth"):
        values = [f"{np.median([getattr(e, figure) for e in some]):.3f}" if some else "-" for some in (errors, common)]
        cells.append(f"{values[0]} ({values[1]})")
    return "| " + " | ".join([*cells, f"{cpu_s / max(n, 1):.3f}"]) + " |"


def _is_same(a: Row, b: Row) -> bool:
    """Whether two rows are of one sequence."""
    return (a.world, a.motion, a.look, a.seed) == (b.world, b.motion, b.look, b.seed)


def _kinds(names: list[str], rows: list[Row]) -> list[str]:
    lines = []
    for world, look in dict.fromkeys((r.world, r.look) for r in rows):
        some = [r for r in rows if (r.world, r.look) == (world, look)]
        counts = [str(sum(len(r.believed) for r in some if r.weights == name)) for name in names]
        asked = sum(r.n_asked for r in some if r.weights == names[0])
        lines.append(f"| {world} | {look} | {asked} | {' | '.join(counts)} |")
    return lines


def _line(rows: list[Row]) -> str:
    cells = [f"{r.weights}: {len(r.believed)} of {r.n_asked}, {r.cpu_s / max(r.n_asked, 1):.2f} s each" for r in rows]
    return f"{rows[0].world}, {rows[0].motion}, {rows[0].look}, seed {rows[0].seed}: {'; '.join(cells)}"


def _guide(weights: str) -> "Guide":
    import torch

    from vgslam.frontend.network_guide import NetworkGuide
    from vgslam.network.vggt_backbone import VggtBackbone
    from vgslam.network.weights import load

    torch.set_num_threads(1)
    return NetworkGuide(VggtBackbone(load(weights, show=print)))


def _check(args: BenchStartsArgs) -> None:
    if not args.weights or args.seeds < 1 or args.every < 1 or args.frames <= max(GAPS):
        raise ConfigError(f"--weights, --seeds and --every must not be empty, and --frames over {max(GAPS)}")
    claim_folder(args.out, NAME, args.overwrite)
