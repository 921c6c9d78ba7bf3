"""`vgslam bench`: runs sequences, each in its own process, and writes one JSON and one Markdown table."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tyro

from vgslam.atomic import make_folder, write_text
from vgslam.errors import ConfigError, InputError, OutputError, VgslamError
from vgslam.guards.wording import say
from vgslam.results.bench import Bench, RunOutcome, SequenceOutcome, bench_json, markdown, score_outcome
from vgslam.results.environment import describe_machine, git_commit, package_version
from vgslam.session.isolated import run_isolated
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.sources.trajectory_rows import is_untimed
from vgslam.types import Trajectory

BENCH_JSON, BENCH_TABLE = "bench.json", "bench.md"


@dataclass
class BenchArgs:
    """Runs many sequences, scores every run, and writes bench.json and bench.md. `python -m bench model` measures the
    network instead."""

    sequences: tyro.conf.Positional[tuple[Path, ...]]
    """Sequences: anything that `vgslam run` takes. A file groundtruth_NAME.txt in a sequence's folder is a further
    truth, scored too."""
    out: Path = Path("out/bench")
    """Folder for the results; that of run i of a sequence is OUT/SEQUENCE/i."""
    repeat: int = 1
    """Runs of each sequence."""
    run_options: str = ""
    """Options passed on to `vgslam run`, in one string, as in --run-options="--stride 2"."""
    timeout: float = 3600.0
    """Longest time for one run, in seconds; a run that takes longer has failed."""
    overwrite: bool = False
    """Replace the results of an earlier benchmark in OUT."""


SequenceRunner = Callable[[Path, Path, BenchArgs], RunOutcome]
"""(sequence, folder for the run, arguments) -> outcome without scores; the folder then holds a run's files."""


def run_bench(args: BenchArgs, run_sequence: SequenceRunner | None = None) -> int:
    """Runs everything and prints the table; returns 0, or 1 when a sequence failed, which is a row of the table. Ctrl-C
    writes what is there. Raises a VgslamError for arguments that cannot work."""
    _check(args)
    run_sequence = run_sequence or run_in_process
    bench = Bench(["vgslam", "bench", *_given(args)], package_version(), git_commit(), describe_machine(), args.repeat)
    try:
        for path, name in zip(args.sequences, _names(args.sequences), strict=True):
            outcome = SequenceOutcome(name, path, [])
            bench.sequences.append(outcome)
            _run_one(args, outcome, run_sequence)
            _write(args.out, bench)
    except KeyboardInterrupt:
        bench.sequences[-1].runs.append(RunOutcome([], "interrupted by Ctrl-C"))
        _write(args.out, bench)
        say(f"interrupted; what was done is in {args.out}", is_error=True)
        return 130
    say(markdown(bench))
    say(f"written: {args.out / BENCH_JSON}, {args.out / BENCH_TABLE}")
    return 1 if bench.n_failed else 0


def run_in_process(
    sequence: Path, run_dir: Path, args: BenchArgs, program: tuple[str, ...] = (sys.executable, "-m", "vgslam", "run")
) -> RunOutcome:
    """Runs `program` on a sequence in its own process; its output goes into a log beside the run's folder."""
    options = shlex.split(args.run_options)
    command = [*program, str(sequence), "--out", str(run_dir), "--overwrite", *options]
    process = run_isolated(command, run_dir.with_suffix(".log"), args.timeout)
    portable = ["python" if word == sys.executable else word for word in command]
    return RunOutcome(portable, process.failure())


def _run_one(args: BenchArgs, outcome: SequenceOutcome, run_sequence: SequenceRunner) -> None:
    folder = args.out / outcome.name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        truths = find_truths(outcome.path, lambda line: say(f"{outcome.name}: {line}"))
    except VgslamError as error:
        outcome.runs.append(RunOutcome([], str(error)))
        say(f"{outcome.name}: FAILED, {error}")
        return
    outcome.truths = list(truths)
    for i in range(1, args.repeat + 1):
        started = run_sequence(outcome.path, folder / str(i), args)
        scored = started if started.failure else score_outcome(folder / str(i), started.command, truths)
        outcome.runs.append(scored)
        say(f"{outcome.name} {i}/{args.repeat}: {_summary(scored)}")


def find_truths(sequence: Path, say: Callable[[str], object] = print) -> dict[str, Trajectory]:
    """References of a sequence by name: the source's own, then every groundtruth_NAME.txt beside it, as `vgslam run
    --truth` reads it; `say` is told what was mended. Raises InputError."""
    own = open_source(sequence).truth
    truths = {} if own is None else {"groundtruth": own}
    if sequence.is_dir():
        for path in sorted(sequence.glob("groundtruth_*.txt")):
            truths[path.stem] = _read_truth(sequence, path, say)
    return truths


def _read_truth(sequence: Path, path: Path, say: Callable[[str], object]) -> Trajectory:
    notes: list[str] = []
    if is_untimed(path):  # the images of the sequence give the times
        source = open_source(sequence, SourceOptions(truth=path))
        notes += [line for line in source.warnings if path.name in line]
        truth = source.truth
        assert truth is not None
    else:
        truth = read_trajectory(path, is_metric=True, notes=notes)
    for line in notes:
        say(line)
    return truth


def _check(args: BenchArgs) -> None:
    if not args.sequences:
        raise ConfigError("no sequence given; name at least one folder or video")
    if args.repeat < 1 or not args.timeout > 0:
        raise ConfigError("repeat must be at least 1, timeout positive")
    missing = [str(path) for path in args.sequences if not path.exists()]
    if missing:
        raise InputError(f"no such sequence: {', '.join(missing)}")
    if (args.out / BENCH_JSON).exists() and not args.overwrite:
        raise OutputError(f"{args.out} holds a benchmark already; add --overwrite or give another folder with --out")
    make_folder(args.out, "; choose another --out")


def _names(sequences: tuple[Path, ...]) -> list[str]:
    """Folder names, numbered where they repeat."""
    names: list[str] = []
    for path in sequences:
        name = path.resolve().name or "sequence"
        same = sum(other == name or other.startswith(f"{name}~") for other in names)
        names.append(f"{name}~{same + 1}" if same else name)
    return names


def _given(args: BenchArgs) -> list[str]:
    """The arguments as a person would type them."""
    words = [str(path) for path in args.sequences] + ["--out", str(args.out), "--repeat", str(args.repeat)]
    if args.run_options:
        words.append(f"--run-options={shlex.quote(args.run_options)}")
    return words


def _summary(run: RunOutcome) -> str:
    if run.failure is not None:
        return f"FAILED, {run.failure}"
    scores = [f"ATE {e.headline.ate_m.rmse:.3g} m ({name})" for name, e in run.evaluations.items()]
    rate = run.report.frames_per_cpu_s if run.report is not None else None
    return ", ".join([*scores, f"{rate:.1f} frames/CPU s" if rate else "no timing"])


def _write(out: Path, bench: Bench) -> None:
    write_text(out / BENCH_JSON, bench_json(bench))
    write_text(out / BENCH_TABLE, markdown(bench))
