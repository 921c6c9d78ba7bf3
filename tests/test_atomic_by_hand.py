"""Files that appear complete or not at all."""

import os
import stat
from pathlib import Path

import pytest

from vgslam.atomic import make_folder, shortened, write_atomically, write_bytes, write_path_atomically, write_text
from vgslam.errors import OutputError


def test_until_it_is_whole_the_old_file_stays_and_the_new_one_lies_hidden_beside_it(tmp_path: Path) -> None:
    """Beside it, as a file can be renamed on one disk only."""
    path = tmp_path / "report.json"
    write_text(path, "old")

    def write(temporary: Path) -> None:
        temporary.write_text("new")
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".report.json.")
        assert path.read_text() == "old"

    write_path_atomically(path, write)
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_everybody_may_read_what_was_written(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"x")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a"
    write_bytes(path, b"old")

    def fail(file: object) -> None:
        raise error

    with pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt, match=r"No space|^$"):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_is_missing_is_made_where_that_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_path_atomically(tmp_path / "b" / "a", lambda path: path.write_text("x"))
    write_path_atomically(tmp_path / "b" / "a", lambda path: path.write_text("x"), make_folders=True)
    assert (tmp_path / "b" / "a").read_text() == "x"
    with pytest.raises(OutputError, match=r"cannot be made .*; elsewhere"):
        make_folder(tmp_path / "b" / "a" / "c", "; elsewhere")


@pytest.mark.parametrize(("name", "n_bytes", "expected"), [
    ("abc", 3, "abc"), ("abcd", 3, "abc"), ("aßc", 2, "a"), ("aßc", 3, "aß"), ("日本", 5, "日"), ("日本", 2, ""),
])  # fmt: skip
def test_a_long_name_ends_at_a_whole_character(name: str, n_bytes: int, expected: str) -> None:
    assert shortened(name, n_bytes) == expected


def test_a_name_of_255_bytes_leaves_room_for_that_of_its_temporary_file(tmp_path: Path) -> None:
    write_text(tmp_path / ("a" * 255), "x")
    assert [len(p.name) for p in tmp_path.iterdir()] == [255]


def test_a_device_or_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    for path in (pipe, tmp_path / "link"):
        with pytest.raises(OutputError, match="is a device or a pipe"):
            write_bytes(path, b"x")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "pipe"]
