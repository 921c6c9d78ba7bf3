"""Lists of recordings with options for each: CSV with a header, or JSON lines."""

import csv
import io
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vgslam.errors import InputError

SUFFIXES = (".csv", ".jsonl", ".ndjson")
PATH, NAME = "path", "name"
ALIASES = {"calibration": "calib", "scale": "scale_from"}
"""Other words for columns."""


@dataclass(frozen=True)
class Row:
    """One recording of a list."""

    line: int
    path: str
    """As it is written there."""
    name: str = ""
    """What it is to be called; empty where the list does not say."""
    options: dict[str, str] = field(default_factory=dict)
    """Options of `vgslam run`, as text."""


def read_manifest(file: Path, known: Collection[str]) -> list[Row]:
    """The rows of a list. known: the options that it may have as columns. Raises InputError, naming the line."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: is not UTF-8 text ({error.reason})") from error
    read = _csv if file.suffix.lower() == ".csv" else _json_lines
    rows = [_row(file, line, values, known) for line, values in read(file, text)]
    if not rows:
        raise InputError(f"{file}: lists no recordings")
    return rows


def _row(file: Path, line: int, values: dict[str, str], known: Collection[str]) -> Row:
    values = {ALIASES.get(k, k): v for k, v in values.items()}
    path, name = values.pop(PATH, ""), values.pop(NAME, "")
    if not path:
        raise InputError(f"{file}, line {line}: has no {PATH}")
    unknown = sorted(values.keys() - set(known))
    if unknown:
        may_be = ", ".join([PATH, NAME, *sorted(known)])
        raise InputError(f"{file}, line {line}: '{unknown[0]}' is no option of a recording; known are {may_be}")
    return Row(line, path, name, {k: v for k, v in values.items() if v != ""})


def _csv(file: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            cells = [c.strip() for c in cells]
            if not any(cells):
                continue
            if header is None:
                header = [_column(c) for c in cells]
                _check_header(file, header)
                continue
            if len(cells) != len(header):
                raise InputError(f"{file}, line {reader.line_num}: {len(cells)} cells under {len(header)} columns")
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise InputError(f"{file}, line {reader.line_num}: is not CSV ({error})") from error


def _column(cell: str) -> str:
    return cell.strip().removeprefix("--").replace("-", "_")


def _check_header(file: Path, header: list[str]) -> None:
    names = [ALIASES.get(h, h) for h in header]
    if PATH not in names:
        raise InputError(f"{file}: its first line has to name the columns, {PATH} among them; it has {header}")
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise InputError(f"{file}: column '{twice}' is there twice")


def _json_lines(file: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for line, content in enumerate(text.splitlines(), 1):
        if not content.strip():
            continue
        try:
            data = json.loads(content)
        except ValueError as error:
            raise InputError(f"{file}, line {line}: is not JSON ({error})") from error
        if not isinstance(data, dict):
            raise InputError(f"{file}, line {line}: expected an object with a {PATH}")
        yield line, {_column(str(k)): _text(file, line, k, v) for k, v in data.items() if v is not None}


def _text(file: Path, line: int, name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value).strip()
    raise InputError(f"{file}, line {line}: '{name}' is no text or number")
