"""`vgslam map`: what it says of maps, sound and damaged, and what it makes of them."""

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from random_map import add_random_keyframe, random_map

from vgslam.sources.trajectory_io import read_trajectory
from vgslam.store.manifest import VERSION
from vgslam.store.map_folder import MapFolder
from vgslam.store.merge import shared_session
from vgslam.store.open import load_map


def saved(path: Path, seed: int = 0, n: int = 7) -> Path:
    with MapFolder(path) as folder:
        folder.save(random_map(n, seed))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return saved(tmp_path / "m.vgslam")


def test_info(path: Path, vgslam) -> None:
    code, out, _ = vgslam("map", "info", path)
    assert code == 0
    assert "7 keyframes, 35 landmarks (21 triangulated)" in out
    assert "0 (5 keyframes), 1 (2 keyframes)" in out
    assert "walk 0" in out
    code, out, _ = vgslam("map", "info", path, "--json")
    data = json.loads(out)
    assert code == 0
    assert (data["n_keyframes"], data["n_landmarks"], data["n_frames"], data["version"]) == (7, 35, 14, VERSION)
    assert data["statuses"] == {"TRACKED": 7, "LOST": 7}
    assert sum(data["edges"].values()) == 5
    assert data["sessions"] == [{
        "name": "walk 0", "began": "2026-01-02T03:04:05", "first_frame_id": 0, "n_frames": 14, "n_poses": 7,
        "n_keyframes": 7,
    }]  # fmt: skip


def test_info_of_an_empty_map(tmp_path: Path, vgslam) -> None:
    code, out, _ = vgslam("map", "info", saved(tmp_path / "e", n=0))
    assert code == 0
    assert "components: none" in out


def test_check(path: Path, vgslam) -> None:
    code, out, _ = vgslam("map", "check", path)
    assert (code, out.count("\n")) == (0, 1)
    assert "sound, 15 pictures" in out
    file = next(path.rglob("000002-image*"))
    file.write_bytes(file.read_bytes()[:-3])
    code, out, _ = vgslam("map", "check", path)
    assert code == 9
    assert file.name in out
    code, out, _ = vgslam("map", "check", path, "--json")
    assert code == 9
    data = json.loads(out)
    assert (data["is_sound"], len(data["problems"])) == (False, 1)


@pytest.mark.parametrize("action", ["info", "export"])
def test_what_is_no_map_is_said_in_one_line(action: str, tmp_path: Path, vgslam) -> None:
    more = ("--format", "tum", "-o", tmp_path / "t") if action == "export" else ()
    code, _, err = vgslam("map", action, tmp_path, *more)
    assert (code, len(err.splitlines())) == (9, 1)
    assert "not a vgslam map" in err


def test_merge(path: Path, tmp_path: Path, vgslam) -> None:
    other, out = saved(tmp_path / "b", seed=1, n=3), tmp_path / "c"
    code, text, _ = vgslam("map", "merge", path, other, "-o", out)
    assert code == 0
    assert "10 keyframes, 3 component(s), 0 joined" in text
    m = load_map(out)
    np.testing.assert_array_equal(m.trajectory(1).T_world_cam, random_map(3, 1).trajectory().T_world_cam)
    code, _, err = vgslam("map", "merge", path, other, "-o", out)
    assert code == 3
    assert "a map already" in err


def test_a_map_is_not_merged_with_itself(path: Path, tmp_path: Path, vgslam) -> None:
    """Nor with a copy, one that a later run went into, or one of its own name."""
    copy, grown, empty, out = tmp_path / "copy", tmp_path / "grown", saved(tmp_path / "e", n=0), tmp_path / "c"
    shutil.copytree(path, copy)
    with MapFolder(grown) as folder:
        m = random_map(9)
        m.begin_session("later", "2026-02-02T03:04:05")
        add_random_keyframe(m, np.random.default_rng(1))
        folder.save(m)
    same = ((path, path, "walk 0"), (path, copy, "walk 0"), (grown, grown, "walk 0"), (empty, empty, "same map"))
    for a, b, said in same:
        code, _, err = vgslam("map", "merge", a, b, "-o", out)
        assert (code, len(err.splitlines())) == (2, 1)
        assert said in err
        assert not out.exists()
    assert vgslam("map", "merge", path, empty, "-o", out)[0] == 0
    assert shared_session(random_map(3), random_map(3, 1)) is None
    twin = random_map(3, 1)
    twin.sessions = random_map(3).sessions
    assert shared_session(random_map(3), twin) is None, "the same name and second, and other frames"


