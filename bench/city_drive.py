"""`python -m bench city`: a long drive through a rendered city that returns, and what it costs frame by frame."""

import json
import math
import shlex
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from bench.child_cost import CostRecord, run_measured
from bench.record import claim_folder, provenance, write_record
from vgslam.errors import ConfigError, InputError

if TYPE_CHECKING:
    from vgslam.types import Trajectory

NAME = "city"
WINDOW = 500
"""Frames at the begin and at the end whose costs are compared; less where there are fewer than three times as many."""
SAME_PLACE_M, SAME_WAY_DEG = 25.0, 60.0
"""Two frames see the same place within this distance and angle: the street ahead looks alike from there."""
ATE_PERCENT, GROWTH, MEMORY_MIB = 0.3, 1.3, 500.0
"""What the drive must keep to: ATE in % of the path, cost of a frame at the end over that at the start, memory."""


@dataclass
class BenchCityArgs:
    """A drive of 5,000 frames through a rendered city, streets seen twice: error, loops, cost per frame, memory."""

    frames: int = 5000
    """Frames of the drive; fewer are its beginning, which does not come back before frame 1400."""

    seed: int = 5
    """The city's."""

    supersample: int = 2
    """Rays per pixel and axis."""

    options: str = ""
    """Options passed on to `vgslam run`, in one string."""

    cache: Path = Path("out/city-film")
    """Folder for the rendered frames, which are made once."""

    out: Path = Path("out/bench-city")
    """Folder for city.json and city.md; that of the run is OUT/run."""

    overwrite: bool = False
    """Replace earlier results in OUT."""


@dataclass(frozen=True)
class CityFigures:
    """What came out."""

    frames: int
    path_m: float  # length of the drive
    coverage: float  # share of the frames with a pose
    largest: float  # share of the frames in the largest component
    components: int
    ate_m: float  # RMS error of the positions of the largest component after alignment by a Sim(3)
    ate_percent: float  # the same in % of the path
    keyframes: int
    loops: int  # loops closed
    false_loops: int  # those of them whose frames see different places
    start_ms: float  # CPU time of a frame at the start
    end_ms: float  # CPU time of a frame at the end
    frames_cpu_s: float  # CPU time from the first frame to the last
    finish_cpu_s: float  # CPU time after the last frame
    cpu_s: float  # CPU time of the whole process
    peak_mib: float  # peak resident memory
    wall_s: float

    @property
    def growth(self) -> float:
        """Cost of a frame at the end over that at the start."""
        return self.end_ms / self.start_ms


def run_bench_city(args: BenchCityArgs) -> int:
    """Renders where needed, runs, scores, prints and writes; returns 0. ConfigError, InputError, OutputError."""
    from bench.city_film import FilmSpec, film_city
    from bench.city_route import FULL_LENGTH

    if not 10 <= args.frames <= FULL_LENGTH or args.supersample < 1:
        raise ConfigError(f"--frames must be 10 to {FULL_LENGTH}, --supersample at least 1")
    claim_folder(args.out, NAME, args.overwrite)
    spec = FilmSpec(args.seed, supersample=args.supersample)
    film = film_city(spec, args.frames, args.cache)
    run_dir = args.out / "run"
    if run_dir.exists():
        shutil.rmtree(run_dir)
    cost = run_measured(_command(args, film, run_dir), args.out / "run.log")
    figures = _figures(args, film, run_dir, cost)
    report = json.loads((run_dir / "report.json").read_text())
    about: dict[str, Any] = provenance() | {"film": asdict(spec)}
    page = _page(about, figures, report, cost)
    Console().print(page, soft_wrap=True, markup=False)
    extra = {"growth": figures.growth, "stage_cpu_s": report["stage_cpu_s"], "refinement": report.get("refinement"),
             "cost_every_100_frames": cost.table(100)}  # fmt: skip
    print(write_record(args.out, NAME, about | asdict(figures) | extra, page))
    return 0


def _command(args: BenchCityArgs, film: Path, run_dir: Path) -> list[str]:
    return [
        "run", str(film), "--source", "plain", "--network", "none", "--max-frames", str(args.frames), "--out",
        str(run_dir), "--quiet", *shlex.split(args.options),
    ]  # fmt: skip


