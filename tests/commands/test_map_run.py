"""`vgslam run --map`: a map begun, continued, and left alone when it is only localized in."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from vgslam.store.map_folder import check_map
from vgslam.store.open import load_map

FEW = ("--max-frames", 24)


@pytest.fixture(scope="module")
def mapped(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map of the first frames, made by the program; do not write into it."""
    from vgslam.cli import main

    folder = tmp_path_factory.mktemp("mapped")
    words = ["run", demo_folder, "--out", folder / "out", "--quiet", "--map", folder / "m.vgslam", *FEW]
    assert main([str(w) for w in words]) == 0
    return folder / "m.vgslam"


def digests(path: Path) -> dict[str, str]:
    files = [p for p in path.rglob("*") if p.is_file()]
    return {str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_a_run_leaves_a_sound_map_with_its_poses(mapped: Path) -> None:
    assert check_map(mapped).problems == []
    m = load_map(mapped)
    assert len(m.sessions) == 1
    assert [f.frame_id for f in m.frames] == list(range(24))
    written = np.loadtxt(mapped.parent / "out" / "trajectory.tum")
    np.testing.assert_allclose(m.trajectory().T_world_cam[:, :3, 3], written[:, 1:4], rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(m.trajectory().timestamps_s, written[:, 0], atol=1e-9)


def test_localizing_poses_the_frames_and_does_not_touch_the_map(mapped: Path, demo_folder: Path, vgslam) -> None:
    before = digests(mapped)
    code, _, _ = vgslam.run(demo_folder, "--map", mapped, "--localize", "--start", 10, "--max-frames", 8)
    assert code == 0
    assert digests(mapped) == before
    report = vgslam.report()
    assert report["n_poses"] == report["n_frames"] == 8
    assert report["n_keyframes"] == 0
    assert report["map"]["is_localizing"] is True
    m = load_map(mapped)
    there = m.trajectory().T_world_cam[10:18, :3, 3]
    found = np.loadtxt(vgslam.out / "trajectory.tum")[:, 1:4]
    size = np.ptp(m.trajectory().T_world_cam[:, :3, 3], axis=0).max()
    assert np.abs(found - there).max() < 0.05 * size


def test_a_map_is_continued(mapped: Path, demo_folder: Path, vgslam, tmp_path: Path) -> None:
    path = Path(shutil.copytree(mapped, tmp_path / "m.vgslam"))
    before = load_map(mapped)
    code, _, _ = vgslam.run(demo_folder, "--map", path, "--start", 18, "--max-frames", 18)
    assert code == 0
    m = load_map(path)
    assert check_map(path).problems == []
    assert [s.first_frame_id for s in m.sessions] == [0, 24]
    assert [f.frame_id for f in m.session_frames()] == list(range(24, 42))
    assert len({k.component_id for k in m.keyframes}) == 1
    assert len(m.keyframes) > len(before.keyframes)
    assert len(m.trajectory(0)) == len(before.trajectory())
    rows = (vgslam.out / "status.csv").read_text().splitlines()[1:]
    assert [int(r.split(",")[0]) for r in rows] == list(range(18))
    report = vgslam.report()
    assert report["n_frames"] == 18
    assert report["map"]["n_keyframes"] == len(m.keyframes) == report["n_keyframes"] + len(before.keyframes)
    assert report["evaluation"]["headline"]["ate_sim3_m"]["rmse"] < 0.02


def test_little_memory_gives_the_same_poses(mapped: Path, demo_folder: Path, vgslam) -> None:
    code, _, _ = vgslam.run(demo_folder, "--memory", "300kB", *FEW)
    assert code == 0
    written = (mapped.parent / "out" / "trajectory.tum").read_text()
    assert (vgslam.out / "trajectory.tum").read_text() == written


def test_options_that_do_not_fit(mapped: Path, demo_folder: Path, vgslam, tmp_path: Path) -> None:
    for words, code, message in (
        (("--localize",), 2, "add --map"),
        (("--localize", "--map", tmp_path / "absent"), 9, "no such map"),
        (("--localize", "--map", mapped, "--save-depth", "png"), 2, "--localize makes none"),
        (("--map", demo_folder), 9, "not a vgslam map"),
        (("--memory", "much"), 2, "not an amount of memory"),
    ):
        got, _, err = vgslam.run(demo_folder, "--overwrite", *words)
        assert (got, message in err, len(err.splitlines())) == (code, True, 1), err


def test_another_camera_is_refused(mapped: Path, sequence: Path, vgslam, tmp_path: Path) -> None:
    path = Path(shutil.copytree(mapped, tmp_path / "m.vgslam"))
    calibration = json.loads((sequence / "calib.json").read_text())
    changed = {k: v * 1.3 if k in ("fx", "fy") else v for k, v in calibration.items()}
    assert changed != calibration
    (sequence / "calib.json").write_text(json.dumps(changed))
    code, _, err = vgslam.run(sequence, "--map", path)
    assert code == 2
    assert "was made with a camera" in err
    assert digests(path).keys() == digests(mapped).keys()
