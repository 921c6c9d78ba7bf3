"""Exports keep the names of the source's files, of maps that were saved and opened again too."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from random_map import assert_same_map, random_map

from vgslam.errors import MapError
from vgslam.map.slam_map import SlamMap
from vgslam.session.main_loop import MainLoop
from vgslam.session.map_session import MapSession
from vgslam.slam import Slam
from vgslam.sources import open_source
from vgslam.store.arrays import SessionNames, fill, to_arrays
from vgslam.store.exports.colmap import export_colmap
from vgslam.store.exports.component import Component
from vgslam.store.exports.images import image_names
from vgslam.store.exports.nerfstudio import export_nerfstudio
from vgslam.store.manifest import VERSION, read_manifest
from vgslam.store.map_folder import MapFolder
from vgslam.store.merge import put_beside
from vgslam.store.open import load_map, migrate
from vgslam.types import Camera

OLD = Path(__file__).parent / "data" / "v1.vgslam"


def named_map(names: dict[int, str]) -> SlamMap:
    """Three keyframes, of the frames 0, 2 and 4."""
    m = random_map(3, seed=1)
    m.image_names = dict(names)
    return m


NAMES = {0: "1403636579763555584.png", 2: "café 2.jpg", 4: "c.d.jpeg"}
STEMS = ["1403636579763555584.png", "café_2.png", "c.d.png"]


def saved(m: SlamMap, path: Path) -> SlamMap:
    with MapFolder(path) as folder:
        folder.save(m)
    return load_map(path)


def test_a_reopened_map_exports_the_names_of_its_source(tmp_path: Path) -> None:
    m = named_map(NAMES | {1: "of no keyframe.png"})
    again = saved(m, tmp_path / "m")
    assert again.image_names == NAMES
    assert_same_map(again, m)
    export_colmap(Component.of(again), tmp_path / "colmap", is_text=True)
    lines = (tmp_path / "colmap" / "sparse" / "0" / "images.txt").read_text().splitlines()
    assert [line.split()[-1] for line in lines if line.endswith(".png")] == STEMS
    assert sorted(p.name for p in (tmp_path / "colmap" / "images").iterdir()) == sorted(STEMS)
    export_nerfstudio(Component.of(again), tmp_path / "nerf")
    frames = json.loads((tmp_path / "nerf" / "transforms.json").read_text())["frames"]
    assert [frame["file_path"] for frame in frames] == [f"images/{stem}" for stem in STEMS]
    rows = (tmp_path / "nerf" / "images.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == STEMS


@pytest.mark.parametrize(
    "names",
    [
        {},
        {0: "a.png", 2: "b.png"},  # one has none
        {0: "a.png", 2: "A.jpg", 4: "c.png"},  # two would be one file
        {0: "a.png", 2: "...", 4: "c.png"},  # nothing is left of it
    ],
)
def test_frames_without_names_of_their_own_are_numbered(names: dict[int, str]) -> None:
    assert list(image_names(Component.of(named_map(names))).values()) == [
        "frame_000000.png", "frame_000002.png", "frame_000004.png"
    ]  # fmt: skip


def test_names_stay_in_their_folder() -> None:
    m = named_map({0: "../../etc/passwd", 2: "a\nb,c\0.png", 4: ".hidden"})
    assert list(image_names(Component.of(m)).values()) == ["passwd.png", "a_b_c_.png", "hidden.png"]


def test_maps_side_by_side_keep_their_names_apart() -> None:
    m, other = named_map(NAMES), named_map({0: "x.png", 2: "y.png", 4: "z.png"})
    put_beside(m, other)
    first, second = (list(image_names(Component.of(m, c)).values()) for c in (0, 1))
    assert first == [f"session_00_{stem}" for stem in STEMS]
    assert second == ["session_01_x.png", "session_01_y.png", "session_01_z.png"]


def test_a_map_of_an_older_version_has_no_names() -> None:
    assert load_map(OLD).image_names == {}
    manifest = read_manifest(OLD)
    arrays = {name: a for name, a in to_arrays(random_map(2)).items() if not name.startswith("keyframe_name")}
    newest, arrays = migrate(type(manifest)(**{**vars(manifest), "version": 6}), arrays)
    m = SlamMap()
    fill(m, {**arrays, "picture_key": np.zeros((0, 2))}, SessionNames(["walk 0"], ["2026"]))
    assert (newest.version, m.image_names) == (VERSION, {})


@pytest.mark.parametrize("ends", [[1, 2], [5, 3, 9], [3, 6, 8], [3, 6, 10]])
def test_names_that_do_not_fit_are_refused(ends: list[int]) -> None:
    arrays = to_arrays(named_map({0: "abc", 2: "def", 4: "ghi"}))
    assert arrays["keyframe_name_end"].tolist() == [3, 6, 9]
    with pytest.raises(ValueError, match="names and keyframes do not agree"):
        fill(SlamMap(), arrays | {"keyframe_name_end": np.array(ends)}, SessionNames(["w"], ["2026"]))


def test_a_run_notes_the_names_of_files_under_their_ids_in_the_map(tmp_path: Path) -> None:
    for name in ("b2.png", "b10.png"):
        assert cv2.imwrite(str(tmp_path / name), np.zeros((48, 64, 3), np.uint8))
    m = random_map(1)  # whose frames are 0 and 1
    slam = Slam(Camera.from_fov(64, 48, 60.0), slam_map=m)
    loop = MainLoop(open_source(tmp_path), slam, MapSession.in_memory(m))
    assert len(list(loop.run())) == 2
    assert m.image_names == {2: "b2.png", 3: "b10.png"}


def test_a_damaged_name_is_a_damaged_map(tmp_path: Path) -> None:
    m = named_map(NAMES)
    saved(m, tmp_path / "m")
    state = next((tmp_path / "m").glob("state-*"))
    data = bytearray(state.read_bytes())
    at = data.index(b"1403636579763555584")
    data[at] ^= 1
    state.write_bytes(bytes(data))
    with pytest.raises(MapError, match="checksum differs"):
        load_map(tmp_path / "m")
