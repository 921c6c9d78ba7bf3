"""Trajectories in metres say so in their file, and are scored as they are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from metric_scene import curve

from vgslam.evaluation.evaluate import evaluate
from vgslam.sources.trajectory_io import read_trajectory, write_trajectory
from vgslam.types import Trajectory


def test_a_file_in_metres_says_so_and_is_read_as_that(tmp_path: Path) -> None:
    T = Trajectory(np.arange(16.0), curve(), is_metric=True)
    write_trajectory(tmp_path / "m.tum", T)
    write_trajectory(tmp_path / "u.tum", replace(T, is_metric=False))
    assert read_trajectory(tmp_path / "m.tum").is_metric
    assert not read_trajectory(tmp_path / "u.tum").is_metric
    assert read_trajectory(tmp_path / "u.tum", is_metric=True).is_metric


def test_a_metric_estimate_is_scored_without_scaling_too() -> None:
    truth = Trajectory(np.arange(16.0), curve(), is_metric=True)
    large = curve()
    large[:, :3, 3] *= 1.1
    found = evaluate(Trajectory(np.arange(16.0), large, is_metric=True), truth)
    [note] = [n for n in found.notes if "in metres" in n]
    assert "+10.00 % off" in note
    assert f"ATE {found.headline.ate_se3_m.rmse:.4g} m" in note
    assert found.headline.ate_se3_m.rmse > 0.05
    assert not evaluate(Trajectory(np.arange(16.0), large), truth).notes
