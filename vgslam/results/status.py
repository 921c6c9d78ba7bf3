"""`status.csv`: what is known of every frame of a run."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vgslam.errors import InputError
from vgslam.types import Array, Ids, PoseEstimate, Status, Trajectory

COLUMNS = ("frame_id", "timestamp_s", "status", "n_inliers", "inlier_ratio", "component", "keyframe")
SAME_FRAME_S = 1e-3


@dataclass(frozen=True)
class StatusTable:
    """Columns of status.csv, one row a frame (N,), in time order."""

    frame_ids: Ids
    timestamps_s: Array
    statuses: list[Status]
    component_ids: Ids

    def label(self, trajectory: Trajectory) -> Trajectory:
        """The trajectory, read back from a file, with the frame ids and components that the file does not hold.

        Poses are found by time (within a millisecond). Raises InputError when one belongs to no frame.
        """
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
            raise InputError(
                f"the pose at {trajectory.timestamps_s[far][0]:.6f} s belongs to no frame of the status table"
            )
        return replace(trajectory, frame_ids=self.frame_ids[row], component_ids=self.component_ids[row])


def status_csv(statuses: Iterable[PoseEstimate], trajectory: Trajectory, keyframes: Trajectory) -> str:
    """One row a frame; the component of a frame with a pose is the trajectory's (the newest), else the estimate's."""
    is_keyframe = set(keyframes.frame_ids.tolist())
    component = dict(zip(trajectory.frame_ids.tolist(), trajectory.component_ids.tolist(), strict=True))
    rows = [",".join(COLUMNS)]
    for s in statuses:
        rows.append(
            f"{s.frame_id},{s.timestamp_s:.9f},{s.status.value},{s.n_inliers},{s.inlier_ratio:.4f},"
            f"{component.get(s.frame_id, s.component_id)},{int(s.frame_id in is_keyframe)}"
        )
    return "\n".join(rows) + "\n"


def read_status(path: Path | str) -> StatusTable:
    """Reads status.csv. Raises InputError, naming file and line, when it is missing or malformed."""
    path = Path(path)
    rows = []
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise InputError(f"{path}: not a status.csv (its header should be {','.join(COLUMNS)})")
            for row in reader:
                rows.append(
                    (int(row["frame_id"]), float(row["timestamp_s"]), Status(row["status"]), int(row["component"]))
                )
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}, line {len(rows) + 2}: {error}") from error
    return StatusTable(
        np.array([r[0] for r in rows], np.int64), np.array([r[1] for r in rows], np.float64),
        [r[2] for r in rows], np.array([r[3] for r in rows], np.int64),
    )  # fmt: skip
