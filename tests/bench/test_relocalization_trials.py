"""What the trials of relocalization measure, on cameras of known places."""

from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import CAMERA, pose

from bench.relocalization_trials import alignment, is_covisible, pose_error, rotation_alignment
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.types import Trajectory


def test_errors_are_in_units_of_the_truth() -> None:
    S = Sim3(se3.so3_exp(np.radians([10.0, 20.0, 30.0])), np.array([1.0, 2.0, 3.0]), 2.5)
    T_map = pose((5, -3, 2), (0.4, 0.1, 0.2))
    T_truth = se3.from_rt(S.R @ T_map[:3, :3], S.apply(T_map[:3, 3]))
    assert pose_error(S, T_map, T_truth) == pytest.approx((0.0, 0.0), abs=1e-5)
    moved = T_map.copy()
    moved[0, 3] += 0.1
    assert pose_error(S, moved, T_truth)[0] == pytest.approx(0.25)
    turned = T_map @ pose((0, 4, 0), (0, 0, 0))
    assert pose_error(S, turned, T_truth) == pytest.approx((0.0, 4.0), abs=1e-5)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (pose((0, 0, 0), (0.3, 0, 0)), True),
        (pose((0, 20, 0), (0, 0, 0)), True),
        (pose((0, 50, 0), (0, 0, 0)), False),
        (pose((0, 180, 0), (0, 0, 0)), False),
        (pose((0, 180, 0), (0, 0, 4.0)), False),
        (pose((0, 0, 0), (3.0, 0, 0)), False),
    ],
)
def test_covisible_is_half_of_the_view_from_the_same_side(other: np.ndarray, expected: bool) -> None:
    assert is_covisible(np.eye(4), other[None], CAMERA, depth=2.0) is expected


def test_rotations_of_a_map_from_a_straight_path_are_aligned_by_rotations() -> None:
    rng = np.random.default_rng(2)
    true = np.stack([pose((0, 3 * i, 0), (0.01 * i, 1e-4 * i * i, 1e-5 * i**3)) for i in range(12)])
    turn = se3.so3_exp(np.array([0.3, -0.2, 1.0]))
    found = true.copy()
    found[:, :3, :3] = turn.T @ true[:, :3, :3]
    found[:, :3, 3] = (true[:, :3, 3] + 0.004 * rng.normal(size=(12, 3))) @ turn
    n = np.arange(12)
    localizer = SimpleNamespace(map=SimpleNamespace(trajectory=lambda: Trajectory(n.astype(float), found, n)))
    np.testing.assert_allclose(rotation_alignment(localizer, true), turn, atol=1e-12)  # type: ignore[arg-type]
    by_positions = alignment(localizer, true)  # type: ignore[arg-type]
    assert se3.angle_deg(by_positions.R.T @ turn) > 3.0
