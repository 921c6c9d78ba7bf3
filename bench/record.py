"""The files of a measurement: NAME.json with all figures and NAME.md for people, in their own folder."""

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vgslam.atomic import write_text
from vgslam.errors import OutputError
from vgslam.results import environment


def claim_folder(folder: Path, name: str, overwrite: bool) -> None:
    """Makes the folder. OutputError if it cannot be made, or holds NAME.json already and `overwrite` is not
    given."""
    if (folder / f"{name}.json").exists() and not overwrite:
        raise OutputError(f"{folder} holds results already; add --overwrite or give another folder with --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror or error}); choose another --out") from error


def write_record(folder: Path, name: str, figures: Mapping[str, Any], page: str) -> str:
    """Writes both files into a folder that is there, each whole or not at all; returns a line that says where they
    are. Raises OutputError, and ValueError for a number that JSON has not."""
    write_text(folder / f"{name}.json", json.dumps(figures, indent=1, default=str, allow_nan=False) + "\n")
    write_text(folder / f"{name}.md", page)
    return f"written: {folder / name}.json, {folder / name}.md"


def provenance() -> dict[str, Any]:
    """The origin as in `vgslam.results.environment`, with the command as it is given."""
    return environment.provenance() | {"command": shlex.join(["python", "-m", "bench", *sys.argv[1:]])}
