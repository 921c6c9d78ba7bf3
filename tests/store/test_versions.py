"""Maps of older versions open."""

import shutil
from pathlib import Path

from random_map import assert_same_map, random_map

from vgslam.map.slam_map import Session
from vgslam.store.manifest import VERSION, read_manifest
from vgslam.store.map_folder import MapFolder, check_map
from vgslam.store.open import MIGRATIONS, load_map

V1 = Path(__file__).parent / "data" / "v1.vgslam"


def test_every_older_version_has_a_way_up() -> None:
    assert sorted(MIGRATIONS) == list(range(1, VERSION))


def test_a_map_of_version_1_opens_and_is_saved_as_the_newest(tmp_path: Path) -> None:
    assert read_manifest(V1).version == 1
    assert check_map(V1).problems == []
    expected = random_map(3, seed=1)
    expected.sessions = [Session("first run", "2026-01-01T00:00:00+00:00", 0)]
    m = load_map(V1)
    assert_same_map(m, expected)
    path = Path(shutil.copytree(V1, tmp_path / "m"))
    with MapFolder(path) as folder:
        folder.save(m)
    assert read_manifest(path).version == VERSION
    assert read_manifest(path).generation == 2
    assert_same_map(load_map(path), expected)
