"""Signals, saves, telemetry and adaptation of a run: each decision from both sides."""

import signal
from array import array
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hand_map import CAMERA, at, hand_map

from vgslam.errors import ConfigError, EvaluationError, MissingDependencyError
from vgslam.results.report import RunReport
from vgslam.session import track as run_module
from vgslam.session.adaptation import Adaptation, AdaptOptions, open_adaptation
from vgslam.session.outcome import Poses, Stop, score
from vgslam.session.saving import SavingBeside
from vgslam.session.stop_signals import StopSignals, Terminated, exit_code
from vgslam.session.telemetry import NO_FRAMES, Stats, Telemetry, resident_mib
from vgslam.session.track import _finish, _finish_report
from vgslam.types import Status, Trajectory

# -- signals


@pytest.fixture
def usual() -> Iterator[None]:
    """Both signals are handled as a program finds them."""
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for s, handler in before.items():
        signal.signal(s, handler)


def test_exit_codes_are_those_of_shells() -> None:
    assert (exit_code(KeyboardInterrupt()), exit_code(Terminated())) == (130, 143)


def test_signals_stop_the_run_within_the_block_and_are_as_before_after_it(usual: None) -> None:
    with StopSignals() as signals:
        assert (signals.first, signals.name) == (None, None)
        with pytest.raises(Terminated):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert (signals.first, signals.name, signals.describe()) == (signal.SIGTERM, "SIGTERM", "interrupted (SIGTERM)")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_first_signal_waits_for_the_end_of_a_step_and_a_second_does_not(usual: None) -> None:
    with StopSignals() as signals:
        waited = []
        with pytest.raises(KeyboardInterrupt):
            _held_while_it_comes(signals, waited)
        assert (waited, signals.is_due) == ([True], False)
        with signals.held():
            pass
        with signals.held(), pytest.raises(Terminated):
            signal.raise_signal(signal.SIGTERM)
        assert signals.first is signal.SIGINT


def test_where_a_second_may_wait_it_does_and_a_third_does_not(usual: None) -> None:
    with StopSignals() as signals:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        waited: list[bool] = []
        with pytest.raises(Terminated):
            _held_anew_while_two_come(signals, waited)
        assert (waited, signals.is_due, signals.first) == ([True, True], False, signal.SIGINT)
        with signals.held(), pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def _held_anew_while_two_come(signals: StopSignals, waited: list[bool]) -> None:
    with signals.held(), signals.anew():
        signal.raise_signal(signal.SIGTERM)
        waited.append(signals.is_due)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        waited.append(signals.is_due)


def _held_while_it_comes(signals: StopSignals, waited: list[bool]) -> None:
    with signals.held():
        signal.raise_signal(signal.SIGINT)
        waited.append(signals.is_due)


