"""What a run tells: its warnings, and a progress bar on terminals alone."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.progress import Progress

from vgslam.commands import terminal
from vgslam.commands.terminal import MOST_WARNINGS, _progress


def test_the_warnings_of_the_report_are_printed(sequence: Path, vgslam) -> None:
    (sequence / "times.txt").unlink()
    code, out, _ = vgslam.run(sequence, "--max-frames", 3)
    assert code == 0
    warnings = vgslam.report()["warnings"]
    assert 0 < len(warnings) <= MOST_WARNINGS
    for line in warnings:
        assert f"warning: {line}" in out


@pytest.mark.parametrize(("is_terminal", "quiet"), [(True, False), (False, False), (True, True)])
def test_a_bar_is_for_terminals(is_terminal: bool, quiet: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    for live in (None, object()):
        run: Any = SimpleNamespace(args=SimpleNamespace(quiet=quiet), loop=SimpleNamespace(live=live))
        assert _progress(run, is_told=False).disable == (quiet or not is_terminal)
        assert _progress(run, is_told=True).disable


@pytest.mark.parametrize(("is_terminal", "quiet"), [(True, False), (False, False), (True, True)])
def test_an_estimate_shows_how_far_it_is_on_terminals(
    is_terminal: bool, quiet: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    made: list[Progress] = []

    def progress(*columns: Any, **how: Any) -> Progress:
        made.append(Progress(*columns, **how))
        return made[0]

    monkeypatch.setattr(terminal, "Progress", progress)
    with terminal.Terminal(is_quiet=quiet).estimating() as tell:
        tell(2, 143)
    assert made[0].tasks[0].description == "pass 2: frame 143"
    assert made[0].disable == (quiet or not is_terminal)


def test_a_viewer_that_serves_stays_until_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(terminal.time, "sleep", sleep)
    terminal._stay()
    assert len(waits) == 3
    said = capsys.readouterr()
    assert "stays until Ctrl-C" in said.err
    assert said.out == "", "--poses - has it"
