"""Runs with and without a network side by side, with a program that stands in for `vgslam run`."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.roles import BenchRolesArgs, run_bench_roles
from vgslam.errors import ConfigError
from vgslam.sources.trajectory_io import write_trajectory
from vgslam.types import Trajectory

N = 24
STAND_IN = '''
import sys
from pathlib import Path
import numpy as np
from vgslam.results.report import RunReport
from vgslam.results.run_folder import RunWriter
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.types import PoseEstimate, Status, Trajectory

sequence, words = Path(sys.argv[1]), sys.argv[2:]
start, out = int(words[words.index("--start") + 1]), words[words.index("--out") + 1]
is_asked = words[words.index("--network") + 1] == "vggt" and start > 0
truth = read_trajectory(sequence / "groundtruth.txt")
T = truth.T_world_cam[start:].copy()
T[::2, 1, 3] += 0.03 if is_asked else 0.02
report = RunReport(n_frames=len(T), n_poses=len(T), n_components=1)
if "vggt" in words:
    report.network = {"n_asked": 5 * is_asked, "n_believed": 2 * is_asked}
report.finish(None)
ids, times = np.arange(len(T)), truth.timestamps_s[start:]
trajectory = Trajectory(times, T, ids)
frames = [PoseEstimate(int(i), float(t), Status.TRACKED, 0, np.eye(4)) for i, t in zip(ids, times)]
RunWriter(out, overwrite=True).flush(trajectory, trajectory, frames, report)
'''


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    folder = tmp_path / "s"
    (folder / "images").mkdir(parents=True)
    for i in range(N):
        cv2.imwrite(str(folder / "images" / f"{i:03d}.png"), np.full((8, 8, 3), i, np.uint8))
    angle = 2 * np.pi * np.arange(N) / N
    T = np.tile(np.eye(4), (N, 1, 1))
    T[:, 0, 3], T[:, 2, 3] = np.cos(angle), np.sin(angle)
    (folder / "times.txt").write_text("".join(f"{0.1 * i:.6f}\n" for i in range(N)))
    (folder / "calib.json").write_text("{}")
    write_trajectory(folder / "groundtruth.txt", Trajectory(0.1 * np.arange(N), T))
    return folder


def test_each_start_is_run_twice_and_compared(sequence: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    args = BenchRolesArgs((sequence,), (0, 3), reference="groundtruth.txt", out=tmp_path / "out")
    assert run_bench_roles(args, (sys.executable, str(tmp_path / "stand_in.py"))) == 0
    same, other = json.loads((tmp_path / "out" / "roles.json").read_text())["pairs"]
    assert (same["start"], same["is_same"], same["said"]["n_asked"]) == (0, True, 0)
    assert (other["start"], other["is_same"], other["said"]) == (3, False, {"n_asked": 5, "n_believed": 2})
    assert other["asked"]["ate_m"] / other["alone"]["ate_m"] == pytest.approx(1.5, rel=0.02)
    page = (tmp_path / "out" / "roles.md").read_text()
    assert "1 of 2 trajectories are the same to the last bit." in page
    assert "ATE, with / without: median 1.25" in page
    assert "worst 1.5" in page
    assert "Coverage is lower with the network in 0 of 2." in page
    assert "| 5 (2) | another |" in page
    assert "| 0 (0) | the same |" in capsys.readouterr().out


def test_none_is_not_compared_with_itself(sequence: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name a network"):
        run_bench_roles(BenchRolesArgs((sequence,), network="none", out=tmp_path / "out"))
    with pytest.raises(ConfigError, match="at least one sequence"):
        run_bench_roles(BenchRolesArgs((), out=tmp_path / "out"))
