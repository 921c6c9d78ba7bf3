"""A constant between two clocks is found where the motion shows it, named, and never applied by itself."""

from pathlib import Path

import numpy as np
import pytest

from vgslam.cli import main
from vgslam.evaluation.clock import clock_difference
from vgslam.evaluation.evaluate import evaluate
from vgslam.geometry import se3
from vgslam.sources.trajectory_io import write_trajectory
from vgslam.types import Array, Trajectory

TIMES = np.arange(300) / 30.0


def poses(t: Array, turning: float = 1.0) -> Array:
    """A walk with changes of speed and of direction; turning scales the rotations."""
    T = np.tile(np.eye(4), (len(t), 1, 1))
    T[:, :3, 3] = np.column_stack([np.sin(1.3 * t), 0.3 * np.cos(2.1 * t), 0.4 * t + 0.2 * np.sin(0.9 * t)])
    T[:, :3, :3] = [se3.so3_exp(turning * np.array([0.3 * np.sin(1.7 * s), 0.5 * np.sin(0.8 * s), 0.1 * s])) for s in t]
    return T


REFERENCE = Trajectory(np.arange(-300, 1300) / 100.0, poses(np.arange(-300, 1300) / 100.0), is_metric=True)


def estimate(offset_s: float, T: Array) -> Trajectory:
    """Poses of TIMES on a clock that is behind by the offset."""
    return Trajectory(TIMES - offset_s, T)


@pytest.mark.parametrize("offset", [0.4, -0.4, 1.237])
def test_a_constant_is_found_and_what_it_explains(offset: float) -> None:
    found = clock_difference(estimate(offset, poses(TIMES)), REFERENCE)
    assert found is not None
    assert found.offset_s == pytest.approx(offset, abs=0.002)
    assert found.error_m < 0.02 * found.error_before_m
    assert found.error_deg < 0.02 * found.error_before_deg
    assert f"--time-offset {found.offset_s:.3g}`" in found.note()


def test_on_one_clock_nothing_is_named_whatever_the_error() -> None:
    assert clock_difference(estimate(0.0, poses(TIMES)), REFERENCE) is None
    drifted = poses(TIMES)
    drifted[:, :3, 3] *= np.linspace(1.0, 1.6, len(TIMES))[:, None]
    drifted[:, :3, :3] = [R @ se3.so3_exp(np.array([0, 0.02 * s, 0])) for s, R in zip(TIMES, drifted[:, :3, :3])]
    assert clock_difference(estimate(0.0, drifted), REFERENCE) is None
    assert clock_difference(estimate(0.015, poses(TIMES)), REFERENCE) is None  # as far as the association rounds


def test_positions_tell_where_rotations_do_not() -> None:
    """The rotations of the one do not turn: theirs is one error at any offset."""
    still = Trajectory(REFERENCE.timestamps_s, poses(REFERENCE.timestamps_s, turning=0.0))
    found = clock_difference(estimate(0.4, poses(TIMES, turning=0.0)), still)
    assert found is not None
    assert found.offset_s == pytest.approx(0.4, abs=0.005)
    assert found.error_before_deg == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("speed", [0.0, 1.0])
def test_rest_and_a_line_at_one_speed_tell_nothing(speed: float) -> None:
    def straight(t: Array) -> Array:
        T = np.tile(np.eye(4), (len(t), 1, 1))
        T[:, 2, 3] = speed * t
        return T

    reference = Trajectory(REFERENCE.timestamps_s, straight(REFERENCE.timestamps_s))
    assert clock_difference(estimate(0.4, straight(TIMES)), reference) is None


def test_beyond_the_range_and_without_overlap_nothing_is_named() -> None:
    """A quarter of the ten seconds is 2.5 s, so 2 s is the limit: an offset of 2.6 s has its least error beyond."""
    found = clock_difference(estimate(2.6, poses(TIMES)), REFERENCE)
    assert found is None or abs(found.offset_s) < 2.0
    assert clock_difference(estimate(500.0, poses(TIMES)), REFERENCE) is None
    assert clock_difference(Trajectory(TIMES[:9], poses(TIMES[:9])), REFERENCE) is None


def test_no_score_changes_unless_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"estimate": estimate(0.4, poses(TIMES)), "truth": REFERENCE}
    for name, trajectory in files.items():
        write_trajectory(tmp_path / f"{name}.tum", trajectory)
    before = evaluate(files["estimate"], files["truth"])
    words = ["eval", str(tmp_path / "estimate.tum"), str(tmp_path / "truth.tum")]
    assert main(words) == 0
    assert "the clocks seem to differ" in capsys.readouterr().out
    assert before.headline.ate_m.rmse > 0.1
    assert main([*words, "--time-offset", "0.4", "--json"]) == 0
    out = capsys.readouterr().out
    assert "clocks" not in out
    shifted = evaluate(Trajectory(TIMES, poses(TIMES)), files["truth"])
    assert f'"rmse": {shifted.headline.ate_m.rmse:.6g}'[:14] in out
    assert main([*words, "--time-offset", "nan"]) == 2
    assert "--time-offset nan: give seconds" in capsys.readouterr().err
