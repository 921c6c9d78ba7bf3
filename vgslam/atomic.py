"""Files that appear complete or not at all."""

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from vgslam.errors import OutputError

LONGEST_BYTES = 200  # file systems take names of up to 255 bytes


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Calls `write` with a temporary file beside `path`, then renames it; an existing file stays until then. Raises
    OutputError in one line (disk full, no permission, folder gone); no temporary file is left."""

    def at(temporary: Path) -> None:
        with temporary.open("wb") as file:
            write(file)

    write_path_atomically(path, at)


def write_path_atomically(path: Path, write: Callable[[Path], object], make_folders: bool = False) -> None:
    """`write_atomically` for what writes to a path: `write` gets that of the temporary file, which is there, empty.
    make_folders: those of `path` that are missing are made."""
    temporary: str | None = None
    try:
        if _is_special(path):
            raise OutputError(f"{path}: is a device or a pipe, which a file would replace; give the name of a file")
        if make_folders:
            path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{shortened(path.name)}.")
        os.close(handle)
        write(Path(temporary))
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); choose another place") from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def _is_special(path: Path) -> bool:
    """Whether a device, a pipe or a socket has that name: renaming a file over it would take it away from everybody.
    Raises OSError."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def make_folder(folder: Path, advice: str = "") -> None:
    """Makes a folder and those above it, where they are not there. Raises OutputError, which ends with the advice."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror or error}){advice}") from error


def shortened(name: str, n_bytes: int = LONGEST_BYTES) -> str:
    """The beginning of a file's name that leaves room for something behind it: at most n_bytes, whole characters."""
    stored = os.fsencode(name)
    if len(stored) <= n_bytes:
        return name
    while n_bytes and stored[n_bytes] & 0xC0 == 0x80:  # within a character of UTF-8
        n_bytes -= 1
    return os.fsdecode(stored[:n_bytes])


def write_bytes(path: Path, data: bytes) -> None:
    """`write_atomically` of given bytes."""
    write_atomically(path, lambda file: file.write(data))


def write_text(path: Path, text: str) -> None:
    """`write_atomically` for text, UTF-8."""
    write_bytes(path, text.encode())
