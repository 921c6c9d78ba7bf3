"""After a power cut a saved map is there: data reach the disk before their names, and names before what needs them."""

import os
from pathlib import Path

import pytest
from random_map import random_map

from vgslam.atomic import write_bytes
from vgslam.store.manifest import MANIFEST
from vgslam.store.map_folder import PICTURES, MapFolder


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What reaches the disk, in order: ('sync', path of a file or folder) and ('rename', new path)."""
    done: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def noting_fsync(handle: int) -> None:
        fsync(handle)
        done.append(("sync", os.readlink(f"/proc/self/fd/{handle}")))

    def noting_replace(a: str | Path, b: str | Path) -> None:
        replace(a, b)
        done.append(("rename", str(b)))
        done.append(("was", str(a)))

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "replace", noting_replace)
    return done


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to see which file is meant")


@needs_proc
def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, steps: list[tuple[str, str]]) -> None:
    write_bytes(tmp_path / "a", b"1")
    (sync, synced), rename, (_, temporary) = steps
    assert (sync, synced) == ("sync", temporary)
    assert rename == ("rename", str(tmp_path / "a"))


@needs_proc
def test_names_are_on_the_disk_before_the_manifest_that_needs_them(
    tmp_path: Path, steps: list[tuple[str, str]]
) -> None:
    """First all pictures and the state, then their folders, then the manifest, then the folder with its name."""
    path = tmp_path / "m.vgslam"
    with MapFolder(path) as folder:
        folder.save(random_map(3))
    renamed = [i for i, (what, _) in enumerate(steps) if what == "rename"]
    manifest = steps.index(("rename", str(path / MANIFEST)))
    assert manifest == renamed[-1]
    others = {Path(steps[i][1]) for i in renamed[:-1]}
    assert len(others) > 2, "pictures, and the state"
    last_of_others = renamed[-2]
    for parent in {file.parent for file in others} | {path / PICTURES}:
        assert ("sync", str(parent)) in steps[last_of_others:manifest], parent
    assert ("sync", str(path)) in steps[manifest:]
