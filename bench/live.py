"""`python -m bench live`: a sequence served as a stream and tracked live, the server killed and started again
midway."""

import json
import math
import os
import shlex
import shutil
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from bench.record import claim_folder, write_record
from bench.served import (
    PATIENCE_S,
    PoseLines,
    Served,
    follow,
    free_port,
    kill_group,
    live_run,
    server,
    write_calibration,
)
from bench.stream_server import Protocol
from vgslam.commands.bench import find_truths
from vgslam.errors import ConfigError, InputError, MissingDependencyError
from vgslam.evaluation.evaluate import EvaluationOptions, evaluate
from vgslam.geometry.robust_similarity import umeyama
from vgslam.results.environment import describe_machine, git_commit, package_version
from vgslam.results.run_folder import STATUS, TRAJECTORY_TUM
from vgslam.results.status import read_status
from vgslam.sources.open import open_source
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.types import Array, Camera, Status, Trajectory

NAME, CALIB_NAME = "bench_live", "calib.json"


@dataclass
class BenchLiveArgs:
    """Serves a sequence on loopback, tracks it with `vgslam live`, kills the server midway and starts it again."""

    sequence: tyro.conf.Positional[Path]
    """A calibrated sequence with truth: anything that `vgslam run` takes."""

    protocols: tuple[Protocol, ...] = ("mjpeg",)
    """mjpeg: by this program over HTTP, with the sequence's clock. ffmpeg-mjpeg, ffmpeg-rtsp: by ffmpeg."""

    rate_hz: float = 30.0
    """Frames a second."""

    restart_at: float | None = 0.5
    """Kill the server at this part of the sequence; None leaves it alone."""

    gap_s: float = 2.0
    """How long the server is away. The sequence goes on meanwhile."""

    ffmpeg: str = "ffmpeg"
    """The ffmpeg program."""

    live_options: str = ""
    """Options passed on to `vgslam live`, in one string."""

    out: Path = Path("out/bench-live")
    """Folder for the results; that of a run is OUT/PROTOCOL."""

    overwrite: bool = False
    """Replace earlier results in OUT."""


@dataclass
class LiveOutcome:
    """One run."""

    protocol: str
    n_sent: int = 0
    """Images served."""
    n_outage: int = 0
    """Images that fell into the outage."""
    n_frames: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    n_components: int = 0
    n_losses: int = 0
    live: dict[str, Any] = field(default_factory=dict)
    cpu_ms_per_frame: float = 0.0
    first_pose_after_restart_frames: int | None = None
    ate_m: dict[str, float] = field(default_factory=dict)
    """ATE by name of the truth."""
    clock_offsets_s: list[float] = field(default_factory=list)
    """What was added to the stream's clock before and after the outage to make it the sequence's; empty if they
    agree."""
    load: float = 0.0
    """Processes that wanted a core, on average over the last minute, this run's included."""


def run_bench_live(args: BenchLiveArgs) -> int:
    """Measures, prints and writes; returns 0. ConfigError, InputError, OutputError with one line."""
    camera, times_s, truths = _check(args)
    write_calibration(args.out / CALIB_NAME, camera)
    outcomes = []
    for protocol in args.protocols:
        outcomes.append(_measure(args, protocol, times_s, truths))
        text = markdown(args, outcomes)
        about = {"command": _command(args), "version": package_version(), "commit": git_commit(),
                 "machine": asdict(describe_machine()), "outcomes": [asdict(o) for o in outcomes]}  # fmt: skip
        write_record(args.out, NAME, about, text)
    print(text)
    return 0


def _check(args: BenchLiveArgs) -> tuple[Camera, Array, dict[str, Trajectory]]:
    if not args.protocols or not args.rate_hz > 0 or not args.gap_s >= 0:
        raise ConfigError("give a protocol, a positive rate and a gap of 0 s or more")
    if args.restart_at is not None and not 0.0 < args.restart_at < 1.0:
        raise ConfigError(f"--restart-at is a part of the sequence between 0 and 1, got {args.restart_at}")
    if any(p != "mjpeg" for p in args.protocols) and shutil.which(args.ffmpeg) is None:
        raise MissingDependencyError(f"{args.ffmpeg}: not found; install ffmpeg or name it with --ffmpeg")
    source = open_source(args.sequence)
    truths = find_truths(args.sequence)
    if source.camera is None or not truths:
        raise InputError(f"{args.sequence}: needs a calibration and a truth for this")
    claim_folder(args.out, NAME, args.overwrite)
    return source.camera, np.array([f.timestamp_s for f in source]), truths


