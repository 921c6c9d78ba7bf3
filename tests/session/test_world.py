"""`vgslam run --scale-from`: results in metres, maps that stay so, and honest failures."""

import json
from pathlib import Path

import numpy as np
import pytest

from vgslam.results.run_folder import TRAJECTORY_TUM
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.store.open import load_map

NO_NETWORK = ("--network", "none")


def length_m(sequence: Path, a: int, b: int) -> float:
    truth = read_trajectory(sequence / "groundtruth.txt")
    return float(np.linalg.norm(truth.T_world_cam[a, :3, 3] - truth.T_world_cam[b, :3, 3]))


def test_a_run_is_scaled_and_levelled_and_its_map_goes_on_in_metres(sequence: Path, vgslam, tmp_path: Path) -> None:
    path = tmp_path / "m.map"
    words = ("--scale-from", f"frames:0,20={length_m(sequence, 0, 20)}", "--gravity", "upright")
    code, out, _ = vgslam.run(sequence, *NO_NETWORK, "--max-frames", 25, "--map", path, *words)
    assert code == 0
    assert "scale from a length between frames" in out
    assert "z is up" in out
    report = vgslam.report()
    [world] = report["world"]
    assert world["is_metric"]
    assert world["is_upright"]
    assert report["evaluation"]["headline"]["scale"] == pytest.approx(1.0, abs=0.05)
    assert "# lengths are metres" in (vgslam.out / TRAJECTORY_TUM).read_text()
    before = load_map(path)
    assert before.world_of(0).is_metric
    words = ("--out", tmp_path / "again", "--quiet", *NO_NETWORK, "--start", 5, "--map", path)
    assert vgslam("run", sequence, *words)[0] == 0
    again = json.loads((tmp_path / "again" / "report.json").read_text())
    assert again["evaluation"]["headline"]["scale"] == pytest.approx(1.0, abs=0.05)
    after = load_map(path)
    assert after.world_of(0) == before.world_of(0)
    assert after.trajectory().is_metric
    up = after.trajectory().T_world_cam[:, :3, 1].mean(axis=0)
    assert up[2] < -0.9  # cameras' y points down


def test_what_cannot_be_scaled_is_said_once_and_the_results_stay(sequence: Path, vgslam) -> None:
    words = ("--scale-from", "aruco:4X4_50:0.1")
    code, out, err = vgslam.run(sequence, *NO_NETWORK, "--max-frames", 25, *words)
    assert code == 2
    assert err.count("no marker of 4X4_50") == 1
    assert "results:" in out
    report = vgslam.report()
    assert "no marker" in report["world_failure"]
    assert report["complete"]
    assert len(read_trajectory(vgslam.out / TRAJECTORY_TUM)) == report["n_poses"]
    assert "metres" not in (vgslam.out / TRAJECTORY_TUM).read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scale-from", "tape"), "not understood"), (("--scale-from", "depth"), "no depth image"),
        (("--scale-from", "positions:nowhere.csv"), "cannot be read"),
        (("--gravity", "positions"), "needs --scale-from"),
        (("--scale-from", "frames:0,1=1", "--metric"), "give one of them"),
        (("--scale-from", "frames:0,1=1", "--localize", "--map", "x"), "vgslam map scale"),
    ],
)  # fmt: skip
def test_mistakes_are_found_before_the_run(sequence: Path, vgslam, words: tuple[str, ...], said: str) -> None:
    code, _, err = vgslam.run(sequence, *NO_NETWORK, *words)
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not (vgslam.out / TRAJECTORY_TUM).exists()