def test_a_signal_that_is_ignored_stays_ignored(usual: None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StopSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert signals.first is None
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


# -- saves


class Lane:
    """A lane that does what it is told when it is told."""

    def __init__(self) -> None:
        self.is_busy = self.is_done = False
        self.jobs: list[Callable[[], None]] = []
        self.error: Exception | None = None

    def start(self, job: Callable[[], None]) -> None:
        self.jobs.append(job)
        self.is_busy = True

    def take(self) -> None:
        self.is_busy = self.is_done = False
        if self.error is not None:
            raise self.error


def saved_run(due: tuple[bool, bool]) -> tuple[SimpleNamespace, list[Any], list[str]]:
    saved: list[Any] = []
    told: list[str] = []
    steps = SimpleNamespace(failed=lambda name, error: told.append(f"{name}: {error}"))
    run = SimpleNamespace(steps=steps, saves_due=due, save_frozen=lambda frozen, due: saved.append((frozen, due)))
    return run, saved, told


def slam() -> Any:
    return SimpleNamespace(map=hand_map([at(), at()]), between_keyframes=lambda read: read())


@pytest.mark.parametrize(("due", "n_jobs"), [((True, False), 1), ((False, True), 1), ((False, False), 0)])
def test_a_save_begins_with_a_copy_of_the_map_where_one_of_both_is_due(due: tuple[bool, bool], n_jobs: int) -> None:
    lane, (run, saved, _), system = Lane(), saved_run(due), slam()
    saving = SavingBeside(lane)  # type: ignore[arg-type]
    saving.when_due(system, run)
    saving.when_due(system, run)  # the first is not through
    assert len(lane.jobs) == n_jobs
    for job in lane.jobs:
        system.map.keyframes[0].component_id = 9
        job()
        [(frozen, said)] = saved
        assert said == due
        assert frozen.keyframes[0].component_id == 0, "as it was when the save began"


def test_a_save_that_failed_is_told_and_the_next_begins() -> None:
    lane, (run, _, told), system = Lane(), saved_run((True, True)), slam()
    saving = SavingBeside(lane)  # type: ignore[arg-type]
    saving.when_due(system, run)
    lane.is_done, lane.error = True, ValueError("full")
    saving.when_due(system, run)
    assert told == ["saving along the way: full"]
    assert len(lane.jobs) == 2
    saving.rest(run)
    assert len(told) == 2
    saving.rest(run)
    assert len(told) == 2, "nothing runs"


# -- telemetry


def test_each_report_is_of_its_own_second() -> None:
    clock, cpu, told = [100.0], [7.0], []
    run = SimpleNamespace(
        latencies_s=array("d"), loop=SimpleNamespace(live=SimpleNamespace(dropped={})),
        slam=SimpleNamespace(map=SimpleNamespace(keyframes=[1])),
    )  # fmt: skip
    telemetry = Telemetry(run, told.append, lambda: clock[0], lambda: cpu[0], lambda: 5.0)  # type: ignore[arg-type]
    frame = SimpleNamespace(estimate=SimpleNamespace(status=Status.TRACKED))
    for after_s, cpu_s, latencies in ((0.9, 1.0, [0.5]), (1.1, 1.0, []), (3.1, 2.0, [0.010] * 9 + [0.050])):
        clock[0], cpu[0] = 100.0 + after_s, 7.0 + cpu_s
        run.latencies_s.extend(latencies)
        if latencies:
            telemetry(frame)  # type: ignore[arg-type]
        else:
            telemetry.tick()
    first, second = told
    assert (first.n_frames, first.status, first.latency_p50_ms) == (1, "TRACKED", 500.0)
    assert (first.frames_per_s, first.cpu_percent) == (0.91, 90.9)
    assert (second.n_frames, second.frames_per_s, second.cpu_percent) == (11, 5.0, 50.0)
    assert (second.latency_p50_ms, second.latency_p95_ms, second.latency_max_ms) == (10.0, 32.0, 50.0)
    clock[0] += 1.0
    telemetry.tick()
    assert (told[2].status, told[2].frames_per_s, told[2].n_frames) == (NO_FRAMES, 0.0, 11)


def test_a_reader_that_went_away_ends_nothing_and_a_mistake_is_not_swallowed() -> None:
    run = SimpleNamespace(
        latencies_s=array("d"), loop=SimpleNamespace(live=None), slam=SimpleNamespace(map=hand_map([at()]))
    )
    for error in (BrokenPipeError(), ValueError("broken")):
        clock, n = [0.0], [0]

        def tell(stats: object, error: Exception = error, n: list[int] = n) -> None:
            n[0] += 1
            raise error

        telemetry = Telemetry(run, tell, lambda clock=clock: clock[0], lambda: 0.0, lambda: 0.0)  # type: ignore[arg-type]
        clock[0] = 1.5
        if isinstance(error, OSError):
            telemetry.tick()
        else:
            with pytest.raises(ValueError, match="broken"):
                telemetry.tick()
        clock[0] = 3.0
        if isinstance(error, OSError):
            telemetry.tick()
        assert n[0] == 1


def test_memory_is_in_mib() -> None:
    """A program with numpy has some tens of them, and a test has no tens of thousands."""
    assert 10.0 < resident_mib() < 3e4


def test_what_was_dropped_is_told_by_reason_where_there_is_any() -> None:
    stats = Stats(9, "TRACKED", 1.0, 1.0, 1.0, 1.0, 0, 2, {"late": 3, "full": 0})
    assert "dropped: 3 late," in stats.line()
    assert "dropped: none," in replace(stats, dropped={"late": 0}).line()


# -- adaptation


class Online:
    """An adaptation that notes what it is told."""

    model_id = "adapted"

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.adapter = SimpleNamespace(close=lambda: self.said.append("closed"))

    def at_frame(self, image: object, frame_id: int, camera: object, may_serve: bool) -> None:
        self.said.append((frame_id, may_serve))

    def finish(self) -> None:
        self.said.append("finished")

    def save(self, path: Path) -> None:
        self.said.append(path.parent.name)


def test_an_adaptation_begins_with_the_first_question_and_serves_between_questions() -> None:
    online, is_idle = Online(), [True]
    desk = SimpleNamespace(asking_later=lambda: nullcontext(is_idle[0]))
    network = SimpleNamespace(was_asked=False, desk=desk)
    folders: list[Path] = []

    def begin(folder: Path) -> Online:
        folders.append(folder)
        return online

    adaptation = Adaptation("begun", network, begin)  # type: ignore[arg-type]
    image = np.zeros((2, 2, 3), np.uint8)
    with adaptation:
        adaptation.after_frame(image, 0, CAMERA)
        assert (adaptation.model_id, online.said) == ("begun", [])
        network.was_asked = True
        adaptation.after_frame(image, 1, CAMERA)
        is_idle[0] = False
        adaptation.after_frame(image, 2, CAMERA)
        assert online.said == [(1, True), (2, False)]
        assert adaptation.model_id == "adapted"
        assert folders[0].is_dir()
        adaptation.finish([Path("a"), Path("b")])
    assert online.said[2:] == ["finished", "a", "b", "closed"]
    assert len(folders) == 1
    assert not folders[0].exists()


def network(can_learn: bool = True) -> Any:
    return SimpleNamespace(model_id="net", can_learn=can_learn, backbone=SimpleNamespace(model=None),
                           weights=SimpleNamespace(sha256="0", model_id="net"))  # fmt: skip


def test_only_a_network_that_can_learn_adapts() -> None:
    assert open_adaptation(network(False), "off", None, AdaptOptions()).model_id == "net"
    assert open_adaptation(None, "off", None, AdaptOptions()).model_id is None
    with pytest.raises(ConfigError, match="need a network"):
        open_adaptation(None, "sync", None, AdaptOptions())
    with pytest.raises(ConfigError, match="cannot learn"):
        open_adaptation(network(False), "sync", None, AdaptOptions())
    assert open_adaptation(network(), "sync", None, AdaptOptions()).report() is not None
    assert open_adaptation(network(), "off", None, AdaptOptions()).report() is None


@pytest.mark.parametrize(("settings", "said"), [
    ({"steps": 1, "windows": 1, "threads": 1}, None), ({"steps": 0}, "steps"), ({"windows": 0}, "windows"),
    ({"threads": 0}, "threads"), ({"learning_rate": 0.0}, "positive"), ({"max_seconds": 0.0}, "positive"),
    ({"memory": "much"}, "much"),
])  # fmt: skip
def test_settings_of_an_adaptation_make_sense(settings: dict[str, Any], said: str | None) -> None:
    if said is None:
        open_adaptation(network(), "sync", None, AdaptOptions(**settings))
        return
    with pytest.raises(ConfigError, match=said):
        open_adaptation(network(), "sync", None, AdaptOptions(**settings))


# -- the end of a run


def test_a_truth_that_does_not_fit_is_a_warning() -> None:
    said, report = list[str](), RunReport()
    for error in (EvaluationError("nothing in common"), MissingDependencyError("no evo")):

        def fail(error: Exception = error) -> Any:
            raise error

        assert score(fail, report, said.append) is None
        assert report.warnings[-1] == said[-1] == f"not scored: {error}"
    found: Any = SimpleNamespace(to_dict=lambda: {"ate": 1})
    assert score(lambda: found, report, said.append) is found
    assert report.evaluation == {"ate": 1}


@pytest.mark.parametrize(("has_truth", "is_scored", "world_failure", "stop", "code"), [
    (True, True, None, None, 0), (True, False, None, None, 8), (False, False, None, None, 0),
    (False, True, None, None, 0),
    (True, False, "no metres", None, 2), (True, False, None, Stop("Ctrl-C", 130), 130),
])  # fmt: skip
def test_the_exit_code_of_a_run(
    has_truth: bool, is_scored: bool, world_failure: str | None, stop: Stop | None, code: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    poses = Poses([], Trajectory(np.zeros(1), np.eye(4)[None]), Trajectory(np.zeros(0), np.zeros((0, 4, 4))))
    monkeypatch.setattr(run_module, "_finish_results", lambda *_: (poses, "score" if is_scored else None))
    monkeypatch.setattr(run_module, "_finish_report", lambda run, stop: stop)
    run: Any = SimpleNamespace(
        args=SimpleNamespace(truth=Path("t") if has_truth else None), writer=SimpleNamespace(path=Path("out")),
        report=SimpleNamespace(world_failure=world_failure), title="t",
        loop=SimpleNamespace(signals=SimpleNamespace(first=None)),
    )  # fmt: skip
    ended: list[Any] = []
    outcome = _finish(run, stop, SimpleNamespace(end=ended.append))  # type: ignore[arg-type]
    assert outcome.exit_code == code
    assert ended == [outcome]


@pytest.mark.parametrize(("before", "after", "told"), [
    (None, None, []), (Stop("a", 1), Stop("a", 1), []), (None, Stop("full", 3), ["full"]),
])  # fmt: skip
def test_what_stopped_the_last_step_has_the_last_word(
    before: Stop | None, after: Stop | None, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(run_module, "_report_end", lambda run, reason: said.append(reason))
    answers = iter([before, after])

    class Keeping:
        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

    steps = SimpleNamespace(stop=lambda stop: next(answers), keeping=lambda *_: Keeping())
    report = RunReport()
    run: Any = SimpleNamespace(steps=steps, report=report, writer=SimpleNamespace(write_report=lambda report: None),
                               loop=SimpleNamespace(signals=SimpleNamespace(name=None)))  # fmt: skip
    assert _finish_report(run, None) == after
    assert said == told
    assert report.complete == (before is None)
