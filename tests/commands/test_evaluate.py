import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tyro

from vgslam.commands.evaluate import EvalArgs, run_eval
from vgslam.errors import ConfigError, EvaluationError, InputError
from vgslam.geometry import se3
from vgslam.results.run_folder import RunWriter
from vgslam.sources.trajectory_io import write_trajectory
from vgslam.types import PoseEstimate, Status, Trajectory


def walk(n=60, t0=1305031100.0):
    u = np.linspace(0, 4, n)
    T = np.tile(np.eye(4), (n, 1, 1))
    T[:, 0, 3], T[:, 1, 3], T[:, 2, 3] = 3 * np.sin(u), 0.2 * np.cos(3 * u), 5 * u
    for i, angle in enumerate(u):
        T[i, :3, :3] = se3.so3_exp(np.array([0.1 * np.sin(angle), 0.5 * angle, 0.0]))
    return Trajectory(t0 + 0.1 * np.arange(n), T)


def scaled(trajectory, scale):
    T = trajectory.T_world_cam.copy()
    T[:, :3, 3] *= scale
    return replace(trajectory, T_world_cam=T)


def evaluate_json(capsys, estimate, reference, **options):
    assert run_eval(EvalArgs(estimate, reference, json=True, **options)) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("kind", ["tum", "euroc", "kitti"])
def test_formats_in_every_pairing(tmp_path, capsys, kind):
    truth = walk()
    write_trajectory(tmp_path / "estimate", scaled(truth, 0.5), kind)
    for other in ("tum", "kitti") if kind == "kitti" else ("tum", "euroc"):
        write_trajectory(tmp_path / "reference", truth, other)
        result = evaluate_json(capsys, tmp_path / "estimate", tmp_path / "reference", n_frames=60)
        assert result["headline"]["ate_sim3_m"]["rmse"] < 1e-6
        assert result["headline"]["scale"] == pytest.approx(2.0)
        assert result["coverage"]["coverage"] == 1.0
        assert result["headline"]["rpe_time"]["n_pairs"] == 50
        assert any("no timestamps" in note for note in result["notes"]) == (kind == "kitti")


def test_table_names_the_scores(tmp_path, capsys):
    write_trajectory(tmp_path / "a.txt", walk())
    run_eval(EvalArgs(tmp_path / "a.txt", tmp_path / "a.txt"))
    out = capsys.readouterr().out
    assert "ATE, Sim(3)" in out
    assert "number of frames not known" in out


def run_folder(tmp_path, lost, second_from=None):
    """A run's folder: frames `lost` have no pose, those from `second_from` on are a component with another gauge."""
    truth = walk()
    posed = np.array([i for i in range(60) if i not in lost], np.int64)
    components = np.zeros(60, np.int64)
    T = 0.5 * truth.T_world_cam
    T[:, :3, :3], T[:, 3, 3] = truth.T_world_cam[:, :3, :3], 1
    if second_from is not None:
        components[second_from:] = 1
        T[second_from:, :3, 3] *= 4
    trajectory = Trajectory(truth.timestamps_s[posed], T[posed], posed, components[posed])
    keyframes = Trajectory(truth.timestamps_s[posed][::5], T[posed][::5], posed[::5], components[posed][::5])
    statuses = [
        PoseEstimate(i, truth.timestamps_s[i], Status.TRACKED, 0, np.eye(4)) if i in posed
        else PoseEstimate(i, truth.timestamps_s[i], Status.LOST)
        for i in range(60)
    ]  # fmt: skip
    writer = RunWriter(tmp_path / "run")
    writer.flush(trajectory, keyframes, statuses)
    write_trajectory(tmp_path / "truth.txt", truth)
    write_trajectory(tmp_path / "truth.kitti", truth, "kitti")
    return tmp_path / "run"


@pytest.mark.parametrize("estimate", ["", "trajectory.tum", "trajectory.kitti"])
@pytest.mark.parametrize("reference", ["truth.txt", "truth.kitti"])
def test_the_status_table_of_a_run_restores_components_and_coverage(tmp_path, capsys, estimate, reference):
    folder = run_folder(tmp_path, lost=range(30, 36), second_from=36)
    result = evaluate_json(capsys, folder / estimate, tmp_path / reference)
    assert [c["n_poses"] for c in result["components"]] == [30, 24]
    assert max(c["ate_sim3_m"]["rmse"] for c in result["components"]) < 1e-6
    assert [round(c["scale"], 6) for c in result["components"]] == [2.0, 0.5]
    assert result["coverage"]["coverage"] == pytest.approx(0.9)
    assert result["coverage"]["coverage_largest"] == pytest.approx(0.5)
    assert result["coverage"]["longest_gap_frames"] == 6
    assert result["coverage"]["n_losses"] == 1
    assert result["keyframes"]["n_poses"] == 6