def test_export(path: Path, tmp_path: Path, vgslam) -> None:
    out = tmp_path / "poses.txt"
    code, text, _ = vgslam("map", "export", path, "--format", "tum", "-o", out)
    assert code == 0
    assert "5 poses" in text
    assert "one of 2 components" in text
    np.testing.assert_allclose(
        read_trajectory(out).T_world_cam, random_map(7).trajectory().T_world_cam[:5], atol=1e-9
    )
    code, _, err = vgslam("map", "export", path, "--format", "tum", "-o", out)
    assert code == 3
    assert "--overwrite" in err
    code, _, _ = vgslam("map", "export", path, "--format", "kitti", "-o", out, "--overwrite", "--component", 1)
    assert code == 0
    assert len(read_trajectory(out, "kitti")) == 2


@pytest.mark.parametrize(("name", "file"), [
    ("ply", ""), ("gltf", ""), ("colmap", "sparse/0/images.bin"), ("colmap-text", "sparse/0/images.txt"),
    ("nerfstudio", "transforms.json"), ("depth-png", "depth/depth.json"), ("depth-exr", "depth/depth.json"),
])  # fmt: skip
def test_every_format_is_written(path: Path, tmp_path: Path, vgslam, name: str, file: str) -> None:
    code, _, err = vgslam("map", "export", path, "--format", name, "-o", tmp_path / "x")
    assert code == 0, err
    assert (tmp_path / "x" / file).stat().st_size > 100


def test_an_ending_that_the_format_does_not_have(path: Path, tmp_path: Path, vgslam) -> None:
    code, _, err = vgslam("map", "export", path, "--format", "ply", "-o", tmp_path / "x.glb")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "writes .ply, not .glb" in err
    assert not (tmp_path / "x.glb").exists()


def test_faces_are_those_of_a_mesh(path: Path, tmp_path: Path, vgslam) -> None:
    code, _, err = vgslam("map", "export", path, "--format", "ply", "-o", tmp_path / "x.ply", "--max-faces", 9)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "--max-faces is for --format mesh" in err


@pytest.mark.parametrize("name", ["colmap", "nerfstudio"])
def test_an_export_that_does_not_fit_is_called_unfinished(
    name: str, path: Path, tmp_path: Path, vgslam, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("vgslam.atomic.os.fsync", no_space)
    code, _, err = vgslam("map", "export", path, "--format", name, "-o", tmp_path / "x")
    assert (code, len(err.splitlines())) == (3, 1)
    assert f"No space left on device); choose another place; {tmp_path / 'x'} is not complete, remove it" in err


def test_an_export_into_a_folder_that_cannot_be_made(path: Path, tmp_path: Path, vgslam) -> None:
    (tmp_path / "file").touch()
    code, _, err = vgslam("map", "export", path, "--format", "colmap", "-o", tmp_path / "file" / "x")
    assert (code, len(err.splitlines())) == (3, 1)
    assert "cannot be made" in err


def test_refining_a_map_that_is_not_there_makes_no_folder(vgslam, tmp_path: Path) -> None:
    code, _, err = vgslam("map", "refine", tmp_path / "missing")
    assert code != 0
    assert "no such map" in err
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("name", ["colmap", "colmap-text", "nerfstudio", "depth-npz"])
def test_a_folder_is_not_called_as_a_file(name: str, path: Path, tmp_path: Path, vgslam) -> None:
    code, _, err = vgslam("map", "export", path, "--format", name, "-o", tmp_path / "x.json")
    assert code == 2
    assert "writes a folder; give a name without .json" in err
    assert vgslam("map", "export", path, "--format", name, "-o", tmp_path / "room.v1")[0] == 0


def test_sessions_are_those_of_trajectories(path: Path, tmp_path: Path, vgslam) -> None:
    code, _, err = vgslam("map", "export", path, "--format", "ply", "-o", tmp_path / "x.ply", "--session", 0)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "--session is for --format tum and kitti" in err


def test_an_export_replaces_one_of_another_format(path: Path, tmp_path: Path, vgslam) -> None:
    """COLMAP's programs read a binary model where there is one: that of before."""
    for name in ("colmap", "colmap-text"):
        assert vgslam("map", "export", path, "--format", name, "-o", tmp_path / "x", "--overwrite")[0] == 0
    model = tmp_path / "x" / "sparse" / "0"
    assert sorted(p.name for p in model.iterdir()) == ["cameras.txt", "images.txt", "points3D.txt"]
    words = ("map", "export", path, "--format", "colmap", "-o", tmp_path / "x", "--overwrite", "--component", 9)
    assert vgslam(*words)[0] == 2
    assert (model / "images.txt").exists()
    code, _, err = vgslam("map", "export", path, "--format", "colmap", "-o", path, "--overwrite")
    assert (code, len(err.splitlines())) == (3, 1)
    assert "is a map" in err
