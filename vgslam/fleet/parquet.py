"""`poses.parquet`: a row for every frame, with its status, pose and covariance."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from vgslam.atomic import write_bytes
from vgslam.errors import MissingDependencyError
from vgslam.geometry import se3
from vgslam.types import Array, Status

POSES = "poses.parquet"
POSE = ("tx", "ty", "tz", "qx", "qy", "qz", "qw")  # columns of a position and of a unit quaternion


@dataclass(frozen=True)
class PoseRow:
    """One frame."""

    frame_id: int
    """As in the recording."""
    timestamp_s: float
    status: Status
    component: int
    n_inliers: int
    inlier_ratio: float
    T_world_cam: Array | None
    """(4,4); None for a frame without a pose."""
    covariance: Array | None
    """(6,6) of xi (rotation in rad, then translation in units of the map), T_world_cam exp(xi); axes of the camera."""


def check_parquet() -> None:
    """Raises MissingDependencyError where the library is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("poses.parquet needs pyarrow: pip install 'vgslam[fleet]'") from error


def write_poses(path: Path, rows: Sequence[PoseRow], is_metric: bool) -> None:
    """Writes the file, whole or not at all; the same rows give the same bytes. Raises OutputError. Columns: frame_id,
    timestamp_s, status, component, n_inliers, inlier_ratio; tx, ty, tz (position) and qx, qy, qz, qw of T_world_cam;
    covariance, 36 numbers row by row. Pose and covariance are null where there is none. The file's metadata say what
    lengths are in: `unit` is `metre` or `map unit`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    poses = [_pose(r.T_world_cam) for r in rows]
    covariances = [None if r.covariance is None else r.covariance.reshape(36).tolist() for r in rows]
    columns: dict[str, Any] = {
        "frame_id": pa.array([r.frame_id for r in rows], pa.int64()),
        "timestamp_s": pa.array([r.timestamp_s for r in rows], pa.float64()),
        "status": pa.array([r.status.value for r in rows], pa.string()),
        "component": pa.array([r.component for r in rows], pa.int32()),
        "n_inliers": pa.array([r.n_inliers for r in rows], pa.int32()),
        "inlier_ratio": pa.array([r.inlier_ratio for r in rows], pa.float64()),
        **{name: pa.array([p[i] for p in poses], pa.float64()) for i, name in enumerate(POSE)},
        "covariance": pa.array(covariances, pa.list_(pa.float64(), 36)),
    }  # fmt: skip
    meta = {"unit": "metre" if is_metric else "map unit", "pose": "T_world_cam", "covariance": "rotation, translation"}
    table = pa.table(columns).replace_schema_metadata(meta)
    data = BytesIO()
    pq.write_table(table, data)
    write_bytes(path, data.getvalue())


def _pose(T: Array | None) -> list[float | None]:
    if T is None:
        return [None] * 7
    return [*map(float, T[:3, 3]), *map(float, se3.quaternion_from_rotation(T[:3, :3]))]
