"""The process of one recording of a fleet: runs it as `vgslam run` does, and says how far it has come.

python -m vgslam.commands.fleet_child ORDER, a file that `vgslam.fleet.work` writes. Exit codes are those of `vgslam
run`; a lost camera with results means that it was given up.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from vgslam.atomic import write_text
from vgslam.commands.config import run_defaults
from vgslam.commands.run import RunArgs, source_options
from vgslam.errors import InputError, OutputError, TrackingError, VgslamError
from vgslam.fleet.folder import facts_of, write_facts, write_thumbnail
from vgslam.fleet.parquet import POSES, PoseRow, write_poses
from vgslam.fleet.supervise import end_with_parent
from vgslam.fleet.task import Ending
from vgslam.fleet.work import Order
from vgslam.guards.wording import say
from vgslam.session.main_loop import Follower, Tracked
from vgslam.session.outcome import Outcome
from vgslam.session.run import Run
from vgslam.session.track import track
from vgslam.sources.open import open_source
from vgslam.types import Image, Status

EVERY_FRAMES = 20  # frames after which it is said again how far the recording is through


class LostTooLongError(InputError):
    """The camera was lost for more frames in a row than is allowed; what was found before stays."""

    exit_code = TrackingError.exit_code


class Reporter:
    """Implements `Audience` for a process without a person: lines on standard output, progress in a file. picture: the
    image that shows the recording best, the middle one where its length is known."""

    def __init__(self, progress: Path, max_lost_frames: int | None) -> None:
        self._progress, self._most_lost = progress, max_lost_frames
        self.run: Run | None = None
        self.picture: Image | None = None
        self.duration_s = 0.0
        self.n_lost, self._has_had_pose = 0, False

    def say(self, line: str) -> None:
        say(line)

    @contextmanager
    def estimating(self) -> Iterator[None]:
        yield None

    @contextmanager
    def watching(self, run: Run) -> Iterator[Follower]:
        self.run = run
        first_s: float | None = None

        def follow(tracked: Tracked) -> None:
            nonlocal first_s
            first_s = tracked.frame.timestamp_s if first_s is None else first_s
            self.duration_s = tracked.frame.timestamp_s - first_s
            self._keep_picture(tracked, run.loop.source.n_frames)
            if tracked.frame.id % EVERY_FRAMES == 0:
                self._say_progress()
            self._count(tracked.estimate.status, run.args.localize)

        yield follow
        self._say_progress()

    def end(self, outcome: Outcome) -> None:
        if outcome.stop is not None:
            say(outcome.stop.reason)

    def _say_progress(self) -> None:
        write_text(self._progress, f"{self.duration_s}\n")

    def _keep_picture(self, tracked: Tracked, n_frames: int | None) -> None:
        k = tracked.frame.id
        if k == 0 or (k == n_frames // 2 if n_frames else k & (k - 1) == 0):
            self.picture = tracked.frame.image.copy()

    def _count(self, status: Status, is_localizing: bool) -> None:
        """Frames without a pose in a row. Those before a map begins are not lost."""
        if status.has_pose:
            self.n_lost, self._has_had_pose = 0, True
        elif self._has_had_pose or is_localizing:
            self.n_lost += 1
        if self._most_lost is not None and self.n_lost > self._most_lost:
            raise LostTooLongError(f"lost for more than {self._most_lost} frames in a row (--max-lost-frames)")


def run_order(order: Order) -> int:
    """Does what an order says; returns the exit code of the process. Raises VgslamError."""
    defaults = run_defaults(Path(order.settings))
    args = replace(
        defaults, path=Path(order.recording), out=Path(order.out), map=Path(order.map), localize=order.is_localizing,
        quiet=True,
    )  # fmt: skip
    reporter = Reporter(Path(order.progress), order.max_lost_frames)
    title, stem = str(args.path), args.path.stem
    outcome = track(args, lambda: open_source(args.path, source_options(args)), title, stem, reporter)
    assert reporter.run is not None
    reason = "" if outcome.stop is None else outcome.stop.reason
    is_lost = outcome.stop is not None and outcome.exit_code == TrackingError.exit_code
    if outcome.exit_code and not is_lost:
        return _failed(args, outcome, reason)
    _write(reporter, reporter.run, outcome, Ending.LOST if is_lost else Ending.DONE, reason)
    return outcome.exit_code


def _failed(args: RunArgs, outcome: Outcome, reason: str) -> int:
    """Says why the run counts as failed; returns its exit code."""
    say(reason or outcome.report.world_failure or f"{args.path}: the truth does not fit")
    return outcome.exit_code


def _write(reporter: Reporter, run: Run, outcome: Outcome, ending: Ending, reason: str) -> None:
    """What a fleet adds to the results of a run. facts.json is the last: it says that they are whole."""
    trajectory, frames = run.trajectory(), run.frames()
    slam_map = run.slam.map
    poses = dict(zip(trajectory.frame_ids.tolist(), trajectory.T_world_cam, strict=True))
    component = dict(zip(trajectory.frame_ids.tolist(), trajectory.component_ids.tolist(), strict=True))
    rows = [
        PoseRow(f.frame_id, f.timestamp_s, f.status, component.get(f.frame_id, f.component_id), f.n_inliers,
                f.inlier_ratio, poses.get(f.frame_id), slam_map.covariance_of(f))
        for f in frames
    ]  # fmt: skip
    write_poses(outcome.out / POSES, rows, trajectory.is_metric)
    if reporter.picture is not None:
        write_thumbnail(outcome.out, reporter.picture)
    report = outcome.report
    facts = facts_of(len(frames), trajectory, reporter.duration_s, report.n_losses, report.n_components)
    write_facts(outcome.out, facts, ending, reason)


def main(words: list[str]) -> int:
    """Reads the order, does it; one line on standard output for what goes wrong."""
    import cv2

    cv2.setNumThreads(1)
    try:
        order = Order.read(Path(words[0]))
    except (OSError, ValueError, TypeError, IndexError) as error:
        say(f"no order that can be read: {error}")
        return InputError.exit_code
    end_with_parent(order.parent)
    try:
        return run_order(order)
    except MemoryError:
        say("there is not enough memory")
        return OutputError.exit_code
    except VgslamError as error:
        say(error)
        return error.exit_code


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.exit(code)
