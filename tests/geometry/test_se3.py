"""Rigid motions: group laws by property tests, conventions by hand-made numbers."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vgslam.geometry import se3

vectors = arrays(np.float64, 3, elements=st.floats(-100, 100))
# Rotation vectors inside the ball of radius pi, small ones included.
rotations = st.builds(
    lambda v, angle: v / max(np.linalg.norm(v), 1e-9) * angle,
    arrays(np.float64, 3, elements=st.floats(-1, 1)).filter(lambda v: np.linalg.norm(v) > 1e-3),
    st.one_of(st.floats(0, np.pi - 1e-6), st.floats(0, 1e-5)),
)
poses = st.builds(lambda w, t: se3.from_rt(se3.so3_exp(w), t), rotations, vectors)


@given(rotations)
@example(np.zeros(3))
@example(np.array([0.0, 0.0, np.pi - 1e-7]))
@example(np.array([1e-9, 0.0, 0.0]))
def test_so3_log_inverts_exp(w: np.ndarray) -> None:
    R = se3.so3_exp(w)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1.0)
    np.testing.assert_allclose(se3.so3_log(R), w, atol=1e-8)


@given(rotations, vectors)
def test_log_inverts_exp(w: np.ndarray, v: np.ndarray) -> None:
    xi = np.concatenate([w, v])
    np.testing.assert_allclose(se3.log(se3.exp(xi)), xi, atol=1e-6)


@given(rotations, vectors)
def test_exp_is_the_limit_of_small_steps(w: np.ndarray, v: np.ndarray) -> None:
    """exp(xi) = (I + xi^/n)^n for large n: the definition, independent of the closed form."""
    xi_hat = np.zeros((4, 4))
    xi_hat[:3, :3], xi_hat[:3, 3] = se3.skew(w), v
    T = np.eye(4) + xi_hat / 2**24 + (xi_hat / 2**24) @ (xi_hat / 2**24) / 2
    for _ in range(24):
        T = T @ T
    np.testing.assert_allclose(se3.exp(np.concatenate([w, v])), T, atol=1e-5)


@given(poses, poses, poses)
def test_group_laws(A: np.ndarray, B: np.ndarray, C: np.ndarray) -> None:
    np.testing.assert_allclose((A @ B) @ C, A @ (B @ C), atol=1e-9)
    np.testing.assert_allclose(A @ se3.inverse(A), np.eye(4), atol=1e-9)
    np.testing.assert_allclose(se3.inverse(A @ B), se3.inverse(B) @ se3.inverse(A), atol=1e-9)


@given(poses, arrays(np.float64, (5, 3), elements=st.floats(-100, 100)))
def test_transform_is_undone_by_the_inverse(T: np.ndarray, points: np.ndarray) -> None:
    np.testing.assert_allclose(se3.transform(se3.inverse(T), se3.transform(T, points)), points, atol=1e-9)


def test_inverse_of_many_at_once() -> None:
    T = np.stack([se3.exp(np.arange(6) * 0.1 * i) for i in range(4)])
    np.testing.assert_allclose(se3.inverse(T) @ T, np.tile(np.eye(4), (4, 1, 1)), atol=1e-12)


def test_conventions_by_hand() -> None:
    """A quarter turn about z takes x to y; T_a_b takes points in b to a."""
    quarter = se3.so3_exp(np.array([0, 0, np.pi / 2]))
    np.testing.assert_allclose(quarter @ [1, 0, 0], [0, 1, 0], atol=1e-15)
    T = se3.from_rt(quarter, np.array([10.0, 20, 30]))
    np.testing.assert_allclose(se3.transform(T, np.array([[1.0, 2, 3]])), [[8, 21, 33]])
    np.testing.assert_allclose(se3.skew(np.array([1.0, 2, 3])) @ [4, 5, 6], np.cross([1, 2, 3], [4, 5, 6]))
    assert se3.angle_deg(quarter) == pytest.approx(90.0)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(se3.quaternion_from_rotation(quarter), [0, 0, half, half], atol=1e-12)
    np.testing.assert_allclose(
        se3.rotation_from_quaternion(np.array([half, 0, 0, half])) @ [0, 1, 0], [0, 0, 1], atol=1e-12
    )


def test_translation_of_exp_by_hand() -> None:
    """A half turn about z while moving along x at unit speed per radian: the half circle ends at y = 2."""
    T = se3.exp(np.array([0, 0, np.pi, np.pi, 0, 0]))
    np.testing.assert_allclose(T[:3, 3], [0, 2, 0], atol=1e-12)


@given(rotations)
def test_quaternion_round_trip(w: np.ndarray) -> None:
    R = se3.so3_exp(w)
    q = se3.quaternion_from_rotation(R)
    assert np.linalg.norm(q) == pytest.approx(1.0)
    assert q[3] >= 0
    np.testing.assert_allclose(se3.rotation_from_quaternion(q), R, atol=1e-9)
    np.testing.assert_allclose(se3.rotation_from_quaternion(-3.0 * q), R, atol=1e-9)


@given(rotations)
def test_angle_is_the_length_of_the_rotation_vector(w: np.ndarray) -> None:
    assert se3.angle_deg(se3.so3_exp(w)) == pytest.approx(np.degrees(np.linalg.norm(w)), abs=1e-6)


@given(rotations, arrays(np.float64, (3, 3), elements=st.floats(-1e-3, 1e-3)))
def test_orthonormalize_gives_the_nearest_rotation(w: np.ndarray, noise: np.ndarray) -> None:
    R = se3.so3_exp(w)
    nearest = se3.orthonormalize(R + noise)
    np.testing.assert_allclose(nearest @ nearest.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(nearest) == pytest.approx(1.0)
    # No rotation near it is nearer to the noisy matrix.
    best = np.linalg.norm(nearest - R - noise)
    for axis in np.eye(3) * 1e-4:
        assert np.linalg.norm(nearest @ se3.so3_exp(axis) - R - noise) >= best - 1e-12


def test_orthonormalize_never_returns_a_reflection() -> None:
    assert np.linalg.det(se3.orthonormalize(np.diag([1.0, 1.0, -0.1]))) == pytest.approx(1.0)


def test_zero_quaternion_is_refused() -> None:
    with pytest.raises(ValueError, match="zero norm"):
        se3.rotation_from_quaternion(np.zeros(4))


@given(arrays(np.float64, (3, 3), elements=st.floats(-10, 10)))
def test_the_determinant_is_numpys(M):
    assert se3.determinant(M) == pytest.approx(np.linalg.det(M), abs=1e-9)


@pytest.mark.parametrize(("change", "expected"), [
    (np.eye(3), True), (np.diag([1.0, 1.0, -1.0]), False), (-np.eye(3), False), (1.00001 * np.eye(3), False),
    (np.eye(3) + 2e-6 * np.ones((3, 3)), False), (np.eye(3) + 1e-7 * np.ones((3, 3)), True), (np.zeros((3, 3)), False),
    (np.array([[1.0, 1e-3, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), False),
])  # fmt: skip
def test_rotations_are_told_from_other_matrices(change, expected):
    R = se3.so3_exp(np.array([0.3, -1.2, 0.7]))
    assert se3.is_rotation(change @ R) is expected


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_half_a_turn_about_an_axis_is_pi(axis: int) -> None:
    """The quaternion's last number is exactly 0."""
    R = -np.eye(3)
    R[axis, axis] = 1.0
    w = se3.so3_log(R)
    assert np.abs(w) == pytest.approx(np.pi * np.eye(3)[axis])
    assert se3.angle_deg(R) == pytest.approx(180.0)
