"""Times written as a clock shows them."""

from pathlib import Path

import pytest

from vgslam.errors import InputError
from vgslam.sources.times import parse_time, read_times


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1.5", 1.5),
        ("10:00:00.5", 36000.5),
        ("1:02:03", 3723.0),
        ("1970-01-02T00:00:01Z", 86401.0),
        ("1970/01/02 00:00:01.25", 86401.25),
        ("1970-01-01T02:30:00+02:30", 0.0),
        ("1970-01-01T00:00:00-01", 3600.0),
    ],
)
def test_a_date_and_a_time_are_seconds(text: str, seconds: float) -> None:
    assert parse_time(Path("times.txt"), text) == seconds


@pytest.mark.parametrize("text", ["nan", "img.png", "2024-13-01 00:00:00", "10:00", "2024-01-01", "12:00:00 x"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a timestamp in seconds, nor a date and time"):
        parse_time(Path("times.txt"), text)


def test_a_list_of_dates_is_read_in_two_words(tmp_path: Path) -> None:
    (tmp_path / "times.txt").write_text("1970-01-01 00:00:01\n1970-01-01 00:00:02\n")
    assert read_times(tmp_path / "times.txt", 2).tolist() == [1.0, 2.0]
