"""What a recording, a setting or the program is, by its content: the parts of a task's key."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

from vgslam.atomic import write_text
from vgslam.errors import InputError, OutputError
from vgslam.results.environment import package_version

KEY_DIGITS = 20  # hexadecimal digits of a key: 80 bits, so that a million keys collide with a chance below 1e-12
CHUNK = 2**20
STEADY_S = 2.0  # a file that was changed so shortly before it was read may change again without its time showing it


@cache
def program_id() -> str:
    """Version of the package and a hash of its sources and assets: two nodes with the same id do the same."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for file in sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        digest.update(f"{file.relative_to(root).as_posix()}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return f"{package_version()}-{digest.hexdigest()[:16]}"


def key_of(parts: Mapping[str, str | int | None]) -> str:
    """The key of a task: a hash of named parts, whatever their order."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


class Digests:
    """SHA-256 of files and folders, remembered by size and time of change. now: seconds since 1970; a file must be
    steady."""

    def __init__(self, file: Path | None = None, now: Callable[[], float] = time.time) -> None:
        self._file, self._now = file, now
        self._known: dict[str, tuple[int, int, str]] = {} if file is None else _read(file)
        self._is_changed = False

    def of(self, path: Path) -> str:
        """Digest of a file, or of names and contents of all files in a folder that are not hidden. Raises
        InputError."""
        try:
            if path.is_file():
                return self._of_file(path)
            if not path.is_dir():
                raise InputError(f"{path}: no such file or folder")
            digest = hashlib.sha256()
            for file in _files(path):
                digest.update(f"{file.relative_to(path).as_posix()}\0{self._of_file(file)}\n".encode())
            return digest.hexdigest()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error

    def _of_file(self, path: Path) -> str:
        stat, name = path.stat(), str(path.resolve())
        known = self._known.get(name)
        if known is not None and known[:2] == (stat.st_size, stat.st_mtime_ns):
            return known[2]
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        if self._now() - stat.st_mtime > STEADY_S:
            self._known[name] = (stat.st_size, stat.st_mtime_ns, digest.hexdigest())
            self._is_changed = True
        return digest.hexdigest()

    def save(self) -> None:
        """Keep what was found for the next run; nothing is lost but time where that fails."""
        if self._file is not None and self._is_changed:
            try:
                write_text(self._file, json.dumps(self._known))
            except OutputError:
                return
            self._is_changed = False


def _files(folder: Path) -> Iterator[Path]:
    """Files in a folder and the folders in it, in order of their names, without hidden ones and links to folders."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        yield from (Path(root) / name for name in sorted(names) if not name.startswith("."))


def _read(file: Path) -> dict[str, tuple[int, int, str]]:
    """What an earlier run has kept; nothing if that is not understood: it is found again."""
    try:
        data = json.loads(file.read_text())
        return {str(k): (int(v[0]), int(v[1]), str(v[2])) for k, v in data.items()}
    except (OSError, ValueError, TypeError, IndexError, AttributeError):
        return {}
