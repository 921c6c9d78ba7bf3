"""Similarities: p_a = s R p_b + t, their group laws and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3

vectors = arrays(np.float64, 3, elements=st.floats(-10, 10))
similarities = st.builds(lambda w, t, s: Sim3(se3.so3_exp(w), t, s), vectors, vectors, st.floats(0.05, 20))
points = arrays(np.float64, (4, 3), elements=st.floats(-10, 10))


def assert_close(A: Sim3, B: Sim3) -> None:
    np.testing.assert_allclose(A.matrix(), B.matrix(), atol=1e-6, rtol=1e-9)


@given(similarities, similarities, similarities)
def test_group_laws(A: Sim3, B: Sim3, C: Sim3) -> None:
    assert_close((A @ B) @ C, A @ (B @ C))
    assert_close(A @ Sim3.identity(), A)
    assert_close(Sim3.identity() @ A, A)
    np.testing.assert_allclose((A @ A.inverse()).matrix(), np.eye(4), atol=1e-9)
    np.testing.assert_allclose((A.inverse() @ A).matrix(), np.eye(4), atol=1e-7)


@given(similarities, similarities, points)
def test_composition_applies_right_to_left(A: Sim3, B: Sim3, p: np.ndarray) -> None:
    np.testing.assert_allclose((A @ B).apply(p), A.apply(B.apply(p)), atol=1e-8)


@given(similarities, points)
def test_matrix_is_the_action_on_homogeneous_points(S: Sim3, p: np.ndarray) -> None:
    expected = (np.c_[p, np.ones(len(p))] @ S.matrix().T)[:, :3]
    np.testing.assert_allclose(S.apply(p), expected, atol=1e-9)


@given(similarities, vectors, vectors)
def test_compose_pose_moves_the_camera_centre_and_keeps_a_rigid_pose(S: Sim3, w: np.ndarray, t: np.ndarray) -> None:
    T = S.compose_pose(se3.from_rt(se3.so3_exp(w), t))
    np.testing.assert_allclose(T[:3, 3], S.apply(t[None])[0], atol=1e-9)
    np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(T[:3, :3], S.R @ se3.so3_exp(w), atol=1e-12)


@given(vectors, vectors)
def test_scale_one_is_a_rigid_motion(w: np.ndarray, t: np.ndarray) -> None:
    T = se3.from_rt(se3.so3_exp(w), t)
    S = Sim3.from_T(T)
    assert S.s == 1.0
    np.testing.assert_allclose(S.matrix(), T, atol=1e-9)
    np.testing.assert_allclose(S.pose, T, atol=1e-9)


def test_convention_by_hand() -> None:
    """Twice as large, a quarter turn about z, then moved: (1, 0, 0) -> (0, 2, 0) -> (5, 8, 7)."""
    S = Sim3(se3.so3_exp(np.array([0, 0, np.pi / 2])), np.array([5.0, 6, 7]), 2.0)
    np.testing.assert_allclose(S.apply(np.array([[1.0, 0, 0]])), [[5, 8, 7]])
    np.testing.assert_allclose(S.inverse().apply(np.array([[5.0, 8, 7]])), [[1, 0, 0]], atol=1e-12)
    assert S.inverse().s == 0.5


def test_long_chains_stay_rotations() -> None:
    step = Sim3(se3.so3_exp(np.array([0.1, 0.2, 0.3])), np.array([0.1, 0, 0]), 1.0)
    S = Sim3.identity()
    for _ in range(5000):
        S = S @ step
    np.testing.assert_allclose(S.R @ S.R.T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize(
    ("R", "t", "s", "message"),
    [
        (np.eye(3), np.zeros(3), 0.0, "scale s must be positive"),
        (np.eye(3), np.zeros(3), -1.0, "scale s must be positive"),
        (np.eye(3), np.zeros(3), np.nan, "scale s must be positive"),
        (np.eye(3), np.array([0, np.inf, 0]), 1.0, "finite"),
        (np.full((3, 3), np.nan), np.zeros(3), 1.0, "finite"),
        (2 * np.eye(3), np.zeros(3), 1.0, "not a rotation"),
        (np.diag([1.0, 1, -1]), np.zeros(3), 1.0, "not a rotation"),
        (np.eye(4), np.zeros(3), 1.0, "shape"),
    ],
)
def test_what_is_no_similarity_is_refused(R: np.ndarray, t: np.ndarray, s: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sim3(R, t, s)
