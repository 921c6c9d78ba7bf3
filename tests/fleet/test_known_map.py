"""Which map recordings are localized in."""

from pathlib import Path

import pytest
from random_map import random_map

from vgslam.commands.fleet_options import MAP, RESULTS, known_map
from vgslam.errors import MapError
from vgslam.store.map_folder import MapFolder


def saved(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    with MapFolder(path) as folder:
        folder.save(random_map(1))
    return path


def test_of_the_folder_of_a_fleet_the_only_map_is_taken_and_of_several_none(tmp_path: Path) -> None:
    one = saved(tmp_path / RESULTS / "a" / MAP)
    assert known_map(str(tmp_path))[0] == str(one)
    two = saved(tmp_path / RESULTS / "b" / MAP)
    with pytest.raises(MapError, match="holds 2 maps; name one"):
        known_map(str(tmp_path))
    assert known_map(str(two))[0] == str(two)
