"""Trajectories that a person gives to `live`, `report` and `bench` are mended and said, as `run` and `eval` do."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from live_servers import Server, jpeg, part, picture

from vgslam.commands.bench import find_truths
from vgslam.commands.live import LiveArgs, _opened
from vgslam.commands.report import ReportArgs, run_report
from vgslam.errors import InputError
from vgslam.sources.trajectory_io import write_trajectory
from vgslam.types import Trajectory

N = 6


def bend() -> Trajectory:
    """A path that is no line."""
    T = np.tile(np.eye(4), (N, 1, 1))
    T[:, 0, 3], T[:, 2, 3] = np.arange(N), 0.3 * np.arange(N) ** 2
    return Trajectory(0.1 * np.arange(N), T)


def shuffled(path: Path) -> Path:
    """The path in a file with rows out of order, one that repeats a time and one that is not finite."""
    write_trajectory(path, bend())
    comment, *rows = path.read_text().splitlines()
    rows = [*rows[::-1], rows[2], "0.45 nan 0 0 0 0 0 1"]
    path.write_text("\n".join([comment, *rows]) + "\n")
    return path


def check_notes(lines: list[str], name: str) -> None:
    assert [line for line in lines if line.startswith(f"{name}:")] == [
        f"{name}: 1 of 8 rows hold numbers that are not finite and are left out",
        f"{name}: the rows are not in order of time and were sorted",
        f"{name}: 1 of 7 rows repeat a time; the first of each is used",
    ]


def test_live_mends_the_truth(tmp_path: Path) -> None:
    with Server(lambda _: (part(jpeg(picture(i)), 0.1 * i) for i in range(N))) as server:
        source = _opened(LiveArgs(server.url, truth=shuffled(tmp_path / "gt.txt"), give_up_s=0.0))
        source.close()
    assert source.truth is not None
    np.testing.assert_allclose(source.truth.T_world_cam, bend().T_world_cam, atol=1e-9)
    assert source.truth.is_metric
    check_notes(source.warnings, "gt.txt")


def test_a_stream_has_no_rows_of_kitti(tmp_path: Path) -> None:
    write_trajectory(tmp_path / "gt.txt", bend(), "kitti")
    with pytest.raises(InputError, match=r"gt\.txt: KITTI rows carry no time"):
        _opened(LiveArgs("http://127.0.0.1:9/x", truth=tmp_path / "gt.txt"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run that follows the path."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps({"complete": True, "source_name": "room", "n_frames": N}))
    rows = ["frame_id,timestamp_s,status,n_inliers,inlier_ratio,component,keyframe"]
    rows += [f"{i},{0.1 * i:.9f},TRACKED,50,0.9,0,0" for i in range(N)]
    (folder / "status.csv").write_text("\n".join(rows) + "\n")
    write_trajectory(folder / "trajectory.tum", bend())
    return folder


def test_the_report_mends_the_truth(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_report(ReportArgs(run, truth=shuffled(tmp_path / "gt.txt"))) == 0
    page = (run / "report.html").read_text()
    assert "gt.txt: the rows are not in order of time and were sorted" in page
    assert "not compared" not in page


def test_the_report_takes_kittis_rows_for_the_frames_of_the_run(run: Path, tmp_path: Path) -> None:
    """Row i as second i would overlap the run in one pose, and could not be compared."""
    write_trajectory(tmp_path / "poses.txt", bend(), "kitti")
    assert run_report(ReportArgs(run, truth=tmp_path / "poses.txt")) == 0
    assert "not compared" not in (run / "report.html").read_text()
    (tmp_path / "poses.txt").write_text("\n".join((tmp_path / "poses.txt").read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(InputError, match="5 poses but 6 timestamps"):
        run_report(ReportArgs(run, truth=tmp_path / "poses.txt"))


def test_bench_mends_further_truths(tmp_path: Path) -> None:
    folder = tmp_path / "sequence"
    (folder / "images").mkdir(parents=True)
    for i in range(N):
        assert cv2.imwrite(str(folder / "images" / f"{i:03d}.png"), np.full((8, 8, 3), i, np.uint8))
    (folder / "times.txt").write_text("".join(f"{t:.6f}\n" for t in bend().timestamps_s))
    shuffled(folder / "groundtruth_sfm.txt")
    write_trajectory(folder / "groundtruth_rows.txt", bend(), "kitti")
    said: list[str] = []
    truths = find_truths(folder, said.append)
    assert list(truths) == ["groundtruth_rows", "groundtruth_sfm"]
    for truth in truths.values():
        np.testing.assert_allclose(truth.timestamps_s, bend().timestamps_s, atol=1e-9)
        np.testing.assert_allclose(truth.T_world_cam, bend().T_world_cam, atol=1e-9)
    check_notes(said, "groundtruth_sfm.txt")