def _measure(
    args: BenchLiveArgs, protocol: Protocol, times_s: Array, truths: dict[str, Trajectory]
) -> LiveOutcome:  # fmt: skip
    """Serve, track, kill, serve again, end, score."""
    run_dir, port, n = args.out / protocol, free_port(), len(times_s)
    outcome, served = LiveOutcome(protocol), Served(args.sequence, protocol, args.rate_hz, args.ffmpeg)
    kill_at = n if args.restart_at is None else round(args.restart_at * n)
    again_at = min(n, kill_at + round(args.gap_s * args.rate_hz))
    calib, options = args.out / CALIB_NAME, shlex.split(args.live_options)
    with server(served, port) as first, live_run(served, port, calib, run_dir, options) as live:
        poses = PoseLines(live)
        outcome.n_sent = follow(first, live, kill_at)
        kill_group(first)
        if kill_at < n:
            time.sleep(args.gap_s)
            with server(served, port, again_at) as second:
                outcome.n_sent += follow(second, live, n)
            outcome.n_outage = again_at - kill_at
        poses.await_time(times_s[-1] if protocol == "mjpeg" else None)
        outcome.load = round(os.getloadavg()[0], 1)
        live.send_signal(signal.SIGINT)
        code = live.wait(PATIENCE_S)
    if code != 0:
        raise InputError(f"vgslam live ended with exit code {code}; see {run_dir.with_suffix('.log')}")
    _score(outcome, run_dir, truths, args, (times_s[0], times_s[min(again_at, n - 1)]))
    return outcome


def _score(
    outcome: LiveOutcome, run_dir: Path, truths: dict[str, Trajectory], args: BenchLiveArgs,
    starts_s: tuple[float, float],
) -> None:  # fmt: skip
    """Read the run's folder; convert times to the sequence's clock if the stream has its own."""
    report = json.loads((run_dir / "report.json").read_text())
    status = read_status(run_dir / STATUS)
    trajectory = status.label(read_trajectory(run_dir / TRAJECTORY_TUM))
    outcome.n_frames, outcome.statuses = report["n_frames"], report["statuses"]
    outcome.n_components, outcome.n_losses, outcome.live = report["n_components"], report["n_losses"], report["live"]
    outcome.cpu_ms_per_frame = round(1000.0 * sum(report["stage_cpu_s"].values()) / max(1, report["n_frames"]), 1)
    times_s = status.timestamps_s.copy()
    second = len(times_s)
    if args.restart_at is not None and len(times_s) > 2:
        second = int(np.diff(times_s).argmax()) + 1
        has_pose = np.isin(status.frame_ids, trajectory.frame_ids)
        is_sure = has_pose & np.array([s in (Status.TRACKED, Status.RELOCALIZED) for s in status.statuses])
        after = np.flatnonzero(is_sure[second:])
        outcome.first_pose_after_restart_frames = int(after[0]) if len(after) else None
    poses_s = trajectory.timestamps_s
    if outcome.protocol != "mjpeg":
        poses_s = _on_the_sequence_clock(outcome, trajectory, next(iter(truths.values())), args, (
            times_s[0], times_s[second] if second < len(times_s) else np.inf), starts_s)  # fmt: skip
    order = np.argsort(poses_s, kind="stable")
    placed = Trajectory(
        poses_s[order], trajectory.T_world_cam[order], trajectory.frame_ids[order], trajectory.component_ids[order]
    )
    for name, truth in truths.items():
        found = evaluate(placed, truth, EvaluationOptions(max_difference_s=0.02))
        outcome.ate_m[name] = round(found.headline.ate_m.rmse, 4)


