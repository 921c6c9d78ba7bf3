"""Copies of images that a file manager, a browser or a cloud made beside them: no frames of their own."""

import filecmp
import re
from collections.abc import Sequence
from pathlib import Path

from vgslam.sources.image_files import list_images
from vgslam.sources.recording import Warnings

_OF_A_COPY = (
    re.compile(r"(?P<name>.+?) ?\(\d+\)"),  # Windows, browsers, cloud drives: 000 (1), 000(1)
    re.compile(r"(?P<name>.+?) - (copy|kopie|copie|copia|kopia)( ?\(\d+\))?", re.IGNORECASE),  # Windows
    re.compile(r"(?P<name>.+?) (copy|kopie|copie|copia|kopia)( \d+)?", re.IGNORECASE),  # macOS
    re.compile(r"(?P<name>.+?) \((another )?(\w+ )?copy( \d+)?\)", re.IGNORECASE),  # GNOME, KDE
    re.compile(r"(copy of|kopie von|copie de) (?P<name>.+)", re.IGNORECASE),
    re.compile(r"(?P<name>.+?) \(([^()]+ )?conflicted copy [^()]*\)", re.IGNORECASE),  # Dropbox
)
"""Names without their endings."""


def list_frames(folder: Path, warnings: Warnings) -> list[Path]:
    """`list_images` without copies, which a warning counts and names. Raises InputError."""
    files = list_images(folder)
    copies = copies_among(files)
    for file in files:
        if file in copies:
            warnings.tally("copies, byte for byte, of images beside them", file.name)
    return [file for file in files if file not in copies]


def copies_among(files: Sequence[Path]) -> dict[Path, Path]:
    """The images called a copy of another that is there with the same bytes, with it. A name alone says nothing:
    Windows numbers photos as `walk (1).jpg`."""
    there = {file.name.casefold(): file for file in files}
    found = {}
    for file in files:
        for original in _originals(file):
            other = there.get(original.casefold())
            if other is not None and other != file and _is_same(file, other):
                found[file] = other
                break
    return found


def _originals(file: Path) -> list[str]:
    """Names of which this may be a copy."""
    matches = (pattern.fullmatch(file.stem) for pattern in _OF_A_COPY)
    return [match["name"] + file.suffix for match in matches if match]


def _is_same(a: Path, b: Path) -> bool:
    try:
        return filecmp.cmp(a, b, shallow=False)
    except OSError:
        return False
