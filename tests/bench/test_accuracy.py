"""Accuracy from several starts, with a program that stands in for `vgslam run` and whose errors are known."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.accuracy import BenchAccuracyArgs, run_bench_accuracy, true_fov_deg, without_calibration
from bench.accuracy_table import AccuracyRun, Summary, summary
from vgslam.errors import ConfigError, InputError
from vgslam.sources.trajectory_io import write_trajectory
from vgslam.types import Trajectory

N = 24
STAND_IN = '''
import sys
from pathlib import Path
import numpy as np
from vgslam.geometry import se3
from vgslam.results.report import RunReport
from vgslam.results.run_folder import RunWriter
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.types import PoseEstimate, Status, Trajectory

sequence, words = Path(sys.argv[1]), sys.argv[2:]
start, out = int(words[words.index("--start") + 1]), words[words.index("--out") + 1]
if start == 7:
    sys.exit("error: nothing works from here")
has_calibration = (sequence / "calib.json").exists()
truth = read_trajectory(sequence / "groundtruth.txt" if has_calibration else sequence.parent / "truth.txt")
T = truth.T_world_cam[start:].copy()
T[::2, 1, 3] += 0.01 * start
T[1::2, 1, 3] -= 0.01 * start
T[:, :3, :3] = se3.so3_exp(np.array([0.0, 0.0, 0.5])) @ T[:, :3, :3]
times, ids = truth.timestamps_s[start:], np.arange(len(T))
report = RunReport(n_frames=len(T), n_poses=len(T), n_components=1)
report.camera = {"fov_x_deg": 80.0, "fov_sigma_deg": 1.5, "is_reliable": start == 0}
report.finish(None)
trajectory = Trajectory(times, T, ids)
frames = [PoseEstimate(int(i), float(t), Status.TRACKED, 0, np.eye(4)) for i, t in zip(ids, times)]
RunWriter(out, overwrite=True).flush(trajectory, trajectory, frames, report)
'''


def sequence(folder: Path) -> Path:
    (folder / "images").mkdir(parents=True)
    for i in range(N):
        cv2.imwrite(str(folder / "images" / f"{i:03d}.png"), np.full((40, 40, 3), i, np.uint8))
    angle = 2 * np.pi * np.arange(N) / N
    T = np.tile(np.eye(4), (N, 1, 1))
    T[:, 0, 3], T[:, 2, 3] = np.cos(angle), np.sin(angle)
    (folder / "times.txt").write_text("".join(f"{0.1 * i:.6f}\n" for i in range(N)))
    (folder / "calib.json").write_text('{"width": 40, "height": 40, "fx": 20, "fy": 20, "cx": 19.5, "cy": 19.5}')
    for path in (folder / "groundtruth.txt", folder.parent / "out" / "s" / "truth.txt"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_trajectory(path, Trajectory(0.1 * np.arange(N), T))
    return folder


def stand_in(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    return sys.executable, str(tmp_path / "stand_in.py")


@pytest.mark.parametrize("uncalibrated", [False, True])
def test_each_start_is_its_own_process_and_a_failed_one_stays_failed(tmp_path: Path, uncalibrated: bool) -> None:
    args = BenchAccuracyArgs(
        (sequence(tmp_path / "s"),), (0, 2, 7), reference="groundtruth.txt", uncalibrated=uncalibrated,
        out=tmp_path / "out",
    )  # fmt: skip
    assert run_bench_accuracy(args, stand_in(tmp_path)) == 1
    told = json.loads((tmp_path / "out" / "accuracy.json").read_text())
    first, second, failed = told["sequences"][0]["runs"]
    assert (first["start"], first["n_frames"], second["n_frames"]) == (0, N, N - 2)
    assert first["ate_m"] == pytest.approx(0.0, abs=1e-6)
    assert second["ate_m"] == pytest.approx(0.02, rel=0.05)
    assert second["rpe_max_m"] > second["rpe_m"] > 0.02  # positions jump by 0.04 from frame to frame
    assert second["rotation_deg"] < 1e-3  # turned as a whole, which only an alignment by rotations takes out
    assert second["cpu_ms"] > 0
    assert second["peak_mib"] > 10
    assert "nothing works from here" in failed["failure"]
    assert failed["ate_m"] is None
    total = told["sequences"][0]["summary"]
    assert total["ate_m"] == {"median": pytest.approx(0.02, rel=0.05), "worst": None}
    assert total["coverage"] == {"median": 1.0, "worst": 0.0}
    assert told["commit"] is not None
    assert (first["fov_deg"], failed["fov_deg"]) == (80.0, None)
    assert told["sequences"][0]["fov_deg"] == (pytest.approx(90.0) if uncalibrated else None)
    shown = "Field of view of s: 90.0 deg; from the starts: 80.0 +- 1.5, 80.0 +- 1.5 (not sure) deg."
    assert (shown in (tmp_path / "out" / "accuracy.md").read_text()) == uncalibrated
    assert "FAILED" not in (tmp_path / "out" / "accuracy.md").read_text().splitlines()[0]


def test_the_true_field_of_view_is_that_of_the_focal_length_whatever_the_distortion(tmp_path: Path) -> None:
    folder = sequence(tmp_path / "s")
    calib = {"width": 40, "height": 40, "fx": 20, "fy": 20, "cx": 19.5, "cy": 19.5, "distortion": [-0.2, 0, 0, 0]}
    (folder / "calib.json").write_text(json.dumps(calib))
    assert true_fov_deg(folder) == pytest.approx(90.0)


def test_the_worst_is_the_least_coverage_and_the_largest_error() -> None:
    runs = [AccuracyRun(i, [], coverage=c, ate_m=a) for i, (c, a) in enumerate([(1.0, 0.1), (0.5, 0.3), (0.9, 0.2)])]
    assert summary(runs, "coverage") == Summary(0.9, 0.5)
    assert summary(runs, "ate_m") == Summary(0.2, 0.3)
    assert summary([*runs, AccuracyRun(3, []), AccuracyRun(4, []), AccuracyRun(5, [])], "ate_m") == Summary(None, None)


def test_what_cannot_work_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = sequence(tmp_path / "s")
    with pytest.raises(ConfigError, match="twice"):
        run_bench_accuracy(BenchAccuracyArgs((path, path), out=tmp_path / "o"))
    with pytest.raises(InputError, match="no such sequence"):
        run_bench_accuracy(BenchAccuracyArgs((tmp_path / "none",), out=tmp_path / "o"))
    with pytest.raises(InputError, match="images"):
        without_calibration(tmp_path / "out", tmp_path / "links")
