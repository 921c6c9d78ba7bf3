"""How a run ends, and with which exit code, when something ends it before its input does."""

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hand_map import CAMERA

from vgslam.errors import InputError, OutputError, TrackingError
from vgslam.results.report import RunReport
from vgslam.session import track as run_module
from vgslam.session.outcome import Poses, Stop
from vgslam.session.track import (
    _ended_too_early,
    _finish,
    _finish_map,
    _finish_report,
    _finish_results,
    _keep,
    _loop,
)
from vgslam.types import PoseEstimate, Status, Trajectory

NONE = Trajectory(np.zeros(0), np.zeros((0, 4, 4)))
ONE = Trajectory(np.zeros(1), np.eye(4)[None])


def ended_by(number: int | None) -> Any:
    name = None if number is None else signal.Signals(number).name
    return SimpleNamespace(first=number, describe=lambda: str(name), name=name)


class Run:
    """A run of so many frames, whose map is whole or in the middle of a change."""

    def __init__(self, n_frames: int = 5, is_whole: bool = True, first: int | None = None) -> None:
        self.n_frames, self.title, self.kept = n_frames, "film.mp4", list[str]()
        self.report = RunReport()
        self.args = SimpleNamespace(truth=None)
        self.writer = SimpleNamespace(path=Path("out"), write_report=lambda report: self.kept.append("report"))
        self.slam = SimpleNamespace(tracker=SimpleNamespace(camera=CAMERA), settle=lambda: None)
        session = SimpleNamespace(is_whole=is_whole, save=lambda: self.kept.append("map"), folder=None)
        self.loop = SimpleNamespace(map_session=session, signals=ended_by(first), live=None)
        self.sinks: list[Any] = []