def test_kitti_rows_that_do_not_fit_the_status_table(tmp_path):
    folder = run_folder(tmp_path, lost=[3])
    rows = (folder / "trajectory.kitti").read_text().splitlines()
    (folder / "trajectory.kitti").write_text("\n".join(rows[:-1]) + "\n")
    with pytest.raises(EvaluationError, match=r"58 poses, but status\.csv counts 59"):
        run_eval(EvalArgs(folder / "trajectory.kitti", tmp_path / "truth.kitti"))


def test_kitti_rows_of_unequal_number_are_compared_with_a_warning(tmp_path, capsys):
    write_trajectory(tmp_path / "truth", walk(), "kitti")
    short = walk()
    write_trajectory(tmp_path / "estimate", Trajectory(short.timestamps_s[:40], short.T_world_cam[:40]), "kitti")
    result = evaluate_json(capsys, tmp_path / "estimate", tmp_path / "truth")
    assert result["headline"]["n_poses"] == 40
    assert any("40 rows against 60" in note for note in result["notes"])


def test_reference_can_be_a_data_set(tmp_path, capsys):
    truth = walk(6, t0=0.0)
    (tmp_path / "seq" / "images").mkdir(parents=True)
    for i in range(6):
        cv2.imwrite(str(tmp_path / "seq" / "images" / f"{i:03d}.png"), np.full((8, 8, 3), i, np.uint8))
    (tmp_path / "seq" / "times.txt").write_text("".join(f"{t:.6f}\n" for t in truth.timestamps_s))
    write_trajectory(tmp_path / "estimate.txt", truth)
    with pytest.raises(EvaluationError, match="no truth in this folder"):
        run_eval(EvalArgs(tmp_path / "estimate.txt", tmp_path / "seq"))
    write_trajectory(tmp_path / "seq" / "groundtruth.txt", truth)
    assert evaluate_json(capsys, tmp_path / "estimate.txt", tmp_path / "seq")["headline"]["n_poses"] == 6


def test_plots_are_written(tmp_path, capsys):
    folder = run_folder(tmp_path, lost=[3, 4])
    run_eval(EvalArgs(folder, tmp_path / "truth.txt", plot=tmp_path / "new" / "plots"))
    names = sorted(p.name for p in (tmp_path / "new" / "plots").iterdir())
    assert names == ["error.png", "status.png", "top_view.png"]
    assert cv2.imread(str(tmp_path / "new" / "plots" / "top_view.png")) is not None


def test_a_run_in_place_of_the_truth_is_for_compare(tmp_path):
    run = run_folder(tmp_path, lost=[])
    (run / "report.json").write_text("{}")
    with pytest.raises(InputError, match=r"is the folder of a run, and no truth; `vgslam compare "):
        run_eval(EvalArgs(run, run))


def test_files_that_cannot_be_used(tmp_path):
    write_trajectory(tmp_path / "a.txt", walk())
    with pytest.raises(InputError, match="cannot be read"):
        run_eval(EvalArgs(tmp_path / "missing.txt", tmp_path / "a.txt"))
    write_trajectory(tmp_path / "b.txt", walk(t0=5.0))
    with pytest.raises(EvaluationError, match="do not overlap in time"):
        run_eval(EvalArgs(tmp_path / "a.txt", tmp_path / "b.txt"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_difference": -1.0}, "--max-difference -1: give seconds"),
        ({"max_difference": float("nan")}, "--max-difference nan: give seconds"),
        ({"rpe_delta": 0.0}, "--rpe-delta 0: give seconds"),
        ({"rpe_delta": float("inf")}, "--rpe-delta inf: give seconds"),
        ({"n_frames": -3}, "--n-frames -3: give a number"),
        ({"n_frames": 0}, "--n-frames 0: give a number"),
    ],
)
def test_numbers_that_no_comparison_can_use_are_refused_as_settings(tmp_path, options, says):
    write_trajectory(tmp_path / "a.txt", walk())
    with pytest.raises(ConfigError, match=says):
        run_eval(EvalArgs(tmp_path / "a.txt", tmp_path / "a.txt", **options))


def test_command_line():
    args = tyro.cli(EvalArgs, args=["est.txt", "ref.txt", "--max-difference", "0.05", "--json", "--plot", "out"])
    assert (args.estimate.name, args.reference.name, args.max_difference, args.json) == (
        "est.txt",
        "ref.txt",
        0.05,
        True,
    )
