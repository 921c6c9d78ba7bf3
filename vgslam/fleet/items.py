"""The recordings that inputs stand for: files, folders, wildcards, addresses, lists."""

import glob
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from vgslam.errors import InputError, VgslamError
from vgslam.fleet import manifest, storage
from vgslam.sources.live_address import public
from vgslam.sources.open import recognise

VIDEOS = frozenset({
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".3gp", ".wmv", ".flv",
    ".ogv", ".insv", ".360",
})  # fmt: skip
BAGS = frozenset({".bag", ".mcap", ".db3"})
"""Endings of files that are recordings where a folder of many is given; any file may be named by itself."""
DEEPEST = 4
"""Folders within folders that are looked through."""


@dataclass(frozen=True)
class Item:
    """A recording to be worked on, or one that was named and cannot be."""

    where: str
    """Absolute path or address."""
    name: str
    options: dict[str, str] = field(default_factory=dict)
    """Its own options of `vgslam run`, as text."""
    base: Path = field(default_factory=Path)
    """Folder that paths in the options are relative to."""
    trouble: str = ""
    """One line if it cannot be worked on."""


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
    elif path.suffix.lower() in manifest.SUFFIXES and not path.is_dir():
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
    for row in manifest.read_manifest(file, known):
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
