"""Timestamps of image sequences: files that list them, and the unit of numbers."""

import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vgslam.errors import InputError
from vgslam.guards.documents import MOST_ROWS_BYTES, DocumentError, read_text, to_number, why_unreadable
from vgslam.sources.recording import Warnings

MOST_TOLD = 60
"""Characters of what is no time that are told."""
Times = npt.NDArray[np.float64]
PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
LATEST_S = 1e11
"""No time in seconds is larger (the year 5138): such numbers are milliseconds, microseconds or nanoseconds."""
_DATE = r"\d{4}[-/]\d\d[-/]\d\d"
_CLOCK = re.compile(rf"(?:({_DATE})[T ])?(\d{{1,2}}):(\d\d):(\d\d(?:[.,]\d+)?)(Z|[-+]\d\d(?::?\d\d)?)?")


def unit_by_size(largest: float) -> str:
    """The unit, one of PER_SECOND, of times of which the largest is no later than LATEST_S."""
    return next((unit for unit, n in PER_SECOND.items() if largest < LATEST_S * n), "ns")


def text_of_rows(path: Path, what: str = "", advice: str = "") -> str:
    """Text of a file of rows, of any length that such have. Raises InputError; what, advice: words before and after."""
    try:
        return read_text(path, MOST_ROWS_BYTES)
    except (OSError, DocumentError) as err:
        raise InputError(f"{path}: {what}cannot be read ({why_unreadable(err)}){advice}") from err


def read_list(path: Path, n_fields: int) -> list[list[str]]:
    """Rows of a file of fields with whitespace or commas between them, or semicolons, between which commas are those
    of decimals; without comments (#), empty lines and a header.

    Raises InputError for a file that cannot be read or a row of fewer than n_fields fields.
    """
    rows = []
    for number, line in enumerate(text_of_rows(path).splitlines(), start=1):
        line = line.split("#", 1)[0]
        fields = (line.replace(",", ".").replace(";", " ") if ";" in line else line.replace(",", " ")).split()
        if fields and len(fields) < n_fields:
            raise InputError(f"{path}, line {number}: {len(fields)} fields instead of {n_fields}")
        if fields:
            rows.append(fields)
    has_header = len(rows) > 1 and rows[0][0].isalpha() and not rows[1][0].isalpha() and _are_numbers(rows[1][:1])
    return rows[1:] if has_header else rows


def parse_time(path: Path, text: str) -> float:
    """A timestamp in s: a number, or a date and time in UTC unless it names a zone; a time alone counts from midnight.
    Raises InputError."""
    try:
        value = to_number(text)
    except ValueError:
        value = _of_clock(text)
    if not np.isfinite(value):
        told = text if len(text) <= MOST_TOLD else f"{text[:MOST_TOLD]}..."
        raise InputError(f"{path}: '{told}' is not a timestamp in seconds, nor a date and time; give one a line, in "
                         "the order of the images")  # fmt: skip
    return value


def _of_clock(text: str) -> float:
    """2011-09-30 12:02:25.100 (KITTI's raw recordings), 2024-01-01T10:00:00Z, 10:00:00.5; NaN for another text."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        return float("nan")
    date, hours, minutes, seconds, zone = found.groups()
    time_s = 3600.0 * int(hours) + 60.0 * int(minutes) + float(seconds.replace(",", "."))
    if date is None:
        return time_s
    try:
        day_s = datetime(*map(int, re.split("[-/]", date)), tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]
    except (ValueError, OverflowError):
        return float("nan")
    if zone and zone != "Z":
        sign, digits = (-1 if zone[0] == "-" else 1), zone[1:].replace(":", "").ljust(4, "0")
        time_s -= sign * (3600.0 * int(digits[:2]) + 60.0 * int(digits[2:]))
    return day_s + time_s


def read_times(path: Path, n_images: int, warnings: Warnings | None = None) -> Times:
    """One timestamp in s per image: the first number of each line, or the second where the first only counts the lines.
    Raises InputError when the counts differ."""
    rows = read_list(path, 1)
    if _have_decimal_commas(rows):
        rows = _with_fractions(rows)
    elif _are_counted(rows):
        rows = [row[1:] for row in rows]
        if warnings is not None:
            warnings.add(f"{path.name}: its first column counts the lines, the second is taken for the times")
    times = [parse_time(path, " ".join(row[:2]) if re.fullmatch(_DATE, row[0]) else row[0]) for row in rows]
    if len(times) != n_images:
        raise InputError(f"{path}: {len(times)} timestamps for {n_images} images; give one line per image, in order")
    return np.array(times)


def _are_numbers(row: list[str]) -> bool:
    try:
        return bool(np.isfinite([to_number(word) for word in row[:2]]).all())
    except ValueError:
        return False


def _have_decimal_commas(rows: list[list[str]]) -> bool:
    """Whether lines such as 0,0333 were divided: pairs of whole numbers, of which the first stays while the second goes
    on."""
    if len(rows) < 3 or not all(len(row) == 2 and row[0].isdecimal() and row[1].isdecimal() for row in rows):
        return False
    return len({row[0] for row in rows}) < len(rows) and len({tuple(row) for row in rows}) == len(rows)


def _with_fractions(rows: list[list[str]]) -> list[list[str]]:
    """Pairs of whole numbers as seconds: with decimals, or, where only so they go on, seconds and nanoseconds (or
    microseconds)."""
    digits = 9 if max(len(row[1]) for row in rows) > 6 else 6
    decimals, counts = ([[f"{a}.{b}"] for a, b in pairs] for pairs in (rows, [(a, b.zfill(digits)) for a, b in rows]))
    goes_on = [bool((np.diff([float(row[0]) for row in times]) > 0).all()) for times in (decimals, counts)]
    return counts if goes_on == [False, True] else decimals


def _are_counted(rows: list[list[str]]) -> bool:
    """Whether the first column counts by one, and the second increases and does not count."""
    if len(rows) < 3 or not all(len(row) >= 2 and _are_numbers(row) for row in rows):
        return False
    first, second = (np.diff([float(row[i]) for row in rows]) for i in (0, 1))
    return bool((first == 1).all() and (second > 0).all() and not (second == 1).all())
