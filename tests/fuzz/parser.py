"""What is fuzzed: a reader, how its inputs are made, and what may come of them."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis.strategies import SearchStrategy

from vgslam.errors import VgslamError
from vgslam.guards.paths import is_plain_file

Files = dict[str, bytes]
"""Content by path within a folder; a path ending in @ is a symbolic link to the content."""


@dataclass(frozen=True)
class Parser:
    """One reader. It gets the folder of the files; beside it is `out`, the only other folder it may write to."""

    name: str
    inputs: SearchStrategy[Files]
    """Mutations of small valid samples, and inputs made by a grammar."""
    read: Callable[[Path], object]
    """Reads a folder's files to the end: whatever is lazy is asked for."""
    refusals: tuple[type[BaseException], ...] = (VgslamError,)
    """What it may raise."""
    prepare: Callable[[], object] = field(default=lambda: None)
    """Loads what is loaded once, before the memory is counted."""
    may_write_inside: bool = False
    """Whether it may change the folder that it reads."""


def write_files(folder: Path, files: Files) -> None:
    """Puts the files into an empty folder; those that the file system refuses are left out."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        target = folder / name.removesuffix("@")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("@"):
                os.symlink(os.fsdecode(content), target)
            else:
                target.write_bytes(content)
        except (OSError, ValueError):
            continue


def read_files(folder: Path) -> Files:
    """The files of a folder, the inverse of `write_files`; links that lead nowhere, or are too long, are none."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if is_plain_file(p)}
