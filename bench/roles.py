"""`python -m bench roles`: every run twice, without a network and with one that is asked where geometry is weak."""

import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from bench.accuracy import PROGRAM, BenchAccuracyArgs, find_reference, run_once
from bench.record import claim_folder, provenance, write_record
from vgslam.errors import ConfigError, InputError

if TYPE_CHECKING:
    from bench.accuracy_table import AccuracyRun
    from vgslam.types import Trajectory

NAME = "roles"
ALONE = "none"


@dataclass
class BenchRolesArgs:
    """Runs sequences from several starts with and without a network: what it brings, costs, and what harm it does."""

    sequences: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders with images, and a reference if there is one: anything that `vgslam run` takes."""

    starts: tuple[int, ...] = (0, 3, 7, 11, 15)
    """First images of the runs, counted from 0."""

    network: str = "vggt"
    """The network that is compared with none."""

    run_options: str = ""
    """More options passed on to both runs, in one string."""

    reference: str = "groundtruth_sfm.txt"
    """File in a sequence's folder that is its reference, if it is there."""

    timeout: float = 3600.0
    """Longest time for one run, in s; a run that takes longer has failed."""

    out: Path = Path("out/bench-roles")
    """Folder for roles.json and roles.md; that of a run is OUT/SEQUENCE/NETWORK-START."""

    overwrite: bool = False
    """Replace earlier results in OUT."""


@dataclass(frozen=True)
class Pair:
    """A sequence from one start, without and with the network."""

    sequence: str
    start: int
    alone: "AccuracyRun"
    asked: "AccuracyRun"
    said: dict[str, Any] = field(default_factory=dict)  # the network's section of the report

    @property
    def is_same(self) -> bool:
        """Whether the trajectories are the same to the last bit."""
        return self.alone.trajectory_sha256 is not None and self.alone.trajectory_sha256 == self.asked.trajectory_sha256

    def ratio(self, name: str) -> float | None:
        """A figure with the network over the one without; None where one is missing."""
        a, b = getattr(self.alone, name), getattr(self.asked, name)
        return None if not a or b is None else float(b / a)


def run_bench_roles(args: BenchRolesArgs, program: tuple[str, ...] = PROGRAM) -> int:
    """Measures, prints and writes after every pair; returns 0, or 1 when a run failed. ConfigError, InputError and
    OutputError with one line. program: what is called with a sequence and the options of `vgslam run`."""
    _check(args)
    pairs: list[Pair] = []
    for path in args.sequences:
        truth = _truth(path, args.reference)
        for start in args.starts:
            pairs.append(_pair(path, start, truth, args, program))
            print(_row(pairs[-1]), file=sys.stderr, flush=True)
            written = write_record(args.out, NAME, _figures(args, pairs), _page(pairs))
    print(_page(pairs))
    print(written)
    return int(any(run.failure is not None for pair in pairs for run in (pair.alone, pair.asked)))


def _truth(path: Path, reference: str) -> "Trajectory | None":
    try:
        return find_reference(path, reference)[1]
    except InputError:
        return None  # coverage and cost are compared all the same


def _pair(
    path: Path, start: int, truth: "Trajectory | None", args: BenchRolesArgs, program: tuple[str, ...]
) -> Pair:  # fmt: skip
    from vgslam.errors import VgslamError
    from vgslam.results.report import RunReport

    options = BenchAccuracyArgs((path,), timeout=args.timeout)
    runs, said = [], {}
    for network in (ALONE, args.network):
        folder = args.out / path.resolve().name / f"{network}-{start}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        words = f"--network {network} {args.run_options}"
        runs.append(run_once(path, start, folder, truth, replace(options, run_options=words), program))
        try:
            report = RunReport.read(folder / "report.json")
        except VgslamError:
            continue
        said = report.network or {}
        if runs[-1].coverage is None and report.n_frames:
            runs[-1].coverage = report.n_poses / report.n_frames
    return Pair(path.resolve().name, start, runs[0], runs[1], said)


def _figures(args: BenchRolesArgs, pairs: list[Pair]) -> dict[str, Any]:
    return provenance() | {
        "network": args.network, "run_options": args.run_options,
        "pairs": [asdict(pair) | {"is_same": pair.is_same} for pair in pairs],
    }  # fmt: skip


def _page(pairs: list[Pair]) -> str:
    lines = [
        "| sequence | start | coverage, without / with | ATE, m | rotation, deg | CPU, ms a frame | memory, MiB | "
        "asked (believed) | trajectory |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
        *map(_row, pairs), "", *_summary(pairs),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _row(pair: Pair) -> str:
    a, b = pair.alone, pair.asked
    asked = f"{pair.said.get('n_asked', '-')} ({pair.said.get('n_believed', '-')})"
    cells = [
        f"{_text(getattr(a, name), form)} / {_text(getattr(b, name), form)}"
        for name, form in (("coverage", ".3f"), ("ate_m", ".4g"), ("rotation_deg", ".3g"), ("cpu_ms", ".1f"),
                           ("peak_mib", ".0f"))
    ]  # fmt: skip
    same = "the same" if pair.is_same else (b.failure or a.failure or "another")
    return f"| {pair.sequence} | {pair.start} | " + " | ".join(cells) + f" | {asked} | {same} |"


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _summary(pairs: list[Pair]) -> list[str]:
    """What the pairs say together: those that are the same, and the ratios of all that have a figure."""
    lines = [f"{sum(p.is_same for p in pairs)} of {len(pairs)} trajectories are the same to the last bit."]
    for name, title in (("ate_m", "ATE"), ("rotation_deg", "rotation"), ("cpu_ms", "CPU"), ("peak_mib", "memory")):
        ratios = [r for p in pairs if (r := p.ratio(name)) is not None]
        if ratios:
            lines.append(f"{title}, with / without: median {np.median(ratios):.3f}, worst {max(ratios):.3f}.")
    lower = [p for p in pairs if (p.asked.coverage or 0.0) < (p.alone.coverage or 0.0)]
    lines.append(f"Coverage is lower with the network in {len(lower)} of {len(pairs)}.")
    return [line for text in lines for line in (text, "")][:-1]


def _check(args: BenchRolesArgs) -> None:
    if not args.sequences or not args.starts or min(args.starts) < 0 or not args.timeout > 0:
        raise ConfigError("give at least one sequence and one start of 0 or more, and a positive timeout")
    if args.network == ALONE:
        raise ConfigError(f"--network {ALONE} is what the other is compared with; name a network")
    missing = [str(path) for path in args.sequences if not path.exists()]
    if missing:
        raise InputError(f"no such sequence: {', '.join(missing)}")
    claim_folder(args.out, NAME, args.overwrite)
