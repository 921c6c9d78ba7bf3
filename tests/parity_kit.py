"""The parity kits beside the repository, which are programs, run in this process: torch is loaded already."""

import runpy
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]


def check(checker: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What a checker prints; fails the test where it finds fault."""
    monkeypatch.setattr(sys, "argv", [str(checker), *words])
    monkeypatch.setattr(sys, "path", [str(REPO), *sys.path])
    monkeypatch.chdir(REPO)
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(checker), run_name="__main__")
    printed = capsys.readouterr()
    assert not end.value.code, printed.out + printed.err
    return printed.out
