"""What options of `vgslam eval` reach the scores, and which frames of a run its KITTI rows are."""

from pathlib import Path

import numpy as np
import pytest
from commands.test_evaluate import evaluate_json, walk

from vgslam.results.run_folder import RunWriter
from vgslam.sources.trajectory_io import write_trajectory
from vgslam.types import PoseEstimate, Status, Trajectory

STATUSES = {3: Status.LOST, 4: Status.RELOCALIZED}
"""All others are TRACKED."""


def run_of(folder: Path, late_s: float = 0.0) -> Path:
    """A run over sixty frames of a walk, whose clock is late, and the truth beside it; every sixth is a keyframe."""
    truth = walk()
    times = truth.timestamps_s - late_s
    posed = np.array([i for i in range(60) if STATUSES.get(i) is not Status.LOST])
    trajectory = Trajectory(times[posed], truth.T_world_cam[posed], posed)
    keyframes = Trajectory(times[::6], truth.T_world_cam[::6], np.arange(0, 60, 6))
    frames = [
        PoseEstimate(i, times[i], Status.LOST) if STATUSES.get(i) is Status.LOST
        else PoseEstimate(i, times[i], STATUSES.get(i, Status.TRACKED), 0, np.eye(4))
        for i in range(60)
    ]  # fmt: skip
    RunWriter(folder / "run").flush(trajectory, keyframes, frames)
    write_trajectory(folder / "truth.tum", truth)
    write_trajectory(folder / "truth.kitti", truth, "kitti")
    return folder / "run"


def test_a_frame_that_was_found_again_has_a_row_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(tmp_path)
    result = evaluate_json(capsys, run / "trajectory.kitti", tmp_path / "truth.kitti")
    assert result["headline"]["n_poses"] == 59
    assert result["headline"]["ate_sim3_m"]["rmse"] < 1e-6
    assert result["coverage"]["longest_gap_frames"] == 1


def test_an_offset_is_added_to_poses_keyframes_and_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(tmp_path, late_s=100.0)
    result = evaluate_json(capsys, run, tmp_path / "truth.tum", time_offset=100.0)
    assert result["headline"]["n_poses"] == 59
    assert result["keyframes"]["n_poses"] == 10
    assert (result["coverage"]["n_frames"], result["coverage"]["n_scored"]) == (60, 59)


def test_the_tolerance_and_the_interval_are_those_that_were_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Poses every 0.1 s, 0.015 s late: within the default of 0.02 s."""
    run = run_of(tmp_path, late_s=0.015)
    (run / "status.csv").unlink()
    result = evaluate_json(capsys, run, tmp_path / "truth.tum", rpe_delta=0.5, max_difference=0.016)
    assert (result["max_difference_s"], result["rpe_delta_s"]) == (0.016, 0.5)
    assert result["headline"]["rpe_time"]["n_pairs"] > 50
    assert result["headline"]["n_poses"] == 59
    exact = run_of(tmp_path / "exact")
    assert evaluate_json(capsys, exact, tmp_path / "exact" / "truth.tum", max_difference=0.0)["max_difference_s"] == 0.0
