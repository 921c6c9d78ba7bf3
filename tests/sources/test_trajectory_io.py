"""Trajectory files: conventions with hand-made numbers, round trips, and clear refusals."""

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vgslam.errors import InputError, OutputError
from vgslam.geometry import se3
from vgslam.sources import read_trajectory, write_trajectory
from vgslam.sources.trajectory_io import seconds_from_ns, sensor_T_body
from vgslam.types import Trajectory

TUM_ROW = "{} 0 0 0 0 0 0 1\n"


def random_trajectory(n: int = 20, start_s: float = 1403715273.262142976) -> Trajectory:
    rng = np.random.default_rng(7)
    T = np.array([se3.from_rt(se3.so3_exp(rng.normal(0, 2, 3)), rng.normal(0, 100, 3)) for _ in range(n)])
    return Trajectory(start_s + np.cumsum(rng.uniform(0.001, 0.1, n)), T)


@pytest.mark.parametrize("kind", ["tum", "kitti", "euroc"])
@pytest.mark.parametrize("declared", [True, False])
def test_round_trip(tmp_path: Path, kind: str, declared: bool) -> None:
    trajectory = random_trajectory()
    write_trajectory(tmp_path / "t", trajectory, kind)
    times = trajectory.timestamps_s if kind == "kitti" else None
    again = read_trajectory(tmp_path / "t", kind if declared else "auto", times)
    np.testing.assert_allclose(again.T_world_cam, trajectory.T_world_cam, rtol=0, atol=2e-9)
    np.testing.assert_allclose(again.timestamps_s, trajectory.timestamps_s, rtol=0, atol=3e-7 if kind == "euroc" else 0)


def test_tum_convention(tmp_path: Path) -> None:
    half = np.sqrt(0.5)
    (tmp_path / "t").write_text(f"# comment\n\n1.5 1 2 3 {half} 0 0 {half}  # a quarter turn about x\n")
    trajectory = read_trajectory(tmp_path / "t")
    assert trajectory.timestamps_s.tolist() == [1.5]
    expected = [[1, 0, 0, 1], [0, 0, -1, 2], [0, 1, 0, 3], [0, 0, 0, 1]]
    np.testing.assert_allclose(trajectory.T_world_cam[0], expected, atol=1e-12)
    assert not trajectory.is_metric
    assert read_trajectory(tmp_path / "t", is_metric=True).is_metric


