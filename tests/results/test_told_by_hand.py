"""Times of a report and rows of a status table, worked out by hand."""

import numpy as np
import pytest

from vgslam.errors import InputError
from vgslam.results.report import RunReport
from vgslam.results.status import StatusTable
from vgslam.types import Status, Trajectory


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
