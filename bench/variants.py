"""`python -m bench variants`: what `vgslam run` makes of a recording as another camera would have made it."""

import shutil
import sys
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from bench.accuracy import BenchAccuracyArgs, find_reference, run_once
from bench.record import claim_folder, provenance, write_record
from vgslam.errors import ConfigError, InputError

if TYPE_CHECKING:
    from bench.accuracy_table import AccuracyRun

NAME = "variants"
PROGRAM = (sys.executable, "-m", "vgslam", "run")


@dataclass
class BenchVariantsArgs:
    """Runs changed copies of sequences: exposure, lamps, noise, blur, frames that are missing, overlays, sizes."""

    sequences: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders with a calibration and a reference: anything that `vgslam run` takes."""

    only: tuple[str, ...] = ()
    """Names of variants, such as "noise"; all if none is given."""

    frames: int = 200
    """Images of each sequence that are used, from its first."""

    run_options: str = "--network none"
    """Options passed on to `vgslam run`, in one string."""

    reference: str = "groundtruth_sfm.txt"
    """File in a sequence's folder that is its reference; a sequence without one is scored by its own truth."""

    timeout: float = 3600.0
    """Longest time for one run, in s; a run that takes longer has failed."""

    out: Path = Path("out/bench-variants")
    """Folder for variants.json and variants.md, and for the changed copies, which are removed."""

    overwrite: bool = False
    """Replace earlier results in OUT."""


@dataclass
class VariantRun:
    """One changed sequence, and what became of it."""

    sequence: str
    variant: str
    run: "AccuracyRun"


def run_bench_variants(args: BenchVariantsArgs, program: tuple[str, ...] = PROGRAM) -> int:
    """Measures, prints and writes after every run; returns 0, or 1 when a run failed. ConfigError, InputError and
    OutputError with one line. program: what is called with a sequence and the options of `vgslam run`."""
    from bench.varied import VARIANTS, varied_truth, write_variant
    from vgslam.sources import open_source

    names = _check(args, list(VARIANTS))
    done: list[VariantRun] = []
    for path in args.sequences:
        name, source = path.resolve().name, open_source(path)
        _, truth = find_reference(path, args.reference)
        if source.camera is None:
            raise InputError(f"{path}: it has no calibration, which the changed copies need")
        frames = list(islice(source, args.frames))
        images, times_s = [frame.image for frame in frames], np.array([frame.timestamp_s for frame in frames])
        for variant in names:
            folder = args.out / name / variant.replace(" ", "-")
            shutil.rmtree(folder, ignore_errors=True)
            change = VARIANTS[variant]
            write_variant(change, images, times_s, source.camera, folder / "copy")
            varied = varied_truth(change, truth, times_s)
            run = run_once(folder / "copy", 0, folder / "run", varied, _accuracy(args), program)
            shutil.rmtree(folder / "copy")
            done.append(VariantRun(name, variant, run))
            print(_row(done[-1]), file=sys.stderr, flush=True)
            written = _write(args, done)
    print(_text(args, done))
    print(written)
    return int(any(one.run.failure is not None for one in done))


def _accuracy(args: BenchVariantsArgs) -> BenchAccuracyArgs:
    return BenchAccuracyArgs((), run_options=args.run_options, timeout=args.timeout)


def _check(args: BenchVariantsArgs, known: list[str]) -> list[str]:
    """The variants that are asked for."""
    if not args.sequences or args.frames < 1 or not args.timeout > 0:
        raise ConfigError("give at least one sequence, and positive --frames and --timeout")
    unknown = [name for name in args.only if name not in known]
    if unknown:
        raise ConfigError(f"no variant {unknown[0]!r}; there are {', '.join(known)}")
    missing = [str(path) for path in args.sequences if not path.exists()]
    if missing:
        raise InputError(f"no such sequence: {', '.join(missing)}")
    claim_folder(args.out, NAME, args.overwrite)
    return [name for name in known if not args.only or name in args.only]


def _write(args: BenchVariantsArgs, done: list[VariantRun]) -> str:
    figures: dict[str, Any] = provenance() | {
        "run_options": args.run_options, "frames": args.frames, "runs": [asdict(one) for one in done],
    }  # fmt: skip
    return write_record(args.out, NAME, figures, _text(args, done))


def _text(args: BenchVariantsArgs, done: list[VariantRun]) -> str:
    origin = provenance()
    machine = origin["machine"]
    return "\n".join([
        f"The first {args.frames} images of each sequence, changed as `bench/varied.py` says. Coverage: the largest "
        "component's share of the frames; ATE: RMSE of its positions after Sim(3); rotation: RMSE after aligning the "
        "rotations alone.",
        "", f"Command: `{origin['command']}`",
        "", f"vgslam {origin['version']}, commit {origin['commit'] or 'unknown'}; {machine['cpu']}, {machine['cores']} "
        f"cores, {machine['memory_gib']:g} GiB; {machine['system']}, Python {machine['python']}.",
        "", "| sequence | variant | components | coverage | ATE, m | rotation, deg | CPU, ms a frame | warnings |",
        "|---|---|---:|---:|---:|---:|---:|---:|", *(_row(one) for one in done), "",
    ])  # fmt: skip


def _row(one: VariantRun) -> str:
    r = one.run
    cells = [_cell(value, form) for value, form in (
        (r.components, "d"), (r.coverage, ".3f"), (r.ate_m, ".4g"), (r.rotation_deg, ".3g"), (r.cpu_ms, ".0f"),
        (len(r.warnings), "d"),
    )]  # fmt: skip
    return "| " + " | ".join([one.sequence, one.variant, *cells]) + " |" + (f" {r.failure}" if r.failure else "")


def _cell(value: float | None, form: str) -> str:
    return "none" if value is None else format(value, form)