def test_kitti_convention_and_times(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("1 0 0 1 0 0 -1 2 0 1 0 3\n1 0 0 4 0 0 -1 5 0 1 0 6\n")
    trajectory = read_trajectory(tmp_path / "t")
    np.testing.assert_allclose(trajectory.T_world_cam[1][:3, 3], [4, 5, 6])
    np.testing.assert_allclose(trajectory.T_world_cam[0][:3, 1], [0, 0, 1])
    assert trajectory.timestamps_s.tolist() == [0.0, 1.0]
    assert read_trajectory(tmp_path / "t", times_s=np.array([5.0, 7.0])).timestamps_s.tolist() == [5.0, 7.0]
    with pytest.raises(InputError, match="2 poses but 1 timestamps"):
        read_trajectory(tmp_path / "t", times_s=np.array([5.0]))


def test_euroc_convention(tmp_path: Path) -> None:
    half = np.sqrt(0.5)
    row = f"1403636579763555584,1,2,3,{half},{half},0,0,9,9,9\n"  # qw qx qy qz, then velocity
    (tmp_path / "t.csv").write_text("#timestamp,...\n" + row)
    trajectory = read_trajectory(tmp_path / "t.csv")
    np.testing.assert_allclose(trajectory.T_world_cam[0][:3, 1], [0, 0, 1], atol=1e-12)
    assert trajectory.timestamps_s[0] == 1403636579.763555584


def test_euroc_is_taken_to_the_camera_by_the_sensors_beside_it(tmp_path: Path) -> None:
    sensor = "T_BS:\n  data: [1, 0, 0, {}, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]\n"
    for name, x in (("cam0", 0.5), ("vicon0", 0.2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sensor.yaml").write_text(sensor.format(x))
    # The marker, turned half about z, is at x = 1; the camera is 0.3 further along the marker's x: -0.3 in the world.
    (tmp_path / "vicon0" / "data.csv").write_text("10,1,0,0,0,0,0,1\n")
    T = read_trajectory(tmp_path / "vicon0" / "data.csv").T_world_cam[0]
    np.testing.assert_allclose(T[:3, 3], [0.7, 0, 0], atol=1e-12)
    (tmp_path / "cam0" / "sensor.yaml").write_text(sensor.format(".nan"))
    with pytest.raises(InputError, match=r"cam0.sensor\.yaml: T_BS is not a rigid motion"):
        read_trajectory(tmp_path / "vicon0" / "data.csv")


def test_tum_file_keeps_nanoseconds_and_nine_digits(tmp_path: Path) -> None:
    T = np.tile(np.eye(4), (2, 1, 1))
    T[1, 0, 3] = 0.123456789012
    write_trajectory(tmp_path / "t.tum", Trajectory(np.array([0.000000001, 12.000000002]), T))
    first, second = (tmp_path / "t.tum").read_text().splitlines()[1:]
    assert first.startswith("0.000000001 ")
    assert second.split()[:2] == ["12.000000002", "0.123456789012"]


def test_empty_trajectory_is_written_and_refused_when_read(tmp_path: Path) -> None:
    write_trajectory(tmp_path / "t.tum", Trajectory(np.zeros(0), np.zeros((0, 4, 4))))
    with pytest.raises(InputError, match="holds no poses"):
        read_trajectory(tmp_path / "t.tum")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TUM_ROW.format(1) + "2 0 0 nan 0 0 0 1\n", "line 2: holds a number that is not finite"),
        (TUM_ROW.format("inf"), "line 1: holds a number that is not finite"),
        ("# head\n" + TUM_ROW.format(1) + "2 0 0 0 0 0 0 2\n", "line 3: quaternion has length 2 instead of 1"),
        (TUM_ROW.format(1) + "2 0 0 0 0 0 0 0\n", "line 2: quaternion has length 0"),
        (TUM_ROW.format(1) + TUM_ROW.format(1), "line 2: timestamp 1.000000000 repeats the one before"),
        (TUM_ROW.format(2) + TUM_ROW.format(1), "line 2: timestamp 1.000000000 is not later"),
        (TUM_ROW.format(1) + "2 0 0 0\n", "line 2: 4 numbers instead of 8"),
        (TUM_ROW.format("one"), "line 1: not a number"),
        ("1 2 3\n", "3 numbers per line are neither a TUM"),
        ("2 0 0 0 0 2 0 0 0 0 2 0\n", "line 1: the 3x3 part is not a rotation"),
        ("-1 0 0 0 0 1 0 0 0 0 1 0\n", "line 1: the 3x3 part is not a rotation"),
        ("1,2,3\n", "line 1: 3 numbers instead of 8"),
        ("", "holds no poses"),
        ("# only a comment\n", "holds no poses"),
    ],
)
def test_malformed_files_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_trajectory(tmp_path / "t.txt")
    assert "t.txt" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unordered_rows_can_be_dropped(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("".join(f"{t} {t} 0 0 0 0 0 1\n" for t in (1, 3, 3, 2, 3.5, 4)))
    trajectory = read_trajectory(tmp_path / "t.txt", drop_unordered=True)
    assert trajectory.timestamps_s.tolist() == [1, 3, 3.5, 4]
    assert trajectory.T_world_cam[:, 0, 3].tolist() == [1, 3, 3.5, 4]


def test_rounded_quaternions_are_normalised(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("1 0 0 0 0.7071 0 0 0.7071\n")
    R = read_trajectory(tmp_path / "t.txt").T_world_cam[0][:3, :3]
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)


def test_missing_binary_and_unknown(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_trajectory(tmp_path / "absent")
    (tmp_path / "b").write_bytes(bytes(range(128, 256)))
    with pytest.raises(InputError, match="not a text file"):
        read_trajectory(tmp_path / "b")
    with pytest.raises(InputError, match="kind 'bvh' is unknown"):
        read_trajectory(tmp_path / "b", "bvh")
    with pytest.raises(InputError, match="kind 'bvh' is unknown"):
        write_trajectory(tmp_path / "c", random_trajectory(), "bvh")


def test_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.tum"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"t\.tum: cannot be written \(No space left on device\)"):
        write_trajectory(path, random_trajectory())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_write_into_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_trajectory(tmp_path / "absent" / "t.txt", random_trajectory())


def test_nanoseconds_become_the_nearest_seconds() -> None:
    rng = np.random.default_rng(0)
    for ns in rng.integers(1_400_000_000 * 10**9, 1_800_000_000 * 10**9, 200).tolist():
        assert seconds_from_ns(str(ns)) == float(Fraction(ns, 10**9))
    assert seconds_from_ns("1.5e9") == 1.5


@pytest.mark.parametrize("T", [2.0 * np.eye(4), np.diag([1.0, 1.0, 0.99, 1.0])])
def test_a_sensor_that_stretches_is_refused(tmp_path: Path, T: np.ndarray) -> None:
    (tmp_path / "sensor.yaml").write_text(f"T_BS:\n  data: {T.ravel().tolist()}\n")
    with pytest.raises(InputError, match="T_BS is not a rigid motion"):
        sensor_T_body(tmp_path / "sensor.yaml")
