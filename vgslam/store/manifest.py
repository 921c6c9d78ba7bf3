"""`manifest.json`: the one file that says which others make up the newest complete state of a saved map."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vgslam.errors import MapError
from vgslam.guards.documents import DocumentError, decoded, parse_json
from vgslam.guards.paths import open_plain

FORMAT = "vgslam map"
VERSION = 8
"""1: one session, without names. 2: sessions. 3: codes of places. 4: which components are metric and upright.
5: frames with a rotation only, and the radial distortion that was taken out of a camera's images.
6: the calibration of a session's images as they were recorded. 7: the names of the keyframes' files. 8: how much the
images of a camera were enlarged."""
MANIFEST = "manifest.json"
LOCK = ".lock"
STATE_NAME = re.compile(r"state-[0-9a-zA-Z-]+\.safetensors")
"""Names of state files: of nothing that lies elsewhere, and nothing else in the folder."""
MOST_BYTES = 4 * 2**20  # longest manifest: that of ten thousand sessions


@dataclass(frozen=True)
class Manifest:
    """The contents of a map folder's manifest."""

    generation: int  # counts the saves
    program: str
    saved_at: str
    state: str  # name of the file with the arrays
    state_sha256: str  # SHA-256 of that file
    state_size: int  # size of that file in bytes
    version: int = VERSION
    session_names: list[str] = field(default_factory=list)  # one for each entry of the array `session_first_frame`
    session_began: list[str] = field(default_factory=list)  # one for each entry of the array `session_first_frame`
    summary: dict[str, int] = field(default_factory=dict)  # counts for people

    def check(self) -> None:
        """Raises ValueError for a value of another type than its field's, and a state file outside the folder."""
        if not all(isinstance(n, int) and n >= 0 for n in (self.generation, self.state_size)):
            raise ValueError("generation and state_size must be whole numbers")
        texts = (self.program, self.saved_at, self.state, self.state_sha256)
        lists = (self.session_names, self.session_began)
        if not all(isinstance(v, list) for v in lists) or not isinstance(self.summary, dict):
            raise ValueError("session_names and session_began must be lists, summary a mapping")
        if not all(isinstance(text, str) for text in (*texts, *self.session_names, *self.session_began)):
            raise ValueError("a text is missing")
        if not STATE_NAME.fullmatch(self.state):
            raise ValueError(f"names a state outside the map ({self.state[:80]!r})")

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
        with open_plain(path) as file:
            data = parse_json(decoded(file.read(MOST_BYTES + 1), MOST_BYTES))
    except FileNotFoundError:
        if (folder / LOCK).exists() and not any(folder.glob("state-*")):
            raise MapError(
                f"{folder}: holds no map yet: the run that was to make it ended before its first save, or has not "
                "saved yet; run it again"
            ) from None
        raise MapError(f"{folder}: is not a vgslam map (it has no {MANIFEST}), or was left in its first save") from None
    except OSError as error:
        raise MapError(f"{path}: cannot be read ({error.strerror or error})") from error
    except DocumentError as error:
        raise MapError(f"{path}: is damaged ({error})") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise MapError(f"{folder}: is not a vgslam map ({MANIFEST} is that of another program)")
    version = data.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise MapError(f"{path}: is damaged (no version)")
    if version > VERSION:
        raise MapError(f"{folder}: is a map of version {version}, this program reads up to {VERSION}; update vgslam")
    checksum = data.pop("checksum", None)
    if checksum != _checksum(data):
        raise MapError(f"{path}: is damaged (its checksum differs)")
    del data["format"]
    try:
        manifest = Manifest(**data)
        manifest.check()
    except (TypeError, ValueError) as error:
        raise MapError(f"{path}: is damaged ({error})") from error
    return manifest
