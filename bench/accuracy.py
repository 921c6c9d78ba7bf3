"""`python -m bench accuracy`: coverage, errors, CPU and memory of `vgslam run` on sequences from several starts."""

import shlex
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from bench.record import claim_folder, provenance, write_record
from vgslam.errors import ConfigError, InputError

if TYPE_CHECKING:
    from bench.accuracy_table import AccuracyRun
    from vgslam.types import Trajectory

NAME = "accuracy"
PROGRAM = (sys.executable, "-m", "vgslam", "run")
UNCALIBRATED = ("images", "times.txt")  # what an uncalibrated run sees of a sequence's folder


@dataclass
class BenchAccuracyArgs:
    """Runs sequences from several starts, each run its own process: median and worst of its figures."""

    sequences: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders with images and a reference: anything that `vgslam run` takes."""

    starts: tuple[int, ...] = (0, 3, 7, 11, 15)
    """First images of the runs, counted from 0."""

    run_options: str = ""
    """Options passed on to `vgslam run`, in one string, as in --run-options="--network none"."""

    reference: str = "groundtruth_sfm.txt"
    """File in a sequence's folder that is its reference; a sequence without one is scored by its own truth."""

    uncalibrated: bool = False
    """Leave the calibration out: the run sees the images and their times alone."""

    timeout: float = 3600.0
    """Longest time for one run, in s; a run that takes longer has failed."""

    out: Path = Path("out/bench-accuracy")
    """Folder for accuracy.json and accuracy.md; that of a run is OUT/SEQUENCE/START."""

    overwrite: bool = False
    """Replace earlier results in OUT."""


@dataclass
class SequenceRuns:
    """All starts of one sequence."""

    name: str
    path: Path
    reference: str
    fov_deg: float | None = None  # horizontal field of view as its own calibration has it
    runs: "list[AccuracyRun]" = field(default_factory=list)


def run_bench_accuracy(args: BenchAccuracyArgs, program: tuple[str, ...] = PROGRAM) -> int:
    """Measures, prints and writes after every run; returns 0, or 1 when a run failed. ConfigError, InputError and
    OutputError with one line. program: what is called with a sequence and the options of `vgslam run`."""
    _check(args)
    done: list[SequenceRuns] = []
    for path in args.sequences:
        reference, truth = find_reference(path, args.reference)
        sequence = SequenceRuns(path.resolve().name, path, reference, true_fov_deg(path) if args.uncalibrated else None)
        done.append(sequence)
        folder = args.out / sequence.name
        folder.mkdir(parents=True, exist_ok=True)
        shown = without_calibration(path, folder / "uncalibrated") if args.uncalibrated else path
        for start in args.starts:
            sequence.runs.append(run_once(shown, start, folder / str(start), truth, args, program))
            print(_line(sequence.name, sequence.runs[-1]), file=sys.stderr, flush=True)
            written = _write(args, done)
    print(_text(args, done))
    print(written)
    return int(any(run.failure is not None for sequence in done for run in sequence.runs))


def find_reference(sequence: Path, name: str) -> "tuple[str, Trajectory]":
    """The file `name` in the sequence's folder, else the source's own truth, and what it is called. InputError if
    there is none."""
    from vgslam.sources import open_source
    from vgslam.sources.trajectory_io import read_trajectory

    if (sequence / name).is_file():
        return name, read_trajectory(sequence / name, is_metric=True)
    own = open_source(sequence).truth
    if own is None:
        raise InputError(f"{sequence}: it has no reference, neither {name} nor one of its own")
    return "its own", own


def true_fov_deg(sequence: Path) -> float | None:
    """Horizontal field of view that follows from the focal length of a sequence's own calibration, as that of an
    estimated camera does: distortion bends the image around the middle, and a run's takes it out there too. None
    without a calibration. A fisheye's is that of its straightened images."""
    from vgslam.sources import open_source

    source = open_source(sequence)
    recorded = getattr(source, "recorded_camera", None)
    camera = source.camera if recorded is None or recorded.is_fisheye else recorded
    return None if camera is None else float(2 * np.degrees(np.arctan2(camera.width, 2 * camera.fx)))


def without_calibration(sequence: Path, folder: Path) -> Path:
    """`folder` with links to the sequence's images and their times, and nothing else. InputError for a sequence that
    is not a folder with images/."""
    if not (sequence / UNCALIBRATED[0]).is_dir():
        raise InputError(f"{sequence}: an uncalibrated run needs a folder with {UNCALIBRATED[0]}/ in it")
    folder.mkdir(parents=True, exist_ok=True)
    for name in UNCALIBRATED:
        link = folder / name
        link.unlink(missing_ok=True)
        if (sequence / name).exists():
            link.symlink_to((sequence / name).resolve())
    return folder


