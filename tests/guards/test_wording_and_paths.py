"""Text that may be shown, and names that stay in their folder."""

from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from vgslam.cli import main
from vgslam.commands.cells import cell
from vgslam.errors import InputError
from vgslam.guards.paths import OutsideError, inside, is_plain_file
from vgslam.guards.wording import LONGEST, one_line, say, shown

HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\u202egnp.exe\x9b31m\udcff"


def test_harmful_characters_become_escapes_and_others_stay() -> None:
    assert shown(HOSTILE) == r"\x1b]0;owned\x07\x1b[2J\x0d\u202egnp.exe\x9b31m\udcff"
    assert shown("Zürich 東京 – 50 %\tx\ny") == "Zürich 東京 – 50 %\tx\ny"


def test_one_line() -> None:
    assert one_line("a\nvgslam: all is well\r\n\tb") == "a vgslam: all is well  b"
    assert len(one_line("x" * 10**6)) == LONGEST + len(" ... ")
    assert one_line("x" * LONGEST) == "x" * LONGEST


def test_an_error_is_one_clean_line() -> None:
    assert str(InputError(f"{HOSTILE}\n: bad")) == shown(HOSTILE.replace("\r", " ")) + " : bad"


def test_say_cleans(capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE)
    say(HOSTILE, is_error=True)
    said = capsys.readouterr()
    assert said.out == said.err == shown(HOSTILE) + "\n"


def test_the_program_shows_no_raw_control_character(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "\x1b[2J[red]x\ny"
    path.mkdir()
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert said.err.count("\n") == 1


def test_cells_show_markup_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name")
    table.add_row(cell("[/red][link=x]\x1b[2J"))
    Console(width=80).print(table)
    assert r"[/red][link=x]\x1b[2J" in capsys.readouterr().out


class TestInside:
    def test_names_within(self, tmp_path: Path) -> None:
        assert inside(tmp_path, "a/b.c") == tmp_path / "a" / "b.c"

    @pytest.mark.parametrize(
        "name", ["", None, 3, "/etc/passwd", "..", "../x", "a/../../x", "a\0b", "a\nb", "..\\x", "."]
    )
    def test_names_that_lead_out(self, name: object, tmp_path: Path) -> None:
        with pytest.raises(OutsideError):
            inside(tmp_path, name)

    def test_links(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "out")
        for name in ("link", "link/x"):
            with pytest.raises(OutsideError, match="symbolic link"):
                inside(tmp_path, name)
            assert inside(tmp_path, name, may_be_link=True) == tmp_path / name

    def test_a_name_that_the_system_refuses_is_no_file(self, tmp_path: Path) -> None:
        assert not is_plain_file(tmp_path / ("x" * 5000))
        assert not is_plain_file(tmp_path / "a\0b")


def test_a_message_that_nobody_reads_ends_nothing_and_a_result_does(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def write(self, text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None: ...

    monkeypatch.setattr("sys.stderr", Gone())
    monkeypatch.setattr("sys.stdout", Gone())
    say("a warning", is_error=True)
    with pytest.raises(BrokenPipeError):
        say("a result")
