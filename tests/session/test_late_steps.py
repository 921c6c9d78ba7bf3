"""Steps after the frames: each fails alone, and what failed is told in one line."""

import signal
from pathlib import Path

import pytest

from vgslam.errors import InputError, OutputError
from vgslam.results.run_folder import FAILURES
from vgslam.session.late_steps import LateSteps
from vgslam.session.outcome import Stop
from vgslam.session.stop_signals import StopSignals, Terminated


@pytest.fixture
def steps(tmp_path: Path) -> LateSteps:
    return LateSteps(tmp_path)


def test_files_that_cannot_be_written_end_a_run_with_3(steps: LateSteps) -> None:
    assert steps.stop(None) is None
    for name in "ab":
        with steps.keeping(name):
            raise OutputError(f"{name}: no space")
    reason = "not everything could be written: a: no space; b: no space"
    assert steps.stop(None) == Stop(reason, 3)
    assert steps.stop(Stop("Ctrl-C", 130)) == Stop(f"Ctrl-C; {reason}", 130)


def test_an_error_is_told_once(steps: LateSteps) -> None:
    for _ in range(2):
        with steps.keeping("a"):
            raise InputError("gone")
    assert steps.lines == ["gone"]


def test_an_unexpected_error_is_a_line_and_its_traceback_a_file(steps: LateSteps, tmp_path: Path) -> None:
    def draw() -> None:
        raise KeyError("no\npen")

    assert steps.extra("the plots", draw) is None
    [line] = steps.lines
    assert line == f"the plots failed (KeyError: 'no\\npen'; see {tmp_path / FAILURES})"
    log = (tmp_path / FAILURES).read_text()
    assert log.startswith("the plots:\nTraceback")
    assert "in draw" in log


def test_without_a_folder_for_the_traceback_the_line_is_still_there(tmp_path: Path) -> None:
    steps = LateSteps(tmp_path / "gone")
    with steps.keeping("the score"):
        raise ZeroDivisionError
    assert steps.lines == ["the score failed (ZeroDivisionError)"]


def test_what_is_tried_again_is_a_note(steps: LateSteps) -> None:
    with steps.tried("saving"):
        raise OutputError("full")
    assert (steps.notes, steps.lines, steps.stop(None)) == (["full"], [], None)
    with pytest.raises(ValueError, match="not of writing"), steps.tried("saving"):
        raise ValueError("not of writing")


def test_a_signal_waits_for_what_keeps_results_and_leaves_out_the_rest(steps: LateSteps) -> None:
    done = []
    with StopSignals() as signals:
        with steps.keeping("saving the map", signals):
            signal.raise_signal(signal.SIGINT)
            done.append("map")
        assert steps.extra("the cloud", lambda: done.append("cloud")) is None
        with steps.keeping("writing the report", signals):
            done.append("report")
    assert done == ["map", "report"]
    assert steps.stop(None) == Stop("interrupted while the run was finished (saving the map)", 130)


def test_a_signal_ends_what_can_be_left_out(steps: LateSteps) -> None:
    def draw() -> None:
        raise Terminated

    steps.extra("the plots", draw)
    stop = steps.stop(None)
    assert stop is not None
    assert stop.exit_code == 143
    assert "the plots" in stop.reason


def test_a_step_that_ends_well_gives_its_result(steps: LateSteps) -> None:
    assert steps.extra("the cloud", lambda: 7) == 7
    assert steps.stop(None) is None