def run_once(
    sequence: Path, start: int, folder: Path, truth: "Trajectory | None", args: BenchAccuracyArgs,
    program: tuple[str, ...] = PROGRAM,
) -> "AccuracyRun":  # fmt: skip
    """One run in its own process, scored if there is a truth. What goes wrong becomes its failure."""
    from bench.accuracy_table import AccuracyRun
    from vgslam.errors import VgslamError
    from vgslam.results.bench import score_outcome
    from vgslam.results.report import RunReport
    from vgslam.session.isolated import run_isolated

    words = [str(sequence), "--start", str(start), "--out", str(folder), "--overwrite", "--quiet"]
    words += shlex.split(args.run_options)
    process = run_isolated([*program, *words], folder.with_suffix(".log"), args.timeout)
    run = AccuracyRun(start, ["vgslam", "run", *words], process.failure(), peak_mib=process.peak_mib)
    try:
        report = RunReport.read(folder / "report.json")
    except VgslamError:
        return run
    camera = report.camera or {}
    run.n_frames, run.fov_deg, run.warnings = report.n_frames, camera.get("fov_x_deg"), report.warnings
    run.fov_sigma_deg, run.is_fov_sure = camera.get("fov_sigma_deg"), camera.get("is_reliable")
    run.cpu_ms = 1e3 * process.cpu_s / run.n_frames if run.n_frames else None
    if run.failure is None:
        outcome = score_outcome(folder, run.command, {} if truth is None else {NAME: truth})
        run.failure, run.trajectory_sha256 = outcome.failure, outcome.trajectory_sha256
        if NAME in outcome.evaluations:
            run.add_scores(outcome.evaluations[NAME])
    return run


def _check(args: BenchAccuracyArgs) -> None:
    if not args.sequences or not args.starts or min(args.starts) < 0 or not args.timeout > 0:
        raise ConfigError("give at least one sequence and one start of 0 or more, and a positive timeout")
    names = [path.resolve().name for path in args.sequences]
    if len(set(names)) < len(names) or len(set(args.starts)) < len(args.starts):
        raise ConfigError("a sequence or a start is given twice")
    missing = [str(path) for path in args.sequences if not path.exists()]
    if missing:
        raise InputError(f"no such sequence: {', '.join(missing)}")
    claim_folder(args.out, NAME, args.overwrite)


def _text(args: BenchAccuracyArgs, done: list[SequenceRuns]) -> str:
    from bench.accuracy_table import markdown

    origin = provenance()
    machine = origin["machine"]
    about = [
        "ATE: RMSE of all frames of the largest component after Sim(3); coverage: that component's share of the "
        "frames; rotation: RMSE after aligning the rotations alone; CPU: user and system time of the whole process.",
        "", f"{'Without' if args.uncalibrated else 'With the'} calibration. References: "
        + "; ".join(f"{s.name}: {s.reference}" for s in done) + ".",
        "", f"Command: `{origin['command']}`",
        "", f"vgslam {origin['version']}, commit {origin['commit'] or 'unknown'}; {machine['cpu']}, {machine['cores']} "
        f"cores, {machine['memory_gib']:g} GiB; {machine['system']}, Python {machine['python']}.",
    ]  # fmt: skip
    about += [line for s in done if (line := _fov_line(s))]
    return markdown([(s.name, s.runs) for s in done], about)


def _fov_line(sequence: SequenceRuns) -> str:
    """Estimated fields of view beside the true one; empty where none is known."""
    told = [_told_fov(run, run.fov_deg) for run in sequence.runs if run.fov_deg is not None]
    if sequence.fov_deg is None or not told:
        return ""
    return f"\nField of view of {sequence.name}: {sequence.fov_deg:.1f} deg; from the starts: {', '.join(told)} deg."


def _told_fov(run: "AccuracyRun", fov_deg: float) -> str:
    """A run's field of view, with its deviation and whether it was sure where it says so."""
    if run.fov_sigma_deg is None:
        return f"{fov_deg:.1f}"
    return f"{fov_deg:.1f} +- {run.fov_sigma_deg:.1f}{'' if run.is_fov_sure else ' (not sure)'}"


def _write(args: BenchAccuracyArgs, done: list[SequenceRuns]) -> str:
    from bench.accuracy_table import FIGURES, summary

    figures: dict[str, Any] = provenance() | {
        "uncalibrated": args.uncalibrated, "run_options": args.run_options,
        "sequences": [
            {
                "name": s.name, "path": str(s.path), "reference": s.reference, "fov_deg": s.fov_deg,
                "summary": {name: asdict(summary(s.runs, name)) for name in FIGURES},
                "runs": [asdict(run) for run in s.runs],
            }
            for s in done
        ],
    }  # fmt: skip
    return write_record(args.out, NAME, figures, _text(args, done))


def _line(name: str, run: "AccuracyRun") -> str:
    if run.failure is not None:
        return f"{name}, start {run.start}: FAILED, {run.failure}"
    ate = "none" if run.ate_m is None else f"{run.ate_m:.4g} m"
    cpu = "" if run.cpu_ms is None else f", {run.cpu_ms:.1f} CPU ms a frame"
    return f"{name}, start {run.start}: coverage {run.coverage or 0.0:.3f}, ATE {ate}{cpu}"