class Keeping:
    """A step that does nothing but what is in it."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def given(run: Run) -> Any:
    return run


@pytest.mark.parametrize(("error", "reason", "code"), [
    (InputError("the stream broke off"), "the stream broke off", 2), (KeyboardInterrupt(), "SIGINT", 130),
])  # fmt: skip
def test_what_ends_the_frames_is_the_reason_and_the_map_is_finished(
    error: BaseException, reason: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    run = Run(first=signal.SIGINT)
    monkeypatch.setattr(run_module, "_process_all", fail)
    monkeypatch.setattr(run_module, "_finish_map", lambda *_: None)
    assert _loop(given(run), given(run)) == Stop(reason, code)
    monkeypatch.setattr(run_module, "_finish_map", lambda *_: Stop("interrupted again", 130))
    assert _loop(given(run), given(run)) == Stop("interrupted again", 130), "what came last"


def test_an_input_that_gives_no_frame_is_an_error_and_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise InputError("no frame can be read")

    run, kept = Run(n_frames=0), list[object]()
    monkeypatch.setattr(run_module, "_process_all", fail)
    monkeypatch.setattr(run_module, "_finish_map", lambda *_: kept.append("map"))
    monkeypatch.setattr(run_module, "_keep", lambda *_: kept.append("poses"))
    with pytest.raises(InputError, match="no frame"):
        _loop(given(run), given(run))
    assert kept == []


@pytest.mark.parametrize("error", [InputError("gone"), RuntimeError("a mistake")])
def test_poses_are_kept_where_the_map_cannot_be_finished(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """The map is in the middle of a change, or nobody knows what it is."""

    def fail(*_: object) -> None:
        raise error

    run, kept = Run(is_whole=False), list[object]()
    monkeypatch.setattr(run_module, "_process_all", fail)
    monkeypatch.setattr(run_module, "_keep", lambda run, why: kept.append(why))
    with pytest.raises(type(error)):
        _loop(given(run), given(run))
    assert kept == [error]


def test_a_map_that_cannot_be_finished_is_an_error_of_the_results() -> None:
    run = Run()

    def fail() -> None:
        raise RuntimeError("degenerate")

    run.rest = fail  # type: ignore[attr-defined]
    run.steps = SimpleNamespace(lines=["degenerate"], failed=lambda *_: None)  # type: ignore[attr-defined]
    with pytest.raises(OutputError, match=r"film\.mp4: degenerate; the poses as they were tracked are in out"):
        _finish_map(given(run), given(run))
    assert (run.report.complete, run.report.stopped_by, run.kept) == (False, "degenerate", ["report"])


def test_without_a_pose_a_run_ends_with_4(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [PoseEstimate(i, float(i), Status.INITIALIZING) for i in range(3)]
    monkeypatch.setattr(run_module, "_finish_report", lambda run, stop: stop)
    told: list[object] = []
    for n, trajectory, why in ((3, NONE, "none of 3 frames"), (1, NONE, "one frame is no sequence"), (3, ONE, None)):
        poses = Poses(frames[:n], trajectory, NONE)
        monkeypatch.setattr(run_module, "_finish_results", lambda *_, poses=poses: (poses, None))
        audience = SimpleNamespace(end=told.append)
        if why is None:
            assert _finish(given(Run()), None, audience).exit_code == 0  # type: ignore[arg-type]
        else:
            with pytest.raises(TrackingError, match=why) as error:
                _finish(given(Run()), None, audience)  # type: ignore[arg-type]
            assert error.value.exit_code == 4
    assert len(told) == 3, "the results are told all the same"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stream_that_is_ended_before_it_has_a_pose_was_stopped(number: int, code: int) -> None:
    frames = [PoseEstimate(0, 0.0, Status.INITIALIZING)]
    stop = _ended_too_early(given(Run(first=number)), Poses(frames, NONE, NONE))
    assert stop is not None
    assert stop.exit_code == code
    assert stop.reason.startswith(signal.Signals(number).name)
    assert _ended_too_early(given(Run(first=number)), Poses(frames, ONE, NONE)) is None
    assert _ended_too_early(given(Run()), Poses(frames, NONE, NONE)) is None


@pytest.mark.parametrize(("stop", "said"), [(None, "still running, or killed"), (Stop("Ctrl-C", 130), "Ctrl-C")])
def test_until_all_is_written_a_run_is_not_complete(stop: Stop | None, said: str) -> None:
    run = Run()
    more = {
        "steps": SimpleNamespace(keeping=lambda *_: Keeping()), "adaptation": SimpleNamespace(finish=lambda _: None),
        "save": lambda: run.kept.append("poses"), "frames": list[PoseEstimate], "trajectory": lambda: NONE,
        "keyframes": lambda: NONE,
    }  # fmt: skip
    vars(run).update(more)
    with pytest.raises(InputError, match="no frame could be read"):
        _finish_results(given(run), stop, given(run))
    assert (run.report.complete, run.report.stopped_by, run.kept) == (False, said, ["poses"])


@pytest.mark.parametrize(("number", "stop", "is_complete", "stopped_by"), [
    (signal.SIGINT, None, True, "SIGINT"), (None, None, True, None), (None, Stop("full", 3), False, "full"),
])  # fmt: skip
def test_a_stream_that_was_ended_by_hand_is_complete_and_says_by_what(
    number: int | None, stop: Stop | None, is_complete: bool, stopped_by: str | None
) -> None:
    run = Run(first=number)
    run.steps = SimpleNamespace(stop=lambda stop: stop, keeping=lambda *_: Keeping())  # type: ignore[attr-defined]
    assert _finish_report(given(run), stop) is stop
    assert (run.report.complete, run.report.stopped_by, run.kept) == (is_complete, stopped_by, ["report"])


@pytest.mark.parametrize(("error", "said"), [
    (RuntimeError("a mistake"), "RuntimeError: a mistake"), (KeyboardInterrupt(), "interrupted twice"),
])  # fmt: skip
def test_what_there_is_is_kept_after_a_mistake_and_the_report_names_it(error: BaseException, said: str) -> None:
    run = Run()
    vars(run).update(
        steps=SimpleNamespace(keeping=lambda *_: Keeping()), rest=lambda: run.kept.append("rest"),
        save=lambda: run.kept.append("poses"),
    )  # fmt: skip
    _keep(given(run), error)
    assert run.kept == ["rest", "poses", "map"]
    assert (run.report.complete, run.report.stopped_by) == (False, said)
