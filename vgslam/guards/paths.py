"""Names of files that another file gives: within a folder, or refused."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


class OutsideError(ValueError):
    """A name leads out of the folder that it must stay in. The text says how, and reads after the name of a file."""


def inside(folder: Path, name: object, may_be_link: bool = False) -> Path:
    """`folder` / name, for a name that a map, an index or an archive gives. Raises OutsideError for what is no text,
    empty, absolute, holds '..' or a control character, or leads through a symbolic link. may_be_link: links are
    followed, as those of the Hugging Face cache are."""
    if not isinstance(name, str) or not name:
        raise OutsideError("names no file where it should")
    parts = Path(name).parts
    if os.path.isabs(name) or ".." in parts or "\\" in name or any(ord(c) < 32 for c in name) or not parts:
        raise OutsideError(f"names a file outside its folder ({name[:80]!r})")
    path = folder
    for part in parts:
        path = path / part
        if not may_be_link and is_link(path):
            raise OutsideError(f"names a file behind a symbolic link ({name[:80]!r})")
    return path


def open_plain(path: Path) -> BinaryIO:
    """A file of a folder from elsewhere, open for reading. Raises OSError, for a pipe or a device in its place too:
    who opens a pipe waits for ever."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "is not a file", str(path))
    return os.fdopen(handle, "rb")


def is_link(path: Path) -> bool:
    """Whether the path itself is a symbolic link."""
    try:
        return stat.S_ISLNK(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def is_plain_file(path: Path) -> bool:
    """Whether there is a file; False too for a name that the system refuses, as one that is too long."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether there is a folder; False too for what the system refuses, as a link to too long a name."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
