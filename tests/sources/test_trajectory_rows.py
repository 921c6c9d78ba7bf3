"""Trajectory files of many hands: what divides the columns, what they are called, in what unit the times are."""

from pathlib import Path

import numpy as np
import pytest

from vgslam.errors import InputError
from vgslam.geometry import se3
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.sources.trajectory_rows import column_names, is_untimed

N = 6
TIMES = 100.0 + np.arange(N) / 20
P = np.stack([np.arange(N) + 0.5, -np.arange(N) - 0.25, 0.1 * np.arange(N) + 2], axis=1)
R = np.array([se3.so3_exp(np.array([0.1 * i, 0.3, -0.2 * i])) for i in range(N)])
Q = np.array([se3.quaternion_from_rotation(one) for one in R])  # x y z w


def table(order: str, divider: str, unit: str = "s", decimals: str = ".") -> str:
    """Rows with the columns of `order`, as in "t x y z qx qy qz qw"."""
    rows = []
    for i in range(N):
        values = {"t": f"{TIMES[i]:.6f}", "other": "7.5"}
        if unit != "s":
            values["t"] = str(round(TIMES[i] * {"ns": 10**9, "us": 10**6, "ms": 1000}[unit]))
        values |= {c: repr(float(P[i, k])) for k, c in enumerate("xyz")}
        values |= {"q" + c: repr(float(Q[i, k])) for k, c in enumerate("xyzw")}
        rows.append(divider.join(values[c].replace(".", decimals) for c in order.split()))
    return "\n".join(rows) + "\n"


TUM, EUROC = "t x y z qx qy qz qw", "t x y z qw qx qy qz"


@pytest.mark.parametrize(("head", "order", "divider", "unit"), [
    ("", TUM, " ", "s"), ("", TUM, ",", "s"), ("", TUM, ", ", "s"), ("", TUM, ";", "s"), ("", TUM, "\t", "s"),
    ("", EUROC, ",", "ns"),
    ("timestamp,tx,ty,tz,qx,qy,qz,qw", TUM, ",", "s"), ("#timestamp,tx,ty,tz,qx,qy,qz,qw", TUM, ",", "s"),
    ("timestamp;tx;ty;tz;qx;qy;qz;qw", TUM, ";", "s"), ("# timestamp tx ty tz qx qy qz qw", TUM, " ", "s"),
    ("timestamp,tx,ty,tz,qw,qx,qy,qz", EUROC, ",", "s"), ("time tx ty tz qw qx qy qz", EUROC, " ", "s"),
    ("# time x y z qw qx qy qz", EUROC, " ", "s"),
    ("#timestamp [ns],p_x [m],p_y [m],p_z [m],q_w [],q_x [],q_y [],q_z []", EUROC, ",", "ns"),
    ("#timestamp [ns], p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m], q_RS_w [], q_RS_x [], q_RS_y [], q_RS_z [], "
     "v_RS_R_x [m s^-1]", EUROC + " other", ",", "ns"),
    ("#timestamp [ns],tx,ty,tz,qx,qy,qz,qw", TUM, ",", "ns"), ("timestamp_ns,tx,ty,tz,qx,qy,qz,qw", TUM, ",", "ns"),
    ("timestamp [us],tx,ty,tz,qx,qy,qz,qw", TUM, ",", "us"), ("time_ms,tx,ty,tz,qx,qy,qz,qw", TUM, ",", "ms"),
    ("Time (s),Pos X (m),Pos Y (m),Pos Z (m),Quat W,Quat X,Quat Y,Quat Z", EUROC, ",", "s"),
    ("field.header.stamp,field.pose.position.x,field.pose.position.y,field.pose.position.z,field.pose.orientation.x,"
     "field.pose.orientation.y,field.pose.orientation.z,field.pose.orientation.w", TUM, ",", "s"),
    ("frame,timestamp,qx,qy,qz,qw,tx,ty,tz", "other t qx qy qz qw x y z", ",", "s"),
])  # fmt: skip
def test_every_spelling_gives_the_same_poses(tmp_path: Path, head: str, order: str, divider: str, unit: str) -> None:
    (tmp_path / "t.txt").write_text((head + "\n" if head else "") + table(order, divider, unit))
    trajectory = read_trajectory(tmp_path / "t.txt")
    np.testing.assert_allclose(trajectory.timestamps_s, TIMES, atol=1e-6)
    np.testing.assert_allclose(trajectory.T_world_cam[:, :3, 3], P, atol=1e-12)
    np.testing.assert_allclose(trajectory.T_world_cam[:, :3, :3], R, atol=1e-9)
    assert not is_untimed(tmp_path / "t.txt")


