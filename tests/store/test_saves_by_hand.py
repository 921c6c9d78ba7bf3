"""Saves of a map one after another, and whoever reads between them."""

from pathlib import Path

import numpy as np
import pytest
from hand_map import CAMERA, at, hand_map

from vgslam.errors import MapError, OutputError
from vgslam.map.pictures import PictureKind
from vgslam.map.slam_map import SlamMap
from vgslam.store import open as opening
from vgslam.store.manifest import Manifest, read_manifest
from vgslam.store.map_folder import MapFolder, leftovers
from vgslam.store.open import load_map, picture_name, read_state
from vgslam.types import Keyframe


def grown(m: SlamMap) -> SlamMap:
    """One more keyframe."""
    k = len(m.keyframes)
    image = np.full((CAMERA.height, CAMERA.width, 3), k, np.uint8)
    S = m.keyframes[0].S_world_keyframe
    m.add_keyframe(Keyframe(k, 10 * k, float(k), image, CAMERA, S), np.zeros(0, np.int64), np.zeros((0, 2)))
    return m


def test_saves_are_counted_through_all_runs(tmp_path: Path) -> None:
    m = hand_map([at()])
    with MapFolder(tmp_path / "m") as folder:
        assert [folder.save(m).generation, folder.save(grown(m)).generation] == [1, 2]
        assert len(list(folder.path.glob("state-*"))) == 1, "what only older saves needed is gone"
    with MapFolder(tmp_path / "m") as folder:
        assert folder.save(grown(m)).generation == 3
    assert read_manifest(tmp_path / "m").generation == 3


def test_a_map_that_is_saved_while_it_is_read_is_the_newer_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state that the first manifest names has gone by the time it is opened."""
    m = hand_map([at()])
    with MapFolder(tmp_path / "m") as folder:
        old = folder.save(m)
        folder.save(grown(m))
        newest = read_manifest(tmp_path / "m")
        answers: list[Manifest] = [old, newest, newest]
        monkeypatch.setattr(opening, "read_manifest", lambda path: answers.pop(0))
        found, arrays = read_state(tmp_path / "m")
    assert (found.generation, len(answers)) == (2, 1)
    assert len(arrays["picture_key"]) == 2


def test_a_keyframe_without_its_image_is_a_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with MapFolder(tmp_path / "m") as folder:
        folder.save(grown(hand_map([at()])))
    every = opening.referred_pictures
    monkeypatch.setattr(opening, "referred_pictures", lambda *given: every(*given)[:1])
    with pytest.raises(MapError, match="keyframe 1 has no image"):
        load_map(tmp_path / "m")


def test_a_damage_that_stays_is_told_and_not_tried_for_ever(tmp_path: Path) -> None:
    with MapFolder(tmp_path / "m") as folder:
        name = folder.save(hand_map([at()])).state
    (tmp_path / "m" / name).unlink()
    with pytest.raises(MapError, match="cannot be read"):
        read_state(tmp_path / "m")


def test_a_folder_that_was_closed_saves_no_more_and_others_may(tmp_path: Path) -> None:
    m = hand_map([at()])
    folder = MapFolder(tmp_path / "m")
    with pytest.raises(MapError, match="another run is writing"):
        MapFolder(tmp_path / "m")
    folder.save(m)
    folder.close()
    with pytest.raises(ValueError, match="closed"):
        folder.save(m)
    with MapFolder(tmp_path / "m") as other:
        other.save(m)


def test_what_a_killed_save_left_is_all_that_is_left_over(tmp_path: Path) -> None:
    with MapFolder(tmp_path / "m") as folder:
        folder.save(hand_map([at()]))
        referred = {str(p) for p in (tmp_path / "m").rglob("*") if p.is_file() and p.name not in (".lock",)}
    assert leftovers(tmp_path / "m", referred) == []
    left = [tmp_path / "m" / "state-000009-ab.safetensors", tmp_path / "m" / ".manifest.json.x1",
            tmp_path / "m" / "pictures" / "000" / "000009-image-ab.png"]  # fmt: skip
    for path in left:
        path.write_bytes(b"x")
    (tmp_path / "m" / "notes.txt").write_text("mine")
    assert sorted(leftovers(tmp_path / "m", referred)) == sorted(left)
    MapFolder(tmp_path / "m").close()
    assert not any(path.exists() for path in left)
    assert (tmp_path / "m" / "notes.txt").exists()
    assert len(load_map(tmp_path / "m").keyframes) == 1


def test_a_save_that_fails_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    m = hand_map([at()])
    with MapFolder(tmp_path / "m") as folder:
        folder.save(m)

        def fail(*_: object) -> None:
            raise OutputError("full")

        with monkeypatch.context() as patch:
            patch.setattr("vgslam.store.map_folder.write_text", fail)
            with pytest.raises(OutputError, match="full"):
                folder.save(grown(m))
        assert len(load_map(tmp_path / "m").keyframes) == 1
        assert folder.save(m).generation == 2
    assert len(load_map(tmp_path / "m").keyframes) == 2


def test_pictures_lie_in_folders_of_a_thousand_keyframes() -> None:
    digest = bytes(range(32))
    assert picture_name(999, PictureKind.IMAGE, digest) == "000/000999-image-0001020304050607.png"
    assert picture_name(12000, PictureKind.DEPTH, digest) == "012/012000-depth-0001020304050607.tiff"


def test_pictures_that_were_saved_are_those_in_the_folder_from_then_on(tmp_path: Path) -> None:
    """They are not encoded again by the next save."""
    m = hand_map([at()])
    with MapFolder(tmp_path / "m") as folder:
        folder.save(m)
        file = m.pictures.file((0, PictureKind.IMAGE))
        assert file is not None
        assert file.path.is_relative_to(folder.path)
