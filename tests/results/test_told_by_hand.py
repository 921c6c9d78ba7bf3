"""Times of a report and rows of a status table, worked out by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from vgslam.errors import InputError
from vgslam.results.report import RunReport
from vgslam.results.status import StatusTable, read_status, status_csv
from vgslam.types import PoseEstimate, Status, Trajectory


def test_frame_rates_are_frames_over_seconds_where_any_have_passed() -> None:
    report = RunReport(n_frames=10)
    assert (report.cpu_s, report.wall_s) == (0.0, 0.0), "nothing was measured yet"
    report.set_timing(4.0, 5.0)
    assert (report.frames_per_cpu_s, report.frames_per_wall_s) == (2.5, 2.0)
    report.set_timing(0.0, 0.0)
    assert (report.frames_per_cpu_s, report.frames_per_wall_s) == (None, None)


def table(times: list[float]) -> StatusTable:
    n = len(times)
    return StatusTable(7 * np.arange(n), np.array(times), [Status.TRACKED] * n, 3 + np.arange(n), np.zeros(n, np.int64))


def poses(times: list[float]) -> Trajectory:
    return Trajectory(np.array(times), np.tile(np.eye(4), (len(times), 1, 1)))


@pytest.mark.parametrize(("frames", "at", "rows"), [
    ([1.0], [1.0], [0]), ([1.0], [1.0009], [0]), ([1.0], [0.9991], [0]),
    ([1.0, 2.0, 3.0], [0.9995, 2.0005, 3.0005], [0, 1, 2]), ([1.0, 1.0008], [1.0003, 1.0005], [0, 1]),
])  # fmt: skip
def test_a_pose_belongs_to_the_frame_nearest_in_time(frames: list[float], at: list[float], rows: list[int]) -> None:
    found = table(frames).label(poses(at))
    assert found.frame_ids.tolist() == [7 * r for r in rows]
    assert found.component_ids.tolist() == [3 + r for r in rows]


def test_a_pose_more_than_a_millisecond_from_all_frames_belongs_to_none() -> None:
    for frames, at in (([1.0], 1.0011), ([1.0], 0.9989), ([1.0, 2.0], 1.5)):
        with pytest.raises(InputError, match="belongs to no frame"):
            table(frames).label(poses([at]))
    with pytest.raises(InputError, match="holds no frames"):
        table([]).label(poses([1.0]))
    assert len(table([]).label(poses([]))) == 0


def test_a_run_is_complete_when_its_input_is_through_or_its_usual_end_came() -> None:
    report = RunReport()
    assert (report.complete, report.stopped_by) == (False, "still running, or killed")
    for stopped_by, is_usual_end, is_complete in (
        (None, False, True), ("Ctrl-C", False, False), ("Ctrl-C", True, True), (None, True, True),
        ("full", False, False),
    ):  # fmt: skip
        report.finish(stopped_by, is_usual_end)
        assert (report.complete, report.stopped_by) == (is_complete, stopped_by)


def test_a_report_of_another_version_or_without_its_word_on_the_end_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    whole = json.loads(RunReport(n_frames=3).to_json())
    file.write_text(json.dumps(whole))
    assert RunReport.read(file) == RunReport(n_frames=3)
    file.write_text(json.dumps(whole | {"colour": 1}))
    with pytest.raises(InputError, match=r"not a report of this version \(colour\)"):
        RunReport.read(file)
    del whole["complete"]
    file.write_text(json.dumps(whole))
    with pytest.raises(InputError, match=r"not a report of this version \(incomplete\)"):
        RunReport.read(file)


FRAMES = [
    PoseEstimate(4, 0.123456789, Status.LOST, n_inliers=3, component_id=0),
    PoseEstimate(6, 1.5, Status.TRACKED, 0, np.eye(4), None, 50, 0.87654, 1, True),
    PoseEstimate(9, 2.5, Status.RELOCALIZED, 0, np.eye(4), None, 40, 0.5, 1),
]
ROWS = """frame_id,timestamp_s,status,n_inliers,inlier_ratio,component,keyframe,rotation_only
4,0.123456789,LOST,3,0.0000,0,0,0
6,1.500000000,TRACKED,50,0.8765,8,1,1
9,2.500000000,RELOCALIZED,40,0.5000,8,0,0
"""


def found(ids: list[int], components: list[int]) -> Trajectory:
    n = len(ids)
    return Trajectory(np.arange(n, dtype=float), np.tile(np.eye(4), (n, 1, 1)), np.array(ids), np.array(components))


def test_a_row_says_what_the_tracker_said_and_the_component_that_the_pose_has_now() -> None:
    """Component 1 was joined to 8 after the frames were tracked."""
    assert status_csv(FRAMES, found([6, 9], [8, 8]), found([6], [8])) == ROWS


@pytest.mark.parametrize("is_older", [False, True])
def test_rows_come_back_and_so_do_those_of_older_runs(tmp_path: Path, is_older: bool) -> None:
    lines = [line.rpartition(",")[0] if is_older else line for line in ROWS.splitlines()]
    (tmp_path / "status.csv").write_text("\n".join(lines) + "\n")
    read = read_status(tmp_path / "status.csv")
    assert read.frame_ids.tolist() == [4, 6, 9]
    assert read.timestamps_s.tolist() == [0.123456789, 1.5, 2.5]
    assert read.statuses == [Status.LOST, Status.TRACKED, Status.RELOCALIZED]
    assert read.component_ids.tolist() == [0, 8, 8]
    assert read.n_inliers.tolist() == [3, 50, 40]
    assert read.lost_timestamps_s(found([6, 9], [8, 8])).tolist() == [0.123456789]
