"""`python -m bench pycolmap`: pycolmap on sequences, to compare accuracy and speed with `vgslam bench`."""

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from bench.pycolmap_peer import PEER_REPORT, PEER_TRAJECTORY, load_pycolmap
from bench.record import claim_folder, provenance, write_record
from vgslam.commands.bench import find_truths
from vgslam.errors import ConfigError, EvaluationError
from vgslam.evaluation.evaluate import evaluate
from vgslam.session.isolated import run_isolated
from vgslam.sources.trajectory_io import read_trajectory

NAME = "pycolmap"


@dataclass
class BenchColmapArgs:
    """Runs pycolmap with the focal length fixed; a table beside that of `vgslam bench`
    says how accurate and how fast it is on the same sequences."""

    sequences: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Calibrated sequences: anything that `vgslam run` takes."""

    stride: int = 1
    """Give pycolmap every n-th frame only."""

    timeout: float = 3600.0
    """Longest time for one sequence, in seconds."""

    out: Path = Path("out/bench-pycolmap")
    """Folder for the results, the table and the JSON."""

    overwrite: bool = False
    """Replace earlier results in OUT."""


@dataclass
class Reconstructed:
    """The result of pycolmap on one sequence."""

    sequence: str
    failure: str | None = None  # one line; None if there is a model
    report: dict[str, float] = field(default_factory=dict)  # pycolmap's own figures
    scores_m: dict[str, float] = field(default_factory=dict)  # ATE after Sim(3) by name of the truth


def run_bench_colmap(args: BenchColmapArgs) -> int:
    """Runs, prints and writes; returns 0, or 1 where a sequence has no model. Raises ConfigError, OutputError and
    MissingDependencyError before anything runs."""
    if args.stride < 1 or not args.timeout > 0 or not args.sequences:
        raise ConfigError("name at least one sequence; stride must be at least 1, timeout positive")
    load_pycolmap()
    claim_folder(args.out, NAME, args.overwrite)
    found = [reconstruct(path, args) for path in args.sequences]
    record = provenance() | {"stride": args.stride, "sequences": [asdict(x) for x in found]}
    page = table(found)
    print(page)
    print(write_record(args.out, NAME, record, page + "\n"))
    return 1 if any(x.failure for x in found) else 0


def reconstruct(sequence: Path, args: BenchColmapArgs) -> Reconstructed:
    """Runs pycolmap in a separate process, so that its CPU time can be measured."""
    out = args.out / sequence.resolve().name
    out.mkdir(parents=True, exist_ok=True)
    found = Reconstructed(out.name)
    command = [sys.executable, "-m", "bench.pycolmap_peer", str(sequence), str(out), str(args.stride)]
    (out / PEER_REPORT).unlink(missing_ok=True)
    found.failure = run_isolated(command, out / "log.txt", args.timeout).failure()
    if found.failure is not None:
        return found
    found.report = json.loads((out / PEER_REPORT).read_text())
    if not found.report["n_registered"]:
        found.failure = "no model"
        return found
    estimate = read_trajectory(out / PEER_TRAJECTORY)
    for name, truth in find_truths(sequence).items():
        try:
            found.scores_m[name] = evaluate(estimate, truth).headline.ate_m.rmse
        except EvaluationError:
            continue
    return found


def table(found: list[Reconstructed]) -> str:
    """Markdown; images in a CPU second are those that it was given."""
    lines = ["| sequence | images | in the largest model | ATE [m] | images/CPU s |", "|---|---:|---:|---|---:|"]
    for x in found:
        if x.failure is not None:
            lines.append(f"| {x.sequence} | FAILED, {x.failure} | | | |")
            continue
        r, scores = x.report, ", ".join(f"{ate:.3g} ({name})" for name, ate in x.scores_m.items())
        rate = r["n_images"] / max(r["cpu_s"], 1e-9)
        lines.append(f"| {x.sequence} | {r['n_images']} | {r['n_registered']} | {scores or 'n/a'} | {rate:.2f} |")
    return "\n".join(lines)
