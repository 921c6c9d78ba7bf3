"""`python -m bench backend`: how much loops bring on a simulated drive with false ones among them, and the cost per
keyframe of long ones."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.record import claim_folder, write_record
from vgslam.errors import ConfigError
from vgslam.geometry.sim3 import Sim3
from vgslam.results.environment import describe_machine, git_commit, package_version
from vgslam.types import Array

NAME = "bench_backend"


@dataclass
class BenchBackendArgs:
    """Measures the pose graph: drift and loops on a given trajectory, and the cost per keyframe."""

    trajectory: Path | None = None
    """True trajectory with revisits (TUM, or KITTI with its times beside it) that the drive follows."""

    seeds: int = 5
    """Drives along the trajectory, each with its own noise."""

    scale: int = 0
    """Keyframes of the long drive whose cost is measured; 0 for none."""

    loop_every: int = 100
    """Keyframes between two loops of the long drive."""

    out: Path = Path("out/bench-backend")
    """Folder for bench_backend.json and bench_backend.md."""

    overwrite: bool = False
    """Replace earlier results in OUT."""


@dataclass(frozen=True)
class DriveScore:
    """One simulated drive. ATE is the RMSE of positions after alignment by a Sim(3), in units of the trajectory."""

    seed: int
    n_keyframes: int
    n_loops: int
    n_false: int
    n_false_active: int
    precision: float  # precision of the loops left active
    recall: float  # recall of the loops left active
    ate_odometry: float  # ATE of dead reckoning
    ate_loops: float  # ATE with the loops that the graph left active
    ate_true_loops: float  # ATE if it were known which loops are false
    solve_s: float


def score_drive(T_world_cam: Array, seed: int) -> DriveScore:
    """Simulates a drive along poses (N,4,4), solves it, and compares with the truth."""
    from bench.loop_simulation import simulate
    from vgslam.graph.pose_graph import optimize
    from vgslam.graph.robust import solve_robust

    drive = simulate(T_world_cam, seed)
    begun = time.process_time()
    solution = solve_robust(drive.nodes, drive.odometry + drive.loops, {0})
    seconds = time.process_time() - begun
    true = [e for e in drive.loops if (e.id_a, e.id_b) not in drive.false_loops]
    told, _ = optimize(drive.nodes, drive.odometry + true, {0}, 100)
    n_wrong = sum((e.id_a, e.id_b) in drive.false_loops for e in solution.active)
    n_right = len(solution.active) - n_wrong
    return DriveScore(
        seed, len(drive.truth), len(drive.loops), len(drive.false_loops), n_wrong,
        n_right / max(len(solution.active), 1), n_right / max(len(true), 1), _ate(drive.nodes, drive.truth),
        _ate(solution.nodes, drive.truth), _ate(told, drive.truth), seconds,
    )  # fmt: skip


def _ate(nodes: dict[int, Sim3], T_world_cam: Array) -> float:
    from vgslam.evaluation.alignment import align

    estimate = np.stack([nodes[k].pose for k in range(len(T_world_cam))])
    moved = align(T_world_cam, estimate, with_scale=True).apply(estimate)
    return float(np.sqrt(((moved[:, :3, 3] - T_world_cam[:, :3, 3]) ** 2).sum(1).mean()))


def run_bench_backend(args: BenchBackendArgs) -> int:
    """Measures, prints and writes; returns 0, or 1 when a false loop stayed active."""
    _check(args)
    scores: list[DriveScore] = []
    if args.trajectory is not None:
        from vgslam.sources.trajectory_io import read_trajectory

        poses = read_trajectory(args.trajectory).T_world_cam
        scores = [score_drive(poses, seed) for seed in range(args.seeds)]
    costs = _costs(args.scale, args.loop_every) if args.scale else {}
    table = "\n\n".join(t for t in (_score_table(scores), _cost_table(costs)) if t) + "\n"
    record = {
        "version": package_version(), "commit": git_commit(), "machine": describe_machine(),
        "drives": [asdict(s) for s in scores], "costs": costs,
    }  # fmt: skip
    print(table)
    print(write_record(args.out, NAME, record, table))
    return 1 if any(s.n_false_active for s in scores) else 0


def _costs(n: int, loop_every: int) -> dict[str, float]:
    from bench.long_drive import drive

    result = drive(n, loop_every)
    early, late = slice(100, min(1100, n // 2)), slice(max(n - 1000, n // 2), n)
    loops = result.seconds[result.is_loop]
    costs = {
        "n_keyframes": n, "n_loops": int(result.is_loop.sum()),
        "first_ms": 1e3 * float(np.median(result.seconds[early])),
        "last_ms": 1e3 * float(np.median(result.seconds[late])), "mean_ms": 1e3 * float(result.seconds.mean()),
        "kib_per_keyframe": result.kib_per_keyframe,
    }  # fmt: skip
    if len(loops):
        tenth = max(len(loops) // 10, 1)
        costs["loop_first_ms"] = 1e3 * float(np.median(loops[:tenth]))
        costs["loop_last_ms"] = 1e3 * float(np.median(loops[-tenth:]))
    return costs


def _score_table(scores: list[DriveScore]) -> str:
    if not scores:
        return ""
    head = (
        "| seed | keyframes | loops | false | false active | precision | recall | ATE odometry | ATE loops | ratio "
        "| ratio, told the false ones | solve s |"
    )
    lines = [head, "|" + "---|" * 12]
    for s in scores:
        share, told = s.ate_loops / s.ate_odometry, s.ate_true_loops / s.ate_odometry
        lines.append(
            f"| {s.seed} | {s.n_keyframes} | {s.n_loops} | {s.n_false} | {s.n_false_active} | {s.precision:.3f} | "
            f"{s.recall:.3f} | {s.ate_odometry:.2f} | {s.ate_loops:.2f} | {share:.1%} | {told:.1%} | {s.solve_s:.2f} |"
        )
    return "\n".join(lines)


def _cost_table(costs: dict[str, float]) -> str:
    if not costs:
        return ""
    return "\n".join(["| cost | value |", "|---|---|", *(f"| {name} | {x:.4g} |" for name, x in costs.items())])


def _check(args: BenchBackendArgs) -> None:
    if args.trajectory is None and not args.scale:
        raise ConfigError("nothing to measure; give --trajectory FILE, --scale N, or both")
    if args.seeds < 1 or args.loop_every < 1 or args.scale < 0 or 0 < args.scale < 1000:
        raise ConfigError("seeds and loop-every must be at least 1, scale 0 or at least 1000")
    claim_folder(args.out, NAME, args.overwrite)
