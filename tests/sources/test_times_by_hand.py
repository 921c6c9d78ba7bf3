"""Lists of times: units, comments, headers, and columns that only count."""

from pathlib import Path

import pytest

from vgslam.errors import InputError
from vgslam.sources.recording import Warnings
from vgslam.sources.times import PER_SECOND, read_list, read_times, unit_by_size


@pytest.mark.parametrize(("largest", "unit"), [
    (0.0, "s"), (1.7e9, "s"), (9e10, "s"), (2e11, "ms"), (1.7e12, "ms"), (2e14, "us"), (1.7e15, "us"), (2e17, "ns"),
    (1.7e18, "ns"), (1e30, "ns"),
])  # fmt: skip
def test_the_unit_is_the_largest_in_which_the_year_is_before_5138(largest: float, unit: str) -> None:
    assert unit_by_size(largest) == unit


def test_a_second_has_a_thousand_milliseconds_and_so_on() -> None:
    assert PER_SECOND == {"s": 1, "ms": 1000, "us": 1000_000, "ns": 1000_000_000}


def read(tmp_path: Path, *lines: str, n: int | None = None) -> list[float]:
    path = tmp_path / "times.txt"
    path.write_text("\n".join(lines) + "\n")
    return read_times(path, len(lines) if n is None else n, Warnings()).tolist()


@pytest.mark.parametrize(("lines", "times"), [
    (("0,033", "1,066", "2,099"), [33.0, 66.0, 99.0]),  # whole numbers that are counted, no decimal commas
    (("0,033", "0,066", "1,099"), [0.033, 0.066, 1.099]),  # decimal commas
    (("0,033", "0,066", "0,066"), [0.0, 0.0, 0.0]),  # neither, as two lines are the same
    (("8 99999904", "8 133333444", "9 0"), [8.099999904, 8.133333444, 9.0]),  # seconds and nanoseconds
    (("8 99999", "8 133333", "9 0"), [8.099999, 8.133333, 9.0]),  # microseconds
    (("8 5", "8 75", "9 25"), [8.5, 8.75, 9.25]),
    (("0 9.5", "1 8.5", "2 7.5"), [0.0, 1.0, 2.0]),  # the second goes back
    (("0 1", "1 2", "2 3"), [0.0, 1.0, 2.0]),  # the second counts too
    (("4 0.1", "5 0.3", "6 0.4"), [0.1, 0.3, 0.4]),
    (("0 0.1", "2 0.3", "4 0.4"), [0.0, 2.0, 4.0]),  # the first does not count
    (("0.5 a.png", "0.7 b.png", "0.9 c.png"), [0.5, 0.7, 0.9]),
])  # fmt: skip
def test_the_column_of_the_times_is_the_first_unless_it_counts(
    tmp_path: Path, lines: tuple[str, ...], times: list[float]
) -> None:
    assert read(tmp_path, *lines) == times


@pytest.mark.parametrize("n", [1, 3])
def test_there_is_one_time_for_each_image(tmp_path: Path, n: int) -> None:
    with pytest.raises(InputError, match=rf"2 timestamps for {n} images"):
        read(tmp_path, "0.1", "0.2", n=n)


def test_rows_are_without_comments_empty_lines_and_a_header(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# about\ntime,name\n\n0.1,a.png # first\n0.2 b.png\n")
    assert read_list(path, 2) == [["0.1", "a.png"], ["0.2", "b.png"]]
    path.write_text("time name\n")
    assert read_list(path, 2) == [["time", "name"]], "a line alone is no header"
    path.write_text("0.1 a.png\n0.2\n")
    with pytest.raises(InputError, match="line 2: 1 fields instead of 2"):
        read_list(path, 2)
