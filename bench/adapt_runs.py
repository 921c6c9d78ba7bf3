"""`python -m bench adapt-runs`: the same runs with and without adaptation: error, coverage, and what tracking waits."""

import itertools
import json
import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from bench.record import claim_folder, provenance, write_record
from vgslam.errors import ConfigError
from vgslam.session.isolated import run_isolated
from vgslam.sources.open import open_source

NAME = "adapt_runs"
N_TENTHS = 10


@dataclass
class BenchAdaptRunsArgs:
    """Runs sequences with a network, with and without adaptation, each in its own process: a table and JSON."""

    sequences: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Sequences with ground truth: anything that `vgslam run` takes."""

    modes: tuple[Literal["off", "background", "sync"], ...] = ("off", "background")
    """Values of `--adapt`; the others are compared with the first."""

    runs: int = 3
    """Runs of each sequence and mode: number i leaves the first i tenths of the frames out, and has seed i."""

    run_options: str = ""
    """Further options of `vgslam run`, in one string."""

    timeout: float = 3600.0
    """Longest time for one run, in seconds."""

    out: Path = Path("out/bench-adapt-runs")
    """Folder for the results, the table and the JSON."""

    overwrite: bool = False
    """Replace earlier results in OUT."""


@dataclass(frozen=True)
class Tracked:
    """One run."""

    sequence: str
    number: int
    mode: str
    ate_m: float | None = None  # RMSE over all frames after a Sim(3)
    coverage: float | None = None
    latency_p50_ms: float | None = None  # median time from a frame's arrival to its pose
    latency_p95_ms: float | None = None  # 95th percentile of that time
    steps: int = 0  # committed steps
    n_commits: int = 0
    n_rollbacks: int = 0
    wall_s: float = 0.0
    failure: str | None = None  # why there are no figures


def run_bench_adapt_runs(args: BenchAdaptRunsArgs) -> int:
    """Measures, prints and writes after each run; returns 0, or 1 when a run failed. A VgslamError for arguments that
    cannot work."""
    lengths = _check(args)
    rows: list[Tracked] = []
    about: dict[str, Any] = provenance()
    for sequence, n_frames in lengths.items():
        for number, mode in itertools.product(range(args.runs), args.modes):
            case = Tracked(sequence.name, number, mode)
            rows.append(_tracked(args, sequence, number * n_frames // N_TENTHS, case))
            table = _table(rows, args.modes[0])
            written = write_record(args.out, NAME, about | {"rows": [asdict(r) for r in rows]}, _page(about, table))
            print(f"{sequence.name}, run {number}, {mode}: {rows[-1].failure or 'done'}", file=sys.stderr)
    print(table)
    print(written)
    return 1 if any(r.failure for r in rows) else 0


def _check(args: BenchAdaptRunsArgs) -> dict[Path, int]:
    """The sequences and their lengths in frames."""
    if not args.sequences or not args.modes or not 1 <= args.runs < N_TENTHS:
        raise ConfigError(f"give at least one sequence and mode, and --runs between 1 and {N_TENTHS - 1}")
    claim_folder(args.out, NAME, args.overwrite)
    return {path: sum(1 for _ in open_source(path)) for path in args.sequences}


def _tracked(args: BenchAdaptRunsArgs, sequence: Path, start: int, case: Tracked) -> Tracked:
    folder = args.out / f"{case.sequence}_{case.number}_{case.mode}"
    command = [
        sys.executable, "-m", "vgslam", "run", str(sequence), "--start", str(start), "--network", "vggt",
        "--adapt", case.mode, "--adaptation.seed", str(case.number), "--poses", "-", "--quiet", "--overwrite",
        "--out", str(folder), *shlex.split(args.run_options),
    ]  # fmt: skip
    log = folder.with_suffix(".log")
    outcome = run_isolated(command, log, args.timeout)
    if outcome.exit_code != 0:
        return Tracked(case.sequence, case.number, case.mode, failure=outcome.failure())
    report = json.loads((folder / "report.json").read_text())
    evaluation, adaptation = report.get("evaluation") or {}, report.get("adaptation") or {}
    lines = [json.loads(x) for x in log.read_text().splitlines() if x.startswith("{")]
    waits = [1e3 * x["latency_s"] for x in lines if x.get("latency_s") is not None]
    p50, p95 = (float(x) for x in np.percentile(waits, (50, 95))) if waits else (None, None)
    return Tracked(
        case.sequence, case.number, case.mode, evaluation.get("headline", {}).get("ate_sim3_m", {}).get("rmse"),
        evaluation.get("coverage", {}).get("coverage"), p50, p95, adaptation.get("step", 0),
        adaptation.get("n_commits", 0), adaptation.get("n_rollbacks", 0), outcome.wall_s,
    )  # fmt: skip


def _table(rows: list[Tracked], reference: str) -> str:
    head = ["sequence", "run", "--adapt", "ATE [m]", "coverage", "frame to pose: median [ms]", "95 % [ms]", "ratio"]
    head += ["commits, rollbacks", "committed steps", "wall [s]"]
    lines = ["| " + " | ".join(head) + " |", "|---|---:|---|" + "---:|" * (len(head) - 3)]
    without = {(r.sequence, r.number): r for r in rows if r.mode == reference}
    for r in rows:
        base, ratio = without.get((r.sequence, r.number)), None
        if base is not None and r.latency_p95_ms is not None and base.latency_p95_ms is not None:
            ratio = r.latency_p95_ms / base.latency_p95_ms
        cells = [r.sequence, str(r.number), r.mode, _number(r.ate_m, 4), _number(r.coverage, 3)]
        cells += [_number(r.latency_p50_ms, 1), _number(r.latency_p95_ms, 1), _number(ratio, 2)]
        cells += [f"{r.n_commits}, {r.n_rollbacks}", str(r.steps), f"{r.wall_s:.0f}"]
        lines.append("| " + " | ".join([*cells[:3], r.failure] if r.failure else cells) + " |")
    return "\n".join([*lines, *_means(rows)]) + "\n"


def _means(rows: list[Tracked]) -> list[str]:
    """A row for each sequence and mode."""
    lines = []
    for sequence, mode in dict.fromkeys((r.sequence, r.mode) for r in rows):
        mine = [r for r in rows if (r.sequence, r.mode) == (sequence, mode)]
        cells = [
            _mean([r.ate_m for r in mine], 4), _mean([r.coverage for r in mine], 3),
            _mean([r.latency_p50_ms for r in mine], 1), _mean([r.latency_p95_ms for r in mine], 1),
        ]  # fmt: skip
        lines.append(f"| {sequence} | mean | {mode} | " + " | ".join(cells) + " | | | | |")
    return lines


def _mean(values: list[float | None], digits: int) -> str:
    known = [x for x in values if x is not None]
    return _number(float(np.mean(known)) if known else None, digits)


def _number(x: float | None, digits: int) -> str:
    return "-" if x is None else f"{x:.{digits}f}"


def _page(about: dict[str, Any], table: str) -> str:
    head = "\n".join(f"- {name}: {value}" for name, value in about.items())
    return (
        "# Runs with and without adaptation\n\nRun i leaves out the first i tenths of the frames. ratio: of the 95 % "
        f"quantile of the time from a frame's arrival to its pose, to that of the first mode.\n\n{head}\n\n{table}"
    )
