"""`python -m bench live`: a sequence served as a stream and tracked live, the server killed and started again
midway."""

import json
import math
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from bench.record import claim_folder, write_record
from bench.stream_server import Protocol, address, wait_for_listener
from bench.umeyama import umeyama
from vgslam.atomic import write_text
from vgslam.commands.bench import find_truths
from vgslam.errors import ConfigError, InputError, MissingDependencyError
from vgslam.evaluation.evaluate import EvaluationOptions, evaluate
from vgslam.results.environment import describe_machine, git_commit, package_version
from vgslam.results.run_folder import STATUS, TRAJECTORY_TUM
from vgslam.results.status import read_status
from vgslam.sources.open import open_source
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.types import Array, Camera, Status, Trajectory

NAME, CALIB_NAME = "bench_live", "calib.json"
PATIENCE_S = 300.0
SAME_FRAME_S = 1e-4


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
    calib = {"width": camera.width, "height": camera.height, "fx": camera.fx, "fy": camera.fy, "cx": camera.cx,
             "cy": camera.cy, "distortion": [0.0, 0.0, 0.0, 0.0]}  # fmt: skip
    write_text(args.out / CALIB_NAME, json.dumps(calib))
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
    run_dir, port, n = args.out / protocol, _free_port(), len(times_s)
    outcome = LiveOutcome(protocol)
    kill_at = n if args.restart_at is None else round(args.restart_at * n)
    again_at = min(n, kill_at + round(args.gap_s * args.rate_hz))
    with _server(args, protocol, port, 0) as server, _live(args, protocol, port, run_dir) as live:
        poses = PoseLines(live)
        outcome.n_sent = _follow(server, live, kill_at)
        _kill_group(server)
        if kill_at < n:
            time.sleep(args.gap_s)
            with _server(args, protocol, port, again_at) as second:
                outcome.n_sent += _follow(second, live, n)
            outcome.n_outage = again_at - kill_at
        poses.await_time(times_s[-1] if protocol == "mjpeg" else None)
        outcome.load = round(os.getloadavg()[0], 1)
        live.send_signal(signal.SIGTERM)
        code = live.wait(PATIENCE_S)
    if code != 0:
        raise InputError(f"vgslam live ended with exit code {code}; see {run_dir.with_suffix('.log')}")
    _score(outcome, run_dir, truths, args, (times_s[0], times_s[min(again_at, n - 1)]))
    return outcome


@contextmanager
def _server(args: BenchLiveArgs, protocol: Protocol, port: int, first: int) -> Iterator["subprocess.Popen[str]"]:
    """A server that is ready; with all its children gone at the end."""
    words = ["--sequence", str(args.sequence), "--port", str(port), "--protocol", protocol, "--first", str(first),
             "--rate-hz", str(args.rate_hz), "--ffmpeg", args.ffmpeg]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.stream_server", *words], stdout=subprocess.PIPE, text=True,
        start_new_session=True, bufsize=1,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise InputError(f"the server of {protocol} did not start")
        yield process
    finally:
        _kill_group(process)


class PoseLines(threading.Thread):
    """Reads the poses that `vgslam live --poses -` hands out."""

    def __init__(self, live: "subprocess.Popen[bytes]") -> None:
        super().__init__(daemon=True)
        self._live = live
        self._changed = threading.Condition()
        self._last_s, self._is_over = -math.inf, False
        self.start()

    def run(self) -> None:
        assert self._live.stdout is not None
        for line in self._live.stdout:
            with self._changed:
                self._last_s = json.loads(line)["timestamp_s"]
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def await_time(self, timestamp_s: float | None) -> None:
        """Wait until the frame of that time, which is never dropped if it is the last one, has been worked on; None,
        for a stream with its own clock: a second. Raises InputError if it does not come."""
        if timestamp_s is None:
            time.sleep(1.0)
            return
        with self._changed:
            is_there = self._changed.wait_for(
                lambda: self._is_over or self._last_s > timestamp_s - SAME_FRAME_S, PATIENCE_S
            )
        if not is_there:
            raise InputError(f"the last frame has no line among the poses {PATIENCE_S:.0f} s after it was sent")


def _kill_group(process: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def _live(args: BenchLiveArgs, protocol: Protocol, port: int, run_dir: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "vgslam", "live", address(protocol, port), "--calib", str(args.out / CALIB_NAME),
               "--out", str(run_dir), "--overwrite", "--poses", "-", *shlex.split(args.live_options)]  # fmt: skip
    if protocol == "ffmpeg-mjpeg":
        wait_for_listener(port)
    with run_dir.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _follow(server: "subprocess.Popen[str]", live: "subprocess.Popen[bytes]", until: int) -> int:
    """Read what the server says it has sent, until image `until` or its end; the number of images."""
    assert server.stdout is not None
    n = 0
    for line in server.stdout:
        n += 1
        if int(line.split()[0]) >= until - 1:
            break
        if live.poll() is not None:
            raise InputError("vgslam live ended before the stream; its log is beside its folder")
    return n


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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
