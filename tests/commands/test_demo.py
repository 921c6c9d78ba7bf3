"""`vgslam demo`: what it says to do next."""

from pathlib import Path

import pytest

from vgslam.commands import demo
from vgslam.commands.demo import DemoArgs, program_as_called, run_demo


@pytest.mark.parametrize(("first_word", "expected"), [
    ("vgslam", "vgslam"),
    (".venv/bin/vgslam", ".venv/bin/vgslam"),
    ("HERE/.venv/bin/vgslam", ".venv/bin/vgslam"),
    ("/opt/bin/vgslam", "/opt/bin/vgslam"),
    ("/opt/vgslam/__main__.py", "python -m vgslam"),
])  # fmt: skip
def test_the_program_is_named_as_it_was_called(first_word: str, expected: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert program_as_called(first_word.replace("HERE", str(tmp_path))) == expected


@pytest.mark.parametrize("code", [0, 3])
def test_a_demo_that_worked_says_what_comes_next(
    code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "run_run", lambda args: code)
    monkeypatch.setattr("sys.argv", ["/opt/bin/vgslam", "demo"])
    assert run_demo(DemoArgs(Path("out/it"))) == code
    assert ("next: /opt/bin/vgslam report out/it" in capsys.readouterr().out) is (code == 0)


@pytest.mark.parametrize("has_evo", [True, False])
def test_without_evo_the_demo_works_and_says_what_would_score_it(
    has_evo: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = []
    monkeypatch.setattr(demo, "is_installed", lambda name: has_evo and name == "evo")
    monkeypatch.setattr(demo, "run_run", lambda args: given.append(args.truth) or 0)
    assert run_demo(DemoArgs(Path("out/it"))) == 0
    assert (given[0] is not None) is has_evo
    assert ("vgslam[eval]" in capsys.readouterr().out) is not has_evo
