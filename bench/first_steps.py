"""`python -m bench first-steps`: what a newcomer's first commands take, on a fresh clone of this checkout's commit."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.record import claim_folder, provenance, write_record
from vgslam.errors import InputError
from vgslam.session.isolated import run_isolated

NAME = "first_steps"
ROOT = Path(__file__).resolve().parents[1]


@dataclass
class BenchFirstStepsArgs:
    """Clones this repository, installs what runs need, and runs the demo: seconds, disk and memory of each step."""

    out: Path = Path("out/bench-first-steps")
    """Folder for first_steps.json and first_steps.md."""

    timeout: float = 1800.0
    """Longest time for one step, in s."""

    overwrite: bool = False
    """Replace earlier results in OUT."""


@dataclass(frozen=True)
class Step:
    """One command of a newcomer."""

    name: str
    command: str
    wall_s: float
    cpu_s: float
    peak_mib: float  # the largest process has it; at least that of the measurement itself, which started it


def run_bench_first_steps(args: BenchFirstStepsArgs) -> int:
    """Measures, prints and writes; returns 0. InputError with one line where a step fails, OutputError."""
    claim_folder(args.out, NAME, args.overwrite)
    origin = provenance()
    origin["commit"] = (origin["commit"] or "").removesuffix("+changes")  # a clone has what is committed
    with TemporaryDirectory(prefix="vgslam-first-steps-") as folder:
        clone = Path(folder) / "vgslam"
        commands = {
            "clone": ("git", "clone", "--quiet", str(ROOT), str(clone)),
            "install": ("make", "--no-print-directory", "-C", str(clone), ".venv/.base"),
            "demo": ("make", "--no-print-directory", "-C", str(clone), "demo"),
        }
        steps = [taken(name, words, Path(folder) / f"{name}.log", args.timeout) for name, words in commands.items()]
        report = json.loads((clone / "out" / "demo" / "report.json").read_text())
        figures: dict[str, Any] = origin | {
            "steps": [asdict(step) for step in steps], "venv_mib": mib(clone / ".venv"),
            "total_s": sum(step.wall_s for step in steps), "demo": demo_figures(report),
        }  # fmt: skip
    print(page(figures))
    print(write_record(args.out, NAME, figures, page(figures)))
    return 0


def taken(name: str, words: Sequence[str], log: Path, timeout_s: float) -> Step:
    """What a command took. InputError if it fails."""
    outcome = run_isolated(words, log, timeout_s)
    if (failure := outcome.failure()) is not None:
        raise InputError(f"{name}: {failure}")
    print(f"{name}: {outcome.wall_s:.1f} s", file=sys.stderr, flush=True)
    shown = {"clone": "git clone", "install": "make .venv/.base", "demo": "make demo"}[name]
    return Step(name, shown, outcome.wall_s, outcome.cpu_s, outcome.peak_mib or 0.0)


def mib(folder: Path) -> float:
    """Space on the disk of a folder, in MiB."""
    told = subprocess.run(["du", "-sk", folder], check=True, capture_output=True, text=True).stdout
    return int(told.split()[0]) / 1024


def demo_figures(report: dict[str, Any]) -> dict[str, Any]:
    """What the README says of the demo."""
    headline = report["evaluation"]["headline"]
    return {
        "frames": report["n_frames"], "poses": report["n_poses"], "keyframes": report["n_keyframes"],
        "ate_m": headline["ate_sim3_m"]["rmse"], "path_m": headline["path_length_m"],
        "peak_mib": report["peak_memory_mib"],
    }  # fmt: skip


def page(figures: dict[str, Any]) -> str:
    """The figures for people."""
    told = ((s["command"], s["wall_s"], s["cpu_s"], s["peak_mib"]) for s in figures["steps"])
    rows = [f"| `{command}` | {wall:.0f} | {cpu:.0f} | {memory:.0f} |" for command, wall, cpu, memory in told]
    demo, machine = figures["demo"], figures["machine"]
    return "\n".join([
        "# First steps on a fresh clone", "",
        "| step | seconds | CPU s | memory, MiB |", "|---|---:|---:|---:|", *rows,
        f"| together | {figures['total_s']:.0f} | | |", "",
        f"On the disk: {figures['venv_mib']:.0f} MiB of libraries in `.venv`. `make demo` is measured after the "
        "installation that it would begin with.", "",
        f"The demo: {demo['poses']} of {demo['frames']} frames have a pose, {demo['keyframes']} keyframes, "
        f"ATE {demo['ate_m']:.4f} m on {demo['path_m']:.2f} m, {demo['peak_mib']:.0f} MiB.", "",
        f"Command: `{figures['command']}`; commit {figures['commit']}; {machine['cpu']}, {machine['cores']} cores; "
        f"{machine['system']}, Python {machine['python']}. Seconds depend on what else the machine does, and on the "
        "line that libraries are fetched over.", "",
    ])  # fmt: skip