def _figures(args: BenchCityArgs, film: Path, run_dir: Path, cost: CostRecord) -> CityFigures:
    from vgslam.evaluation.evaluate import EvaluationOptions, evaluate
    from vgslam.results.run_folder import STATUS, TRAJECTORY_TUM
    from vgslam.results.status import read_status
    from vgslam.sources.trajectory_io import read_trajectory

    status = read_status(run_dir / STATUS)
    estimate = status.label(read_trajectory(run_dir / TRAJECTORY_TUM))
    truth = read_trajectory(film / "groundtruth.txt")
    report = json.loads((run_dir / "report.json").read_text())
    if not len(estimate):
        raise InputError(f"no frame of the drive has a pose; see {run_dir}")
    score = evaluate(estimate, truth, EvaluationOptions(n_frames=args.frames)).headline
    path_m = _length_m(truth, args.frames)
    n = min(WINDOW, args.frames // 3)
    false = [x for x in report["loops"] if not is_same_place(truth, x["frame_a"], x["frame_b"])]
    return CityFigures(
        args.frames, path_m, len(estimate) / args.frames, score.n_poses / args.frames, report["n_components"],
        score.ate_m.rmse, 100 * score.ate_m.rmse / path_m, report["n_keyframes"], len(report["loops"]), len(false),
        cost.ms_per_frame(0, n), cost.ms_per_frame(args.frames - n, args.frames), cost.frames_cpu_s,
        cost.cpu_s - float(cost.cpu_at_s[-1]), cost.cpu_s, cost.peak_mib, cost.wall_s,
    )  # fmt: skip


def _length_m(truth: "Trajectory", n_frames: int) -> float:
    return float(np.linalg.norm(np.diff(truth.T_world_cam[:n_frames, :3, 3], axis=0), axis=1).sum())


def is_same_place(truth: "Trajectory", a: int, b: int) -> bool:
    """Whether two frames of the drive see the same place."""
    A, B = truth.T_world_cam[a], truth.T_world_cam[b]
    apart_m = float(np.linalg.norm(A[:3, 3] - B[:3, 3]))
    angle_deg = math.degrees(math.acos(np.clip(A[:3, 2] @ B[:3, 2], -1.0, 1.0)))
    return apart_m <= SAME_PLACE_M and angle_deg <= SAME_WAY_DEG


def _page(about: dict[str, Any], f: CityFigures, report: dict[str, Any], cost: CostRecord) -> str:
    machine = about["machine"]
    rows = [
        ("ATE, % of the path", f"{f.ate_percent:.3f}", f"at most {ATE_PERCENT}"),
        ("ATE, m", f"{f.ate_m:.2f}", ""),
        ("frames with a pose (in the largest component), %", f"{100 * f.coverage:.1f} ({100 * f.largest:.1f})", ""),
        ("components", f"{f.components}", ""),
        ("keyframes", f"{f.keyframes}", ""),
        ("loops closed (false)", f"{f.loops} ({f.false_loops})", "0 false"),
        ("CPU ms a frame at the start", f"{f.start_ms:.1f}", ""),
        ("CPU ms a frame at the end", f"{f.end_ms:.1f}", ""),
        ("the end over the start", f"{f.growth:.2f}", f"at most {GROWTH}"),
        ("CPU s after the last frame", f"{f.finish_cpu_s:.1f}", ""),
        ("CPU s in all", f"{f.cpu_s:.0f}", ""),
        ("seconds", f"{f.wall_s:.0f}", ""),
        ("peak memory, MiB", f"{f.peak_mib:.0f}", f"at most {MEMORY_MIB:.0f}"),
    ]
    lines = ["| | measured | bar |", "|---|---:|---|", *(f"| {a} | {b} | {c} |" for a, b, c in rows)]
    stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in report["stage_cpu_s"].items())
    if report.get("refinement") is not None:
        stages += f". Refinement: {json.dumps(report['refinement'])}"
    steps = cost.table(500)
    names = list(cost.stage_at_s)
    course = [f"| frames | CPU ms a frame | {' | '.join(names)} | resident MiB |", "|---" * (len(names) + 3) + "|"]
    for a in steps:
        parts = " | ".join(f"{a['stages'][name]:.1f}" for name in names)
        course.append(f"| {a['begin']}-{a['end']} | {a['cpu_ms']:.1f} | {parts} | {a['resident_mib']:.0f} |")
    return "\n".join([
        "# A long drive through a city that returns", "",
        f"`{about['command']}` (commit {about['commit']}, {machine['cpu']}, {machine['cores']} cores). A rendered "
        f"drive of {f.frames} frames of {about['film']['size'][0]} x {about['film']['size'][1]} pixels over "
        f"{f.path_m:.0f} m, without a network. At the start and at the end: over {min(WINDOW, f.frames // 3)} frames.",
        "", *lines, "", f"CPU seconds by stage: {stages}.", "", *course, "",
    ])  # fmt: skip
