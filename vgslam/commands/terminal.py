"""The output of `vgslam run` and `vgslam live`: the progress bar, the outcome, the report as JSON."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from vgslam.commands.cells import TABLE_WIDTH, wide_console
from vgslam.errors import ConfigError
from vgslam.evaluation.table import evaluation_table
from vgslam.guards.wording import one_line, say
from vgslam.interfaces import FrameSource
from vgslam.metric.measured import Finding
from vgslam.poses_out.open import STDOUT
from vgslam.results.report import RunReport
from vgslam.results.run_folder import CAMERA, CLOUD, PLOT_FOLDER, PLOTS, REPORT, STATUS, TRAJECTORY_TUM
from vgslam.session.choose_camera import in_words
from vgslam.session.main_loop import Follower, Tracked
from vgslam.session.outcome import Outcome
from vgslam.session.run import Run
from vgslam.session.self_calibration import EstimateWatch
from vgslam.session.stop_signals import StopSignals
from vgslam.session.telemetry import HOST, PATH, Stats, Telemetry, served, ticking
from vgslam.session.track import track
from vgslam.session.tracking_args import TrackingArgs
from vgslam.viewer.open import WEB

MOST_WARNINGS = 10


def run_in_terminal(
    args: TrackingArgs, open_frames: Callable[[], FrameSource], title: str, stem: str, told: "Told | None" = None
) -> int:  # fmt: skip
    """Runs, writes, prints; returns 0, 130 after Ctrl-C, 143 after SIGTERM, 2 for a source that broke off. Raises as
    `session.track.track`, whose arguments these are."""
    if not args.json:
        return _tracked(args, open_frames, title, stem, told).exit_code
    if STDOUT in args.poses:
        raise ConfigError("--json and --poses - both need standard output; hand out the poses by tcp: or unix:")
    out = sys.stdout
    with redirect_stdout(sys.stderr):
        outcome = _tracked(args, open_frames, title, stem, told)
    out.write(outcome.report.to_json())
    return outcome.exit_code


def _tracked(
    args: TrackingArgs, open_frames: Callable[[], FrameSource], title: str, stem: str, told: "Told | None"
) -> Outcome:  # fmt: skip
    outcome = track(args, open_frames, title, stem, Terminal(told, args.quiet))
    if args.viewer == WEB:
        with StopSignals():
            _stay()
    return outcome


@dataclass(frozen=True)
class Told:
    """What is told of a run once a second."""

    stats: Literal["off", "line", "json"] = "off"  # whether there is a line on standard error, for people or as JSON
    metrics_port: int | None = None  # where Prometheus finds it; None for nowhere

    def tell(self, stats: Stats) -> None:
        """The line."""
        if self.stats != "off":
            say(stats.line() if self.stats == "line" else stats.to_json(), is_error=True)


class Terminal:
    """Implements `Audience`: lines on standard output, a progress bar or `told` on standard error."""

    def __init__(self, told: Told | None = None, is_quiet: bool = False) -> None:
        self._told, self._is_quiet = told or Told(), is_quiet

    def say(self, line: str) -> None:
        say(one_line(line))

    @contextmanager
    def estimating(self) -> Iterator[EstimateWatch]:
        is_hidden = self._is_quiet or not sys.stderr.isatty()
        with Progress(SpinnerColumn(), TextColumn("{task.description}"), disable=is_hidden, transient=True) as progress:
            task = progress.add_task("", total=None)
            yield lambda n_plays, n: progress.update(task, description=f"pass {n_plays}: frame {n}")

    @contextmanager
    def watching(self, run: Run) -> Iterator[Follower]:
        with _progress(run, self._told.stats != "off") as progress, self._telemetry(run) as telemetry:
            task = progress.add_task("starting", total=run.loop.source.n_frames)

            def watch(tracked: Tracked) -> None:
                progress.update(task, advance=1, description=describe(run, tracked))
                if telemetry is not None:
                    telemetry(tracked)

            yield watch

    @contextmanager
    def _telemetry(self, run: Run) -> Iterator[Telemetry | None]:
        told = self._told
        if told.stats == "off" and told.metrics_port is None:
            yield None
            return
        with ticking(Telemetry(run, told.tell)) as telemetry:
            if told.metrics_port is None:
                yield telemetry
                return
            with served(told.metrics_port, lambda: telemetry.newest) as port:
                self.say(f"metrics at http://{HOST}:{port}{PATH}")
                yield telemetry

    def end(self, outcome: Outcome) -> None:
        print_outcome(outcome)


def _progress(run: Run, is_told: bool) -> Progress:
    is_hidden = run.args.quiet or is_told or not sys.stderr.isatty()
    text = TextColumn("{task.description}")
    if run.loop.live is not None:
        return Progress(SpinnerColumn(), text, disable=is_hidden, transient=True)
    return Progress(
        text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), disable=is_hidden, transient=True
    )  # fmt: skip


def describe(run: Run, tracked: Tracked) -> str:
    """A line on how the run is going."""
    rate = run.n_frames / max(time.monotonic() - run.began_s, 1e-6)
    text = f"{tracked.estimate.status:<12} {rate:5.1f} frames/s, {len(run.slam.map.keyframes)} keyframes"
    live = run.loop.live
    if live is None:
        return text
    latency_ms = 1000.0 * float(np.median(run.latencies_s[-30:]))
    text += f", {run.n_frames} frames, latency {latency_ms:.0f} ms, {live.n_dropped} dropped"
    return text + (f", {live.n_reconnects} times reconnected" if live.n_reconnects else "")


def print_outcome(outcome: Outcome) -> None:
    """Statuses, figures, warnings and where everything is."""
    report, evaluation = outcome.report, outcome.evaluation
    counts = ", ".join(f"{n} {status}" for status, n in report.statuses.items())
    say(f"{report.n_frames} frames: {counts}; {report.n_keyframes} keyframes, {report.n_components} component(s)")
    if report.n_components > 1:
        lost = f"tracking was lost {report.n_losses} time(s); " if report.n_losses else ""
        say(f"{lost}each component has its own scale and origin")
    n_found = sum(t["after"] == "RELOCALIZED" for t in report.transitions)
    if n_found or report.lost_s > 0:
        say(f"relocalized {n_found} time(s); {report.lost_s:.2f} s without a pose until one was back")
    rate = report.frames_per_cpu_s or 0.0
    say(f"{rate:.1f} frames per CPU second, {report.frames_per_wall_s or 0.0:.1f} frames/s, "
        f"{report.peak_memory_mib:.0f} MiB peak memory")  # fmt: skip
    if report.live is not None:
        live = report.live
        say(f"latency {live['latency_p50_ms']:.0f} ms (median), {live['latency_p95_ms']:.0f} ms (95 %); "
            f"{live['n_dropped']} of {live['n_captured']} frames dropped, "
            f"{live['n_reconnects']} times reconnected")  # fmt: skip
    if report.network is not None:
        say(report.network["line"])
    learned = (report.adaptation or {}).get("line")
    if learned is not None:
        say(f"adaptation: {learned}")
    _print_map(report)
    if (outcome.out / CAMERA).is_file():
        say(f"the camera as it was adjusted: {outcome.out / CAMERA}; give it to the next run with --calib")
    if evaluation is not None:
        wide_console(TABLE_WIDTH).print(evaluation_table(evaluation, "against the truth"))
    elif report.end_to_start_percent is not None:
        say(f"the path ends {report.end_to_start_percent:.1f} % of its length from where it began")
    for warning in report.warnings[:MOST_WARNINGS]:
        say(f"warning: {one_line(warning)}")
    if len(report.warnings) > MOST_WARNINGS:
        say(f"warning: {len(report.warnings) - MOST_WARNINGS} more in report.json")
    say(f"results: {outcome.out}/  ({', '.join(_written(outcome.out))})")
    if outcome.stop is not None:
        say(f"stopped: {outcome.stop.reason}; everything else is in {outcome.out}", is_error=True)


def _written(out: Path) -> list[str]:
    """The results to look at first that are there."""
    names = [name for name in (TRAJECTORY_TUM, STATUS, REPORT, CLOUD) if (out / name).is_file()]
    return names + ([f"{PLOT_FOLDER}/"] if any((out / PLOT_FOLDER / name).is_file() for name in PLOTS) else [])


def _print_map(report: RunReport) -> None:
    """What became of the map when the run had ended."""
    if report.camera is not None and "fov_sigma_deg" in report.camera:
        say(in_words(report.camera))
    for line in (report.refinement or {}).get("lines", []):
        say(line)
    for world in report.world:
        for line in Finding(**world).lines():
            say(line)
    if report.world_failure is not None:
        say(f"error: lengths are map units: {report.world_failure}", is_error=True)


def _stay() -> None:
    """A server must outlive the run to be looked at: wait for Ctrl-C."""
    say("the viewer stays until Ctrl-C", is_error=True)  # standard output may be that of the poses
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(1.0)
