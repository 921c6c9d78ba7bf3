"""Verifies everything in a saved map."""

from dataclasses import dataclass, field
from pathlib import Path

from vgslam.errors import MapError
from vgslam.store.map_folder import leftovers
from vgslam.store.open import load_map, read_state, referred_pictures, refuse_links


@dataclass(frozen=True)
class MapCheck:
    """The result of checking a saved map."""

    n_pictures: int = 0
    n_bytes: int = 0
    n_leftovers: int = 0
    """Files that a killed save left behind; they do no harm and go with the next save."""
    problems: list[str] = field(default_factory=list)
    """One line each; none if the map is sound."""


def check_map(path: Path) -> MapCheck:
    """Read every file of a map and verify its checksum and that it holds what it should."""
    path = path.resolve()
    problems: list[str] = []
    try:
        refuse_links(path)
        manifest, arrays = read_state(path)
        files = [file for _, file in referred_pictures(path, arrays)]
    except (MapError, KeyError, ValueError, IndexError) as error:
        return MapCheck(problems=[str(error)])
    for file in files:
        try:
            file.read()
        except MapError as error:
            problems.append(str(error))
    if not problems:
        try:
            load_map(path, budget_bytes=0)
        except MapError as error:
            problems.append(str(error))
    referred = {str(f.path) for f in files} | {str(path / manifest.state)}
    n_bytes = manifest.state_size + sum(f.size for f in files)
    return MapCheck(len(files), n_bytes, len(leftovers(path, referred)), problems)
