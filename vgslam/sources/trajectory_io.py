"""Trajectory files in and out: TUM, KITTI and EuRoC, in the conventions of `vgslam.types.Trajectory`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vgslam.atomic import write_text
from vgslam.errors import CalibrationError, InputError
from vgslam.geometry import se3
from vgslam.guards.documents import to_number
from vgslam.sources.calibration import Document, read_document
from vgslam.sources.times import PER_SECOND
from vgslam.sources.trajectory_rows import ColumnLayout, Row, Rows, what_rows_are
from vgslam.types import Trajectory

Array = npt.NDArray[np.float64]
TRAJECTORY_KINDS = ("tum", "kitti", "euroc")
METRES = "# lengths are metres"
"""The comment of a TUM file in metres; without it, those that vgslam writes are in map units."""
_LAYOUT = {
    "tum": "timestamp tx ty tz qx qy qz qw",
    "kitti": "the 12 numbers of a 3x4 matrix",
    "euroc": "timestamp [ns],px,py,pz,qw,qx,qy,qz,...",
}


def read_trajectory(
    path: Path | str,
    kind: str = "auto",
    times_s: Array | None = None,
    *,
    is_metric: bool = False,
    drop_unordered: bool = False,
    notes: list[str] | None = None,
) -> Trajectory:
    """Camera poses T_world_cam of a file, whose fields are divided by spaces, commas or semicolons.

    kind: "tum" (`timestamp tx ty tz qx qy qz qw`, seconds), "kitti" (3x4 rows without time: times_s (N,) gives it, the
    row number in seconds otherwise), "euroc" (ns, `qw qx qy qz`; taken from the body to cam0 when the `sensor.yaml` of
    a mav0 folder lie around it), or "auto": by the names of the columns, else by the look of the first rows. Times too
    large for seconds are ms, us or ns. is_metric: lengths are metres; a file may say so itself (METRES). drop_unordered
    leaves out rows whose time is not greater than all before. With `notes` rows that are not finite, repeated or not in
    order are mended, with a line for each trouble. Raises InputError, naming file and line, for what is malformed:
    numbers that are not finite, quaternions that are not of unit length (1 %), duplicate or decreasing timestamps.
    """
    path = Path(path)
    if kind not in ("auto", *TRAJECTORY_KINDS):
        raise InputError(f"trajectory kind '{kind}' is unknown; use auto, {', '.join(TRAJECTORY_KINDS)}")
    read = Rows.read(path)
    layout = read.layout(kind)
    rows, numbers = _to_numbers(path, read.rows, layout, notes)
    if layout.kind == "kitti":
        T, stamps = _kitti_poses(path, rows, numbers), _kitti_times(path, len(rows), times_s)
    else:
        T, stamps = _quaternion_poses(path, rows, numbers, layout), _seconds(rows, numbers[:, 0], layout)
    if layout.kind == "euroc":
        T = T @ _euroc_sensor_cam(path)
    elif layout.unit != "s" and notes is not None:
        notes.append(f"{path.name}: the times are taken for {layout.unit}")
    if notes is not None and len(stamps) > 1 and np.ptp(stamps) == 0:
        raise InputError(f"{path}: all {len(stamps)} rows have the same time; give each pose its own, in seconds")
    keep = _in_order(path, stamps, notes) if notes is not None else _increasing(path, rows, stamps, drop_unordered)
    is_metric = is_metric or METRES.lstrip("# ") in read.comments
    return Trajectory(stamps[keep], np.ascontiguousarray(T[keep]), is_metric=is_metric)


def _seconds(rows: Sequence[Row], times: Array, layout: ColumnLayout) -> Array:
    if layout.unit == "ns":
        return np.array([seconds_from_ns(row.fields[layout.columns[0]]) for row in rows])
    return times / PER_SECOND[layout.unit]


def seconds_from_ns(text: str) -> float:
    """Nanoseconds as written in a file or a file name -> the nearest double in seconds. Raises ValueError."""
    return int(text) / 10**9 if text.isdecimal() else float(text) / 1e9


def write_trajectory(path: Path | str, trajectory: Trajectory, kind: str = "tum") -> None:
    """Writes poses as "tum", "kitti" (no timestamps) or "euroc", see `read_trajectory`, atomically. Raises
    OutputError."""
    formats = {"tum": _tum_lines, "kitti": _kitti_lines, "euroc": _euroc_lines}
    if kind not in formats:
        raise InputError(f"trajectory kind '{kind}' is unknown; use {', '.join(TRAJECTORY_KINDS)}")
    write_text(Path(path), "".join(line + "\n" for line in formats[kind](trajectory)))


def _tum_lines(trajectory: Trajectory) -> list[str]:
    lines = ["# timestamp tx ty tz qx qy qz qw", *([METRES] if trajectory.is_metric else [])]
    for stamp, T in zip(trajectory.timestamps_s, trajectory.T_world_cam, strict=True):
        numbers = (*T[:3, 3], *se3.quaternion_from_rotation(T[:3, :3]))
        lines.append(f"{stamp:.9f} " + " ".join(f"{x:.12g}" for x in numbers))
    return lines


def _kitti_lines(trajectory: Trajectory) -> list[str]:
    return [" ".join(f"{x:.12e}" for x in T[:3].ravel()) for T in trajectory.T_world_cam]


def _euroc_lines(trajectory: Trajectory) -> list[str]:
    lines = ["#timestamp [ns],p_x [m],p_y [m],p_z [m],q_w [],q_x [],q_y [],q_z []"]
    for stamp, T in zip(trajectory.timestamps_s, trajectory.T_world_cam, strict=True):
        x, y, z, w = se3.quaternion_from_rotation(T[:3, :3])
        nanoseconds = f"{stamp:.9f}".replace(".", "").lstrip("0") or "0"
        lines.append(nanoseconds + "," + ",".join(f"{v:.12g}" for v in (*T[:3, 3], w, x, y, z)))
    return lines


def _to_numbers(
    path: Path, rows: list[Row], layout: ColumnLayout, notes: list[str] | None
) -> tuple[list[Row], Array]:  # fmt: skip
    """The rows and their numbers (N,8) as TUM has them, or (N,12); with notes, without those not finite."""
    n, what = 1 + max(layout.columns), _LAYOUT[layout.kind]
    numbers = np.empty((len(rows), len(layout.columns)))
    for out, (line, values, is_csv) in zip(numbers, rows, strict=True):
        if len(values) < n or (len(values) > n and layout.is_exact):
            commas = "; do its numbers have commas for points?" if is_csv and len(values) == 2 * n else ""
            raise InputError(f"{path}, line {line}: {len(values)} numbers instead of {n} ({what}){commas}")
        try:
            out[:] = [to_number(values[i]) for i in layout.columns]
        except ValueError as err:
            raise InputError(f"{path}, line {line}: not a number ({what} expected){what_rows_are(values)}") from err
    numbers = _without_zeros(path, numbers, layout, notes)
    good: npt.NDArray[np.bool_] = np.asarray(np.isfinite(numbers).all(axis=1), np.bool_)
    if good.all():
        return rows, numbers
    if notes is None or not good.any():
        raise InputError(f"{path}, line {rows[int(np.argmin(good))].line}: holds a number that is not finite")
    if layout.kind == "kitti":  # the row number is the time
        raise InputError(f"{path}, line {rows[int(np.argmin(good))].line}: holds a number that is not finite, and "
                         "KITTI rows cannot be left out; give a TUM trajectory without it")  # fmt: skip
    notes.append(f"{path.name}: {(~good).sum()} of {len(rows)} rows hold numbers that are not finite and are left out")
    return [row for row, is_good in zip(rows, good, strict=True) if is_good], numbers[good]


def _without_zeros(path: Path, numbers: Array, layout: ColumnLayout, notes: list[str] | None) -> Array:
    """Rows without those of a zero quaternion, as some programs write frames without a pose; all rows without notes."""
    if notes is None or layout.kind == "kitti":
        return numbers
    zero = (numbers[:, 4:8] == 0.0).all(axis=1)
    if not zero.any() or zero.all():
        return numbers
    notes.append(f"{path.name}: {zero.sum()} of {len(numbers)} rows have a quaternion of zeros, which is no pose")
    out = numbers.copy()
    out[zero] = np.nan
    return out


def _quaternion_poses(path: Path, rows: Sequence[Row], numbers: Array, layout: ColumnLayout) -> Array:
    q = numbers[:, 4:8]
    bad = np.abs(np.linalg.norm(q, axis=1) - 1.0) > 0.01
    if bad.any():
        i = int(np.argmax(bad))
        norm = float(np.linalg.norm(q[i]))
        raise InputError(
            f"{path}, line {rows[i].line}: quaternion has length {norm:.4g} instead of 1; "
            f"check the order of the columns ({_LAYOUT[layout.kind]})"
        )
    T = np.tile(np.eye(4), (len(q), 1, 1))
    T[:, :3, :3] = [se3.rotation_from_quaternion(one) for one in q]
    T[:, :3, 3] = numbers[:, 1:4]
    return T


def _kitti_poses(path: Path, rows: Sequence[Row], numbers: Array) -> Array:
    T = np.tile(np.eye(4), (len(numbers), 1, 1))
    T[:, :3] = numbers.reshape(-1, 3, 4)
    R = T[:, :3, :3]
    error = np.abs(R @ np.swapaxes(R, 1, 2) - np.eye(3)).max(axis=(1, 2))
    bad = (error > 1e-2) | (np.linalg.det(R) < 0)
    if bad.any():
        raise InputError(f"{path}, line {rows[int(np.argmax(bad))].line}: the 3x3 part is not a rotation matrix")
    T[:, :3, :3] = [se3.orthonormalize(one) for one in R]
    return T


def _kitti_times(path: Path, n: int, times_s: Array | None) -> Array:
    if times_s is None:
        return np.arange(n, dtype=np.float64)
    if len(times_s) != n:
        raise InputError(f"{path}: {n} poses but {len(times_s)} timestamps; KITTI poses need one row per image")
    return np.asarray(times_s, np.float64)


def _increasing(path: Path, rows: Sequence[Row], stamps: Array, drop: bool) -> npt.NDArray[np.bool_]:
    """Rows later than all before them; raises InputError at the first other one unless `drop`."""
    latest = np.concatenate([[-np.inf], np.maximum.accumulate(stamps)[:-1]])
    keep = stamps > latest
    if not keep.all() and not drop:
        i = int(np.argmin(keep))
        trouble = "repeats the one before" if stamps[i] == stamps[i - 1] else "is not later than those before"
        raise InputError(f"{path}, line {rows[i].line}: timestamp {stamps[i]:.9f} {trouble}; sort the file by time")
    return keep


def _in_order(path: Path, stamps: Array, notes: list[str]) -> npt.NDArray[np.int64]:
    """Rows in order of time, the first of those that repeat a time; notes say what was done."""
    order = np.argsort(stamps, kind="stable")
    is_new = np.diff(stamps[order], prepend=-np.inf) > 0
    if (order != np.arange(len(order))).any():
        notes.append(f"{path.name}: the rows are not in order of time and were sorted")
    if not is_new.all():
        notes.append(f"{path.name}: {(~is_new).sum()} of {len(stamps)} rows repeat a time; the first of each is used")
    return order[is_new]


def sensor_T_body(sensor_yaml: Path) -> Array | None:
    """T_BS of a EuRoC sensor.yaml: T_body_sensor (4,4), None when the file is absent. Raises InputError."""
    if not sensor_yaml.is_file():
        return None
    try:
        document: Document = read_document(sensor_yaml)
        T = np.asarray(document["T_BS"]["data"], np.float64).reshape(4, 4)
    except CalibrationError:
        raise
    except (KeyError, TypeError, ValueError) as err:
        raise InputError(f"{sensor_yaml}: T_BS must be a 4x4 matrix") from err
    if not np.isfinite(T).all() or np.abs(T[:3, :3] @ T[:3, :3].T - np.eye(3)).max() > 1e-3:
        raise InputError(f"{sensor_yaml}: T_BS is not a rigid motion")
    return se3.from_rt(se3.orthonormalize(T[:3, :3]), T[:3, 3])


def _euroc_sensor_cam(path: Path) -> Array:
    """T_sensor_cam (4,4) for the rows of mav0/<sensor>/data.csv; the identity where nothing is known."""
    T_body_cam = sensor_T_body(path.parent.parent / "cam0" / "sensor.yaml")
    if T_body_cam is None:
        return np.eye(4)
    T_body_sensor = sensor_T_body(path.parent / "sensor.yaml")
    return T_body_cam if T_body_sensor is None else se3.inverse(T_body_sensor) @ T_body_cam
