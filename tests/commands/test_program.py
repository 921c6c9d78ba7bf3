"""The program before any command: its help, its version, and words that are no command."""

import re
from dataclasses import is_dataclass

import pytest

from vgslam.cli import COMMANDS, parse


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