def _on_the_sequence_clock(
    outcome: LiveOutcome, trajectory: Trajectory, truth: Trajectory, args: BenchLiveArgs,
    clocks_s: tuple[float, float], starts_s: tuple[float, float],
) -> Array:  # fmt: skip
    """Times of the poses by the sequence's clock. The streams of ffmpeg count from somewhere: the offset of each
    connection is the one that fits its poses to the truth best, within 1.5 s of where it should be."""
    pace = float(np.median(np.diff(truth.timestamps_s))) * args.rate_hz  # seconds of the sequence per second
    placed = np.zeros(len(trajectory))
    for is_second in (False, True):
        mine = (trajectory.timestamps_s >= clocks_s[1]) == is_second
        if not mine.any():
            continue
        base = starts_s[is_second] + pace * (trajectory.timestamps_s[mine] - clocks_s[is_second])
        centres = trajectory.T_world_cam[mine, :3, 3]
        offsets = np.arange(-0.2, 1.5, 1.0 / 120.0)
        errors = [_misfit(centres, base + offset, truth) for offset in offsets]
        best = float(offsets[int(np.argmin(errors))])
        outcome.clock_offsets_s.append(round(best, 3))
        placed[mine] = base + best
    steps = np.maximum.accumulate(placed + 1e-9 * np.arange(len(placed)))
    return steps + 1e-9 * np.arange(len(placed))


def _misfit(centres: Array, times_s: Array, truth: Trajectory) -> float:
    """RMS distance (m) of camera centres from the interpolated truth after alignment."""
    inside = (times_s >= truth.timestamps_s[0]) & (times_s <= truth.timestamps_s[-1])
    if inside.sum() < 0.8 * len(times_s) or inside.sum() < 10:
        return float("inf")
    wanted = np.stack([np.interp(times_s[inside], truth.timestamps_s, truth.T_world_cam[:, i, 3]) for i in range(3)], 1)
    try:
        S = umeyama(wanted, centres[inside])
    except ValueError:
        return float("inf")
    return float(np.sqrt(((wanted - S.apply(centres[inside])) ** 2).sum(1).mean()))


def _command(args: BenchLiveArgs) -> str:
    default = BenchLiveArgs(args.sequence)
    words = ["python", "-m", "bench", "live", args.sequence.name, "--protocols", *args.protocols]
    for name in ("rate_hz", "restart_at", "gap_s"):
        if getattr(args, name) != getattr(default, name):
            words += [f"--{name.replace('_', '-')}", f"{getattr(args, name)}"]
    if args.live_options:
        words.append(f"--live-options={args.live_options!r}")
    return " ".join(words)


def _drops(live: dict[str, Any]) -> str:
    """How many frames were dropped, and why."""
    reasons = ", ".join(f"{n} {why}" for why, n in live.get("dropped", {}).items() if n)
    return f"{live['n_dropped']} ({reasons})" if reasons else f"{live['n_dropped']}"


def markdown(args: BenchLiveArgs, outcomes: list[LiveOutcome]) -> str:
    """The table."""
    machine = describe_machine()
    lines = [
        f"`{_command(args)}` (commit {(git_commit() or 'unknown')[:10]}, {machine.cpu}, {machine.cores} cores)", "",
        "| stream | sent | dropped | frames tracked | latency median | latency 95 % | 99 % | CPU a frame | "
        "reconnected | frames to the first pose after it | components | ATE | load |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---:|",
    ]  # fmt: skip
    for o in outcomes:
        poses = o.statuses.get("TRACKED", 0) + o.statuses.get("RELOCALIZED", 0)
        after = "–" if o.first_pose_after_restart_frames is None else o.first_pose_after_restart_frames
        ate = ", ".join(f"{value:.3f} m ({name})" for name, value in o.ate_m.items())
        lines.append(
            f"| {o.protocol} | {o.n_sent} | {_drops(o.live)} | {poses} of {o.n_frames} | "
            f"{o.live['latency_p50_ms']:.0f} ms | {o.live['latency_p95_ms']:.0f} ms | "
            f"{o.live.get('latency_p99_ms', math.nan):.0f} ms | {o.cpu_ms_per_frame:.0f} ms | "
            f"{o.live['n_reconnects']} | {after} | {o.n_components} | {ate} | {o.load:.1f} |"
        )
    return "\n".join(lines) + "\n"
