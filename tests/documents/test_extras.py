"""`make extras-check` knows every extra of the package."""

import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))


def test_every_extra_is_checked_or_has_a_reason() -> None:
    import extras_check as check

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert not set(check.EXTRAS) & set(check.NOT_CHECKED)
    assert set(extras) == set(check.EXTRAS) | set(check.NOT_CHECKED)


def test_extras_by_unknown_names_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    import extras_check as check

    with pytest.raises(SystemExit) as stop:
        check.main(["evil"])
    assert stop.value.code == 2
    assert "no extra evil; there are eval" in capsys.readouterr().err


def test_a_command_that_does_not_say_what_is_missing_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With stand-ins for the environment: the plain run works, then each extra's command ends as told."""
    import extras_check as check

    endings = {"eval": (6, "pip install 'vgslam[eval]'"), "mesh": (6, "no word of it"), "viewer": (0, "vgslam[viewer]")}
    monkeypatch.setattr(check, "installed", lambda *_: tmp_path / "venv")
    monkeypatch.setattr(check.shutil, "rmtree", lambda *_: None)
    told = iter([(0, ""), *endings.values()])
    monkeypatch.setattr(check, "called", lambda *_: next(told))
    wrong = check.without_extras(tmp_path / "a.whl", list(endings), tmp_path)
    assert [line.split(":")[0] for line in wrong] == ["without mesh", "without viewer"]
