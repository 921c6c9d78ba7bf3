"""What the trials of relocalization measure, on cameras of known places."""

import numpy as np
import pytest
from synthetic import CAMERA, pose

from bench.relocalization_trials import is_covisible, pose_error
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3


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
