"""`manifest.json`: the one file that says which others make up the newest complete state of a saved map."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vgslam.errors import MapError

FORMAT = "vgslam map"
VERSION = 7
"""1: one session, without names. 2: sessions. 3: codes of places. 4: which components are metric and upright.
5: frames with a rotation only, and the radial distortion that was taken out of a camera's images.
6: the calibration of a session's images as they were recorded. 7: the names of the keyframes' files."""
MANIFEST = "manifest.json"
LOCK = ".lock"


@dataclass(frozen=True)
class Manifest:
    """The contents of a map folder's manifest."""

    generation: int
    """Counts the saves."""
    program: str
    saved_at: str
    state: str
    """Name of the file with the arrays."""
    state_sha256: str
    """SHA-256 of that file."""
    state_size: int
    """Size of that file in bytes."""
    version: int = VERSION
    session_names: list[str] = field(default_factory=list)
    """One for each entry of the array `session_first_frame`."""
    session_began: list[str] = field(default_factory=list)
    """One for each entry of the array `session_first_frame`."""
    summary: dict[str, int] = field(default_factory=dict)
    """Counts for people."""

    def to_json(self) -> str:
        """The manifest as text, with the format's name and a checksum of all the rest."""
        body: dict[str, Any] = {"format": FORMAT, **asdict(self)}
        return json.dumps({**body, "checksum": _checksum(body)}, indent=1) + "\n"


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Raises MapError for a folder that holds no map, one of a newer version, or a damaged manifest."""
    path = folder / MANIFEST
    if not folder.is_dir():
        raise MapError(f"{folder}: {'is a file, a map is a folder' if folder.exists() else 'there is no such map'}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if (folder / LOCK).exists() and not any(folder.glob("state-*")):
            raise MapError(
                f"{folder}: holds no map yet: the run that was to make it ended before its first save, or has not "
                "saved yet; run it again"
            ) from None
        raise MapError(f"{folder}: is not a vgslam map (it has no {MANIFEST}), or was left in its first save") from None
    except OSError as error:
        raise MapError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise MapError(f"{path}: is damaged (not JSON)") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise MapError(f"{folder}: is not a vgslam map ({MANIFEST} is that of another program)")
    version = data.get("version")
    if not isinstance(version, int):
        raise MapError(f"{path}: is damaged (no version)")
    if version > VERSION:
        raise MapError(
            f"{folder}: is a map of version {version}, this program reads up to {VERSION}; update vgslam to open it"
        )
    checksum = data.pop("checksum", None)
    if checksum != _checksum(data):
        raise MapError(f"{path}: is damaged (its checksum differs)")
    del data["format"]
    try:
        return Manifest(**data)
    except TypeError as error:
        raise MapError(f"{path}: is damaged ({error})") from error
