"""Maps that a program of ill will has made: whatever they name, nothing outside their folder is read or written."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from random_map import random_map

from vgslam.errors import MapError, OutputError
from vgslam.map.pictures import describe
from vgslam.store.manifest import MANIFEST, _checksum
from vgslam.store.map_folder import MapFolder, check_map
from vgslam.store.open import load_map


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with MapFolder(tmp_path / "m") as opened:
        opened.save(random_map(3))
    return tmp_path / "m"


def seal(folder: Path, **changes: object) -> None:
    """Other fields of the manifest, with a checksum that is right."""
    body = json.loads((folder / MANIFEST).read_text())
    del body["checksum"]
    body |= changes
    (folder / MANIFEST).write_text(json.dumps({**body, "checksum": _checksum(body)}))


def reseal(folder: Path, **arrays: np.ndarray) -> None:
    """Other arrays, with checksums that are right."""
    state = next(folder.glob("state-*"))
    data = safetensors.numpy.save(safetensors.numpy.load(state.read_bytes()) | arrays)
    state.write_bytes(data)
    seal(folder, state_sha256=describe(state, data).sha256.hex(), state_size=len(data))


def test_a_folder_of_pictures_that_is_a_link_is_not_swept(folder: Path, tmp_path: Path) -> None:
    victim = tmp_path / "home"
    (folder / "pictures").rename(victim)
    (victim / "thesis.pdf").write_text("years of work")
    (folder / "pictures").symlink_to(victim)
    for opened in (load_map, MapFolder):
        with pytest.raises(MapError, match="symbolic link"):
            opened(folder)
    assert "symbolic link" in check_map(folder).problems[0]
    assert (victim / "thesis.pdf").read_text() == "years of work"


def test_a_linked_folder_among_the_pictures_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (folder / "pictures" / "001").symlink_to(tmp_path / "home")
    with pytest.raises(MapError, match="symbolic link"):
        MapFolder(folder)


def test_a_linked_picture_is_refused(folder: Path, tmp_path: Path) -> None:
    picture = next((folder / "pictures").rglob("*image*"))
    picture.rename(tmp_path / "elsewhere")
    picture.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MapError, match="symbolic link"):
        load_map(folder)


def test_a_lock_that_is_a_link_makes_no_file(folder: Path, tmp_path: Path) -> None:
    (folder / ".lock").unlink()
    (folder / ".lock").symlink_to(tmp_path / "made")
    with pytest.raises(MapError, match="symbolic link"):
        MapFolder(folder)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["../victim", "/etc/hostname", "..", "state-1.safetensors/../../victim", "", "victim"])
def test_a_state_elsewhere_is_neither_read_nor_removed(name: str, folder: Path, tmp_path: Path) -> None:
    state = next(folder.glob("state-*"))
    (tmp_path / "victim").write_bytes(state.read_bytes())
    seal(folder, state=name)
    for opened in (load_map, MapFolder):
        with pytest.raises(MapError, match="outside the map"):
            opened(folder)
    assert (tmp_path / "victim").read_bytes() == state.read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"generation": "1"},
        {"state_size": -1},
        {"session_names": "ab"},
        {"summary": []},
        {"version": True},
        {"saved_at": 3},
    ],
)
def test_fields_of_another_type_are_damage(changes: dict[str, object], folder: Path) -> None:
    seal(folder, **changes)
    with pytest.raises(MapError, match="is damaged"):
        load_map(folder)


@pytest.mark.parametrize(
    ("name", "array", "line"),
    [
        ("keyframe_R", np.zeros((3, 9)), "keyframe_R is float64"),
        ("keyframe_R", np.zeros((3, 3, 3), np.int64), "keyframe_R is int64"),
        ("frame_id", np.arange(2), "has . rows and frame_id 2"),
        ("observation_count", np.array([-1, 6, 12]), "a count is negative"),
        ("picture_key", np.full((7, 2), 2**40), "picture_key holds numbers that are no ids"),
        ("frame_T", np.zeros(4), "frame_T is float64"),
    ],
)
def test_arrays_of_another_kind_are_damage(name: str, array: np.ndarray, line: str, folder: Path) -> None:
    reseal(folder, **{name: array})
    with pytest.raises(MapError, match=f"does not make up a map .*{line}"):
        load_map(folder)


def test_a_state_longer_than_it_says_is_not_read_whole(folder: Path) -> None:
    state = next(folder.glob("state-*"))
    with state.open("ab") as file:
        file.truncate(2**40)  # a hole on the disk: a terabyte
    with pytest.raises(MapError, match="is truncated"):
        load_map(folder)


@pytest.mark.parametrize("name", [MANIFEST, "state-*", "pictures/000/*-image-*"])
def test_a_pipe_in_a_map_is_not_waited_for(name: str, folder: Path) -> None:
    file = next(folder.glob(name))
    file.unlink()
    os.mkfifo(file)
    for opened in (load_map, MapFolder):
        if opened is MapFolder and name.startswith("pictures"):
            continue  # reads the state alone
        with pytest.raises(MapError, match=r"is not a file|missing"):
            opened(folder)
    assert check_map(folder).problems


def test_a_map_that_cannot_be_written_to_says_what_can_be_done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("vgslam.store.map_folder.os.open", refused)
    with pytest.raises(OutputError, match=r"is a map that cannot be written to .*; --localize only reads it"):
        MapFolder(folder)
    with pytest.raises(OutputError, match=r"cannot be made .*; choose another place"):
        MapFolder(folder.parent / "new")
