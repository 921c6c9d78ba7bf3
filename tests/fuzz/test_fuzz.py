"""A few hundred inputs of the fuzz, the same in every run, and what the fuzz takes for a failure."""

from pathlib import Path

import pytest
from fuzz.attempt import attempt
from fuzz.parser import Files, Parser
from fuzz.run import fuzz, parsers
from hypothesis import strategies as st

from vgslam.errors import InputError

N_INPUTS = 20
PARSERS = {parser.name: parser for parser in parsers()}


@pytest.mark.parametrize("name", PARSERS)
def test_each_input_gives_a_result_or_one_clear_line(name: str, tmp_path: Path) -> None:
    tally = fuzz(PARSERS[name], N_INPUTS, number=1, parent=tmp_path)
    assert tally.n_tried >= N_INPUTS // 2
    assert list(tally.failures) == []


def reader(read: object) -> Parser:
    return Parser("a reader", st.just({"a": b"1"}), read)  # type: ignore[arg-type]


def refusing(text: str) -> object:
    def read(folder: Path) -> None:
        raise InputError(text) if text else InputError("")

    return read


def raising(error: Exception) -> object:
    def read(folder: Path) -> None:
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "failure"),
    [
        (lambda folder: (folder / "a").read_bytes(), ""),
        (refusing("a line"), ""),
        (refusing(""), "no clear line"),
        (raising(KeyError("x")), "KeyError"),
        (raising(MemoryError()), "MemoryError"),
        (lambda folder: (folder / "a").write_bytes(b"2"), "changed its input"),
        (lambda folder: (folder.parent / "b").write_bytes(b"2"), "beside its input"),
        (lambda folder: (folder.parents[1] / "b").write_bytes(b"2"), "outside"),
        (lambda folder: (folder.parents[1] / "canary").write_bytes(b"2"), "outside"),
        (lambda folder: (folder.parents[1] / "out" / "b").write_bytes(b"2"), ""),
    ],
)  # fmt: skip
def test_what_counts_as_a_failure(read: object, failure: str, tmp_path: Path) -> None:
    found = attempt(reader(read), {"a": b"1"}, parent=tmp_path).failure
    assert failure in found
    assert bool(found) == bool(failure)


def test_a_reader_without_an_end_is_stopped(tmp_path: Path) -> None:
    def forever(folder: Path) -> None:
        while True:
            pass

    assert "more than 0.05 s" in attempt(reader(forever), {"a": b"1"}, 0.05, tmp_path).failure


def test_a_message_with_control_characters_is_a_failure(tmp_path: Path) -> None:
    """Errors of the program clean themselves: one that does not is taken for the case."""

    class RawError(Exception):
        pass

    parser = Parser("a reader", st.just({"a": b"1"}), raising(RawError("\x1b[31m")), (RawError,))  # type: ignore[arg-type]
    assert "no clear line" in attempt(parser, {"a": b"1"}, parent=tmp_path).failure


def test_one_number_gives_the_same_inputs(tmp_path: Path) -> None:
    def inputs(number: int) -> list[Files]:
        seen: list[Files] = []
        fuzz(PARSERS["calibration"], 10, number, parent=tmp_path, before=seen.append)
        return seen

    assert inputs(3) == inputs(3)
    assert inputs(3) != inputs(4)
