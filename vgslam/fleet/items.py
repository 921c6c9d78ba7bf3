"""The recordings that inputs stand for: files, folders, wildcards, addresses, lists (CSV with a header, JSON lines)."""

import csv
import glob
import io
import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from vgslam.errors import InputError, VgslamError
from vgslam.fleet import storage
from vgslam.sources.live_address import public
from vgslam.sources.open import recognise

VIDEOS = frozenset({
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".3gp", ".wmv", ".flv",
    ".ogv", ".insv", ".360",
})  # fmt: skip
BAGS = frozenset({".bag", ".mcap", ".db3"})
"""Endings of files that are recordings where a folder of many is given; any file may be named by itself."""
DEEPEST = 4  # folders within folders that are looked through


@dataclass(frozen=True)
class Item:
    """A recording to be worked on, or one that was named and cannot be."""

    where: str  # absolute path or address
    name: str
    options: dict[str, str] = field(default_factory=dict)  # its own options of `vgslam run`, as text
    base: Path = field(default_factory=Path)  # folder that paths in the options are relative to
    trouble: str = ""  # one line if it cannot be worked on


def find_items(inputs: Sequence[str], known: Collection[str]) -> list[Item]:
    """All recordings, in the order of the inputs and then of their names, each with a name of its own; one that is not
    there has a trouble. known: the options that lists may have as columns. Raises InputError for a list."""
    found: list[Item] = []
    for text in inputs:
        found += _of_address(text) if storage.is_address(text) else _of_path(text, known)
    return _named_apart(found)


def _of_path(text: str, known: Collection[str]) -> Iterator[Item]:
    path = Path(text)
    if glob.has_magic(text) and not path.exists():
        matches = sorted(glob.glob(text, recursive=True))
        for match in matches:
            yield from _of_path(match, known) if not glob.has_magic(match) else [_item(Path(match))]
        if not matches:
            yield _item(path, f"{text}: matches nothing")
    elif path.suffix.lower() in SUFFIXES and not path.is_dir():
        yield from _of_list(path, known)
    else:
        yield from _of_local(path)


def _of_local(path: Path) -> Iterator[Item]:
    """A file, a folder that is a recording, or the recordings in a folder."""
    if not path.is_dir():
        yield _item(path, "" if path.is_file() else f"{path}: no such file or folder")
        return
    try:
        recognise(path)
        yield _item(path)
    except InputError as error:
        inside = list(_inside(path, DEEPEST))
        yield from (_item(p) for p in inside)
        if not inside:
            yield _item(path, str(error))
    except OSError as error:
        yield _item(path, f"{path}: cannot be read ({error.strerror or error})")


def _inside(folder: Path, deepest: int) -> Iterator[Path]:
    for path in sorted(p for p in folder.iterdir() if not p.name.startswith(".")):
        if path.is_file() and path.suffix.lower() in VIDEOS | BAGS:
            yield path
        elif path.is_dir():
            try:
                recognise(path)
                yield path
            except InputError:
                if deepest > 1:
                    yield from _inside(path, deepest - 1)


def _of_list(file: Path, known: Collection[str]) -> Iterator[Item]:
    for row in read_manifest(file, known):
        base = file.resolve().parent
        where = f"{file}, line {row.line}: "
        if storage.is_address(row.path):
            made = list(_of_address(row.path))
        else:
            made = list(_of_local(base / Path(row.path).expanduser()))
        for item in made:
            name = _plain(row.name) if row.name and len(made) == 1 else item.name
            trouble = where + item.trouble if item.trouble else ""
            yield replace(item, name=name, options=row.options, base=base, trouble=trouble)


def _of_address(url: str) -> Iterator[Item]:
    """The addresses that wildcards match, or of the recordings in a folder; anything else in it makes it one
    recording."""
    try:
        storage.check_address(url)
        if urlsplit(url).scheme.lower() == "file":
            yield from _of_local(Path(unquote(urlsplit(url).path)))
            return
        matches = storage.find(url)
        if not matches:
            yield _of_url(url, f"{public(url)}: matches nothing")
        for match in matches:
            is_file = PurePosixPath(public(match)).suffix.lower() in VIDEOS | BAGS
            inside = [] if is_file else storage.entries(match) or []
            recordings = [u for u in inside if PurePosixPath(u).suffix.lower() in VIDEOS | BAGS]
            yield from (_of_url(u) for u in recordings or [match])
    except VgslamError as error:
        yield _of_url(url, str(error))


def _of_url(url: str, trouble: str = "") -> Item:
    return Item(url, _plain(PurePosixPath(public(url).rstrip("/")).stem), trouble=trouble)


def _item(path: Path, trouble: str = "") -> Item:
    path = path.resolve()
    return Item(str(path), _plain(path.name if path.is_dir() else path.stem), trouble=trouble)


def _plain(name: str) -> str:
    """A name that is safe as a part of a file's: letters, digits, and - . _ within."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._-") or "recording"


def _named_apart(items: list[Item]) -> list[Item]:
    """The items, numbered where names repeat, whatever the case of their letters."""
    taken: set[str] = set()
    named = []
    for item in items:
        name, n = item.name, 1
        while name.casefold() in taken:
            n += 1
            name = f"{item.name}~{n}"
        taken.add(name.casefold())
        named.append(replace(item, name=name))
    return named


SUFFIXES = (".csv", ".jsonl", ".ndjson")
PATH, NAME = "path", "name"
ALIASES = {"calibration": "calib", "scale": "scale_from"}  # other words for columns


@dataclass(frozen=True)
class ListedRow:
    """One recording of a list."""

    line: int
    path: str  # as it is written there
    name: str = ""  # what it is to be called; empty where the list does not say
    options: dict[str, str] = field(default_factory=dict)  # options of `vgslam run`, as text


def read_manifest(file: Path, known: Collection[str]) -> list[ListedRow]:
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


def _row(file: Path, line: int, values: dict[str, str], known: Collection[str]) -> ListedRow:
    values = {ALIASES.get(k, k): v for k, v in values.items()}
    path, name = values.pop(PATH, ""), values.pop(NAME, "")
    if not path:
        raise InputError(f"{file}, line {line}: has no {PATH}")
    unknown = sorted(values.keys() - set(known))
    if unknown:
        may_be = ", ".join([PATH, NAME, *sorted(known)])
        raise InputError(f"{file}, line {line}: '{unknown[0]}' is no option of a recording; known are {may_be}")
    return ListedRow(line, path, name, {k: v for k, v in values.items() if v != ""})


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
