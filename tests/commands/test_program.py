"""The program before any command: its help, its version, and words that are no command."""

import re
from dataclasses import is_dataclass
from pathlib import Path

import pytest
from random_map import random_map

from vgslam.cli import COMMANDS, Command, parse
from vgslam.guards.wording import say_meanwhile
from vgslam.store.map_folder import MapFolder


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_the_help_names_every_command(vgslam, word: str) -> None:
    code, out, _ = vgslam(word)
    assert code == 0
    listed = re.findall(r"^  (\S+)  +\S", out, re.MULTILINE)
    assert listed == list(COMMANDS)


def test_the_version_is_told(vgslam) -> None:
    code, out, _ = vgslam("--version")
    assert code == 0
    assert re.fullmatch(r"vgslam \d+\.\d+\.\d+\S*\n", out)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_with_its_arguments(name: str) -> None:
    arguments, function = COMMANDS[name].load()
    assert is_dataclass(arguments)
    assert callable(function)


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "give a command"), (("rnu", "x"), "did you mean run?"), (("zzz",), "there are run, live"),
     (("--quiet", "run", "x"), "options come after the command")],
)  # fmt: skip
def test_what_is_no_command_is_one_line(vgslam, words: tuple[str, ...], said: str) -> None:
    code, _, err = vgslam(*words)
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_arguments_are_those_of_the_command_alone(tmp_path) -> None:
    assert type(parse(["eval", "a", "b"])).__name__ == "EvalArgs"
    assert parse(["run", "x"]).path.name == "x"


LONG = "x" * 256
PATHS = {
    "a map": ("map", "info", LONG), "a run": ("report", LONG), "an estimate": ("eval", LONG, "truth.txt"),
    "an export": ("map", "export", "{map}", "--format", "ply", "--out", LONG), "a stream": ("live", LONG),
}  # fmt: skip


@pytest.mark.parametrize("words", PATHS.values(), ids=PATHS)
def test_a_path_that_the_system_refuses_is_one_line(words: tuple[str, ...], tmp_path: Path, vgslam) -> None:
    with MapFolder(tmp_path / "m") as folder:
        folder.save(random_map(2))
    code, _, err = vgslam(*(word.format(map=tmp_path / "m") for word in words))
    assert code == 2
    assert "cannot be used (File name too long); check the path" in err
    assert len(err.strip().splitlines()) == 1


def test_links_in_a_circle_are_one_line(tmp_path: Path, vgslam) -> None:
    (tmp_path / "loop").symlink_to("loop")
    code, _, err = vgslam("run", str(tmp_path / "loop"))
    assert code == 2
    assert len(err.strip().splitlines()) == 1


def test_ctrl_c_while_a_library_is_loaded_is_no_failure(vgslam, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: object) -> None:
        raise ImportError("initialization failed") from KeyboardInterrupt()

    monkeypatch.setattr(Command, "load", load)
    assert vgslam("doctor")[0] == 130


def test_other_errors_of_the_system_and_of_libraries_are_told_whole(vgslam, monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (OSError("no path"), ImportError("gone", name="vgslam.gone"), RuntimeError("odd")):
        monkeypatch.setattr(Command, "load", lambda _, error=error: (_ for _ in ()).throw(error))
        with pytest.raises(type(error)):
            vgslam("doctor")


def test_a_package_that_is_not_whole_is_one_line(vgslam, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: object) -> None:
        raise ImportError("libGL.so.1: cannot open shared object file", name="cv2")

    monkeypatch.setattr(Command, "load", load)
    code, _, err = vgslam("run", "x")
    assert code == 6
    assert "cannot be loaded (libGL.so.1: cannot open shared object file); install it again" in err
    assert len(err.strip().splitlines()) == 1


def test_a_person_at_a_terminal_is_told_what_takes_long(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    say_meanwhile("testing")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    say_meanwhile("testing")
    assert capsys.readouterr() == ("", "testing ...\n")
