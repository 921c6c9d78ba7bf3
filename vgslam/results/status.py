"""`status.csv`: a row for every frame of a run."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vgslam.errors import InputError
from vgslam.guards.documents import MOST_ROWS_BYTES, DocumentError, read_text
from vgslam.types import Array, Ids, PoseEstimate, Status, Trajectory

COLUMNS = ("frame_id", "timestamp_s", "status", "n_inliers", "inlier_ratio", "component", "keyframe", "rotation_only")
WITHOUT_ROTATION_ONLY = COLUMNS[:-1]  # the columns of older runs
SAME_FRAME_S = 1e-3


@dataclass(frozen=True)
class StatusTable:
    """Columns of status.csv, one row a frame (N,), in time order."""

    frame_ids: Ids
    timestamps_s: Array
    statuses: list[Status]
    component_ids: Ids
    n_inliers: Ids

    @staticmethod
    def of(statuses: Sequence[PoseEstimate], trajectory: Trajectory) -> "StatusTable":
        """The table of what the tracker said; a frame with a pose has the trajectory's component, as it is newer."""
        component = dict(zip(trajectory.frame_ids.tolist(), trajectory.component_ids.tolist(), strict=True))
        return StatusTable(
            np.array([s.frame_id for s in statuses], np.int64),
            np.array([s.timestamp_s for s in statuses], np.float64),
            [s.status for s in statuses],
            np.array([component.get(s.frame_id, s.component_id) for s in statuses], np.int64),
            np.array([s.n_inliers for s in statuses], np.int64),
        )

    def lost_timestamps_s(self, trajectory: Trajectory) -> Array:
        """Times of the frames that have no pose in the (labelled) trajectory."""
        return self.timestamps_s[~np.isin(self.frame_ids, trajectory.frame_ids)]

    def label(self, trajectory: Trajectory) -> Trajectory:
        """The trajectory, read back from a file, with the frame ids and components that the file does not hold. Poses
        are found by time (within a millisecond). Raises InputError when one belongs to no frame."""
        t = self.timestamps_s
        if not len(trajectory):
            return trajectory
        if not len(t):
            raise InputError("the status table holds no frames, but the trajectory holds poses")
        after = np.clip(np.searchsorted(t, trajectory.timestamps_s), 1, max(len(t) - 1, 1))
        after = np.minimum(after, len(t) - 1)
        before = np.maximum(after - 1, 0)
        is_before = np.abs(t[before] - trajectory.timestamps_s) <= np.abs(t[after] - trajectory.timestamps_s)
        row = np.where(is_before, before, after)
        far = np.abs(t[row] - trajectory.timestamps_s) > SAME_FRAME_S
        if far.any():
            raise InputError(f"the pose at {trajectory.timestamps_s[far][0]:.6f} s belongs to no frame of the table")
        return replace(trajectory, frame_ids=self.frame_ids[row], component_ids=self.component_ids[row])


def status_csv(statuses: Sequence[PoseEstimate], trajectory: Trajectory, keyframes: Trajectory) -> str:
    """One row a frame, components as `StatusTable.of`; the frame_ids of `keyframes` are marked."""
    is_keyframe = set(keyframes.frame_ids.tolist())
    rows = [",".join(COLUMNS)]
    for s, component in zip(statuses, StatusTable.of(statuses, trajectory).component_ids.tolist(), strict=True):
        rows.append(
            f"{s.frame_id},{s.timestamp_s:.9f},{s.status.value},{s.n_inliers},{s.inlier_ratio:.4f},"
            f"{component},{int(s.frame_id in is_keyframe)},{int(s.rotation_only)}"
        )
    return "\n".join(rows) + "\n"


def read_status(path: Path | str) -> StatusTable:
    """Reads status.csv. Raises InputError, naming file and line, when it is missing or malformed."""
    path = Path(path)
    rows = []
    try:
        reader = csv.DictReader(io.StringIO(read_text(path, MOST_ROWS_BYTES)))
        if tuple(reader.fieldnames or ()) not in (COLUMNS, WITHOUT_ROTATION_ONLY):
            raise InputError(f"{path}: not a status.csv (its header should be {','.join(COLUMNS)})")
        for row in reader:
            numbers = tuple(int(np.int64(int(row[name]))) for name in ("frame_id", "component", "n_inliers"))
            rows.append((float(row["timestamp_s"]), Status(row["status"]), numbers))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except DocumentError as error:
        raise InputError(f"{path}: {error}") from error
    except (ValueError, TypeError, OverflowError, csv.Error) as error:
        raise InputError(f"{path}, line {len(rows) + 2}: {error}") from error
    numbers_of_rows = np.array([r[2] for r in rows], np.int64).reshape(-1, 3)
    return StatusTable(
        numbers_of_rows[:, 0], np.array([r[0] for r in rows], np.float64), [r[1] for r in rows],
        numbers_of_rows[:, 1], numbers_of_rows[:, 2],
    )  # fmt: skip