def test_decimal_commas_between_semicolons(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text(table(TUM, ";", decimals=","))
    np.testing.assert_allclose(read_trajectory(tmp_path / "t.txt").T_world_cam[:, :3, 3], P, atol=1e-12)


@pytest.mark.parametrize(("factor", "unit"), [(10**9, "ns"), (10**6, "us"), (1000, "ms")])
def test_times_too_large_for_seconds_are_taken_for_another_unit(tmp_path: Path, factor: int, unit: str) -> None:
    epoch = 1403636579
    rows = [f"{(epoch + i) * factor} {i} 0 0 0 0 0 1" for i in range(4)]
    (tmp_path / "t.txt").write_text("\n".join(rows))
    notes: list[str] = []
    trajectory = read_trajectory(tmp_path / "t.txt", notes=notes)
    assert trajectory.timestamps_s.tolist() == [epoch + i for i in range(4)]
    assert notes == [f"t.txt: the times are taken for {unit}"]


def test_kitti_rows_with_commas_have_no_time(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("1,0,0,5,0,1,0,6,0,0,1,7\n")
    assert is_untimed(tmp_path / "t.txt")
    assert read_trajectory(tmp_path / "t.txt").T_world_cam[0, :3, 3].tolist() == [5, 6, 7]


@pytest.mark.parametrize(("text", "message"), [
    ('{"poses": []}', "is JSON, not a trajectory"), ("[[1, 2]]", "is JSON, not a trajectory"),
    ("<!DOCTYPE html><html>", "is HTML or XML, not a trajectory"), ("  \n<html>", "is HTML or XML"),
    ("", "holds no poses"), ("timestamp,tx,ty,tz,qx,qy,qz,qw\n", "holds no poses"),
    ("lat,lon,height\n1,2,3\n", "line 1: its names of columns are not understood"),
    ("timestamp,tx,ty,tz\n1,2,3,4\n", "line 1: its names of columns are not understood"),
])  # fmt: skip
def test_other_files_are_called_what_they_are(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_trajectory(tmp_path / "t.txt")


def test_rows_that_cannot_be_used_are_mended_and_noted(tmp_path: Path) -> None:
    """Times 1 4 2 2 3, and one that is not finite."""
    rows = [f"{t} {x} 0 0 0 0 0 1" for t, x in ((1, 1), (4, 4), (2, 2), (2, 9), (3, 3))]
    (tmp_path / "t.txt").write_text("\n".join([*rows, "5 nan 0 0 0 0 0 1"]))
    notes: list[str] = []
    trajectory = read_trajectory(tmp_path / "t.txt", notes=notes)
    assert trajectory.timestamps_s.tolist() == [1, 2, 3, 4]
    assert trajectory.T_world_cam[:, 0, 3].tolist() == [1, 2, 3, 4]
    assert notes == [
        "t.txt: 1 of 6 rows hold numbers that are not finite and are left out",
        "t.txt: the rows are not in order of time and were sorted",
        "t.txt: 1 of 5 rows repeat a time; the first of each is used",
    ]
    (tmp_path / "t.txt").write_text("1 nan 0 0 0 0 0 1\n")
    with pytest.raises(InputError, match="line 1: holds a number that is not finite"):
        read_trajectory(tmp_path / "t.txt", notes=notes)


def test_names_of_columns_lose_their_units() -> None:
    assert column_names("#timestamp [ns], p_RS_R_x [m], q_RS_w []") == [
        ("timestamp", "ns"), ("p_rs_r_x", "m"), ("q_rs_w", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(("written", "second_s"), [("9e10", 9e10), ("1.1e11", 1.1e8), ("5e11", 5e8)])
def test_times_beyond_the_year_5138_are_in_a_smaller_unit(tmp_path: Path, written: str, second_s: float) -> None:
    (tmp_path / "t.txt").write_text(f"1 0 0 0 0 0 0 1\n{written} 1 0 0 0 0 0 1\n")
    assert read_trajectory(tmp_path / "t.txt").timestamps_s[1] == pytest.approx(second_s)


def test_microseconds_may_be_spelled_with_a_greek_letter(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("timestamp [µs],tx,ty,tz,qx,qy,qz,qw\n" + table(TUM, ",", "us"))
    np.testing.assert_allclose(read_trajectory(tmp_path / "t.txt").timestamps_s, TIMES, atol=1e-6)


def test_nanoseconds_since_1970_are_known_though_a_point_is_in_them(tmp_path: Path) -> None:
    rows = "".join(f"{1_403_636_579 + i}000000000.0,1,2,3,1,0,0,0\n" for i in range(N))
    (tmp_path / "t.csv").write_text(rows)
    read = read_trajectory(tmp_path / "t.csv")
    np.testing.assert_allclose(read.timestamps_s, 1_403_636_579.0 + np.arange(N), atol=1e-6)
    np.testing.assert_array_equal(read.T_world_cam[:, :3, :3], np.tile(np.eye(3), (N, 1, 1)))


def test_times_of_a_file_that_is_called_euroc_are_nanoseconds_however_small(tmp_path: Path) -> None:
    rows = "".join(f"{50_000_000 * i},1,2,3,1,0,0,0\n" for i in range(N))
    (tmp_path / "t.csv").write_text("timestamp,tx,ty,tz,qw,qx,qy,qz\n" + rows)
    np.testing.assert_allclose(read_trajectory(tmp_path / "t.csv", "euroc").timestamps_s, 0.05 * np.arange(N))


def test_two_columns_that_count_say_not_which_is_the_time(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("".join(f"{i} {i + 100} 1 2 3 0 0 0 1\n" for i in range(N)))
    with pytest.raises(InputError, match="9 numbers per line"):
        read_trajectory(tmp_path / "t.txt")
    (tmp_path / "t.txt").write_text("".join(f"{i} {0.5 * i + 100} 1 2 3 0 0 0 1\n" for i in range(N)))
    np.testing.assert_allclose(read_trajectory(tmp_path / "t.txt").timestamps_s, 100 + 0.5 * np.arange(N))
