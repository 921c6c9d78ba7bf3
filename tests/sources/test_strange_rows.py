"""Rows that are nearly a trajectory: read where they can only mean one thing, else a line with the next step."""

from pathlib import Path

import numpy as np
import pytest

from vgslam.errors import InputError
from vgslam.geometry import se3
from vgslam.sources.trajectory_io import read_trajectory

N = 5
T = np.tile(np.eye(4), (N, 1, 1))
T[:, :3, :3] = [se3.so3_exp(np.array([0.1 * i, 0.2, 0.0])) for i in range(N)]
T[:, :3, 3] = [(i, 2.0, -0.5 * i) for i in range(N)]
TUM = [
    [0.1 * i, *pose[:3, 3], *se3.quaternion_from_rotation(pose[:3, :3])] for i, pose in enumerate(T)
]  # fmt: skip


def write(path: Path, rows: list[list[object]], divider: str = " ") -> Path:
    path.write_text("".join(divider.join(map(str, row)) + "\n" for row in rows))
    return path


def test_whole_matrices_of_sixteen_numbers_are_kittis(tmp_path: Path) -> None:
    read = read_trajectory(write(tmp_path / "a.txt", [list(pose.ravel()) for pose in T]))
    assert np.allclose(read.T_world_cam, T)
    broken = [[*pose.ravel()[:15], 2.0] for pose in T]
    with pytest.raises(InputError, match="16 numbers per line are neither"):
        read_trajectory(write(tmp_path / "b.txt", broken))  # type: ignore[arg-type]


def test_a_column_that_counts_the_rows_is_left_out(tmp_path: Path) -> None:
    read = read_trajectory(write(tmp_path / "a.txt", [[i + 1, *row] for i, row in enumerate(TUM)]))
    assert np.allclose(read.timestamps_s, [row[0] for row in TUM])
    assert np.allclose(read.T_world_cam, T)
    with pytest.raises(InputError, match="9 numbers per line"):
        read_trajectory(write(tmp_path / "b.txt", [[7 * i, *row] for i, row in enumerate(TUM)]))


def test_a_quaternion_of_zeros_is_a_frame_without_a_pose(tmp_path: Path) -> None:
    rows = [[*row[:4], 0, 0, 0, 0] if i == 2 else row for i, row in enumerate(TUM)]
    notes: list[str] = []
    read = read_trajectory(write(tmp_path / "a.txt", rows), notes=notes)  # type: ignore[arg-type]
    assert len(read) == N - 1
    assert any("1 of 5 rows have a quaternion of zeros" in note for note in notes)
    with pytest.raises(InputError, match="line 3: quaternion has length 0"):
        read_trajectory(tmp_path / "a.txt")
    every = [[*row[:4], 0, 0, 0, 0] for row in TUM]
    with pytest.raises(InputError, match="line 1: quaternion has length 0"):
        read_trajectory(write(tmp_path / "b.txt", every), notes=[])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([row[:4] for row in TUM], "without a rotation.*0 0 0 1"),
        ([row[1:] for row in TUM], "without a time.*Put the time before"),
        ([[row[0], *pose[:3].ravel()] for row, pose in zip(TUM, T)], "Leave the time out"),
        ([["img_0.png", *row[1:]] for row in TUM], r"begin with the name of an image \(img_0\.png\)"),
        ([[f"{x:.3f}".replace(".", ",") for x in row] for row in TUM], "commas for points"),
        ([[1.0, *row[1:]] for row in TUM], "all 5 rows have the same time"),
    ],
)
def test_what_the_rows_seem_to_be_is_said(rows: list[list[object]], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        read_trajectory(write(tmp_path / "a.txt", rows), notes=[])


def test_the_images_of_colmap_are_called_so(tmp_path: Path) -> None:
    rows = "1 1 0 0 0 0 0 0 1 0.png\n1 2 -1\n"
    (tmp_path / "images.txt").write_text(f"# Image list with two lines of data per image:\n{rows}")
    with pytest.raises(InputError, match=r"COLMAP's images\.txt, whose poses are from world to camera"):
        read_trajectory(tmp_path / "images.txt")
