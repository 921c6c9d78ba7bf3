"""The real sequences of ../shared/data open as their notes describe them."""

from pathlib import Path

import numpy as np
import pytest

from vgslam.sources import SourceOptions, open_source, read_trajectory

pytestmark = pytest.mark.data


@pytest.mark.parametrize(
    ("name", "n", "size", "n_truth", "is_calibrated"),
    [
        ("kitti00_f000-199", 200, (1241, 376), 200, True),
        ("7scenes_redkitchen_seq01", 1000, (640, 480), 1000, True),
        ("euroc_V101_kf100", 100, (752, 480), 2691, True),
        ("tum_fr3_cabinet_58", 58, (640, 480), 58, True),
        ("lingbot_loop", 237, (518, 294), 0, False),
    ],
)
def test_sequence(real_data: Path, name: str, n: int, size: tuple[int, int], n_truth: int, is_calibrated: bool) -> None:
    source = open_source(real_data / name, SourceOptions(stride=25))
    frames = list(source)
    assert (source.kind, source.name) == ("plain", name)
    assert [("not calibrated" in line) for line in source.warnings] == [True] * (not is_calibrated)
    assert source.n_frames == len(frames) == -(-n // 25)
    assert all((f.image.shape[1], f.image.shape[0]) == size for f in frames)
    assert (source.camera is not None) == is_calibrated
    assert source.camera is None or not source.camera.is_distorted
    assert (0 if source.truth is None else len(source.truth)) == n_truth


def test_truth_moves_as_noted(real_data: Path) -> None:
    truth = open_source(real_data / "kitti00_f000-199").truth
    assert truth is not None
    path_m = np.linalg.norm(np.diff(truth.T_world_cam[:, :3, 3], axis=0), axis=1).sum()
    assert path_m == pytest.approx(144.9, abs=0.1)
    # Driving is along the optical axis.
    forward = truth.T_world_cam[0, :3, :3].T @ (truth.T_world_cam[5, :3, 3] - truth.T_world_cam[0, :3, 3])
    assert forward[2] > 0.99 * np.linalg.norm(forward)


def test_whole_kitti_trajectory(real_data: Path) -> None:
    folder = real_data / "trajectories"
    times = np.loadtxt(folder / "kitti00_full_times.txt")
    trajectory = read_trajectory(folder / "kitti00_full_gt_kitti.txt", times_s=times)
    assert len(trajectory) == 4541
    part = read_trajectory(real_data / "kitti00_f000-199" / "groundtruth.txt")
    np.testing.assert_allclose(part.T_world_cam[:, :3, 3], trajectory.T_world_cam[:200, :3, 3], atol=1e-4)
