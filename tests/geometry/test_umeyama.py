"""Similarity from corresponding points: exact recovery, optimality, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vgslam.geometry import se3
from vgslam.geometry.robust_similarity import umeyama
from vgslam.geometry.sim3 import Sim3

vectors = arrays(np.float64, 3, elements=st.floats(-10, 10))
similarities = st.builds(lambda w, t, s: Sim3(se3.so3_exp(w), t, s), vectors, vectors, st.floats(0.05, 20))
seeds = st.integers(0, 2**32 - 1)


def cloud(seed: int, n: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, (n, 3))


def assert_same(A: Sim3, B: Sim3, tolerance: float = 1e-7) -> None:
    np.testing.assert_allclose(A.R, B.R, atol=tolerance)
    np.testing.assert_allclose(A.s, B.s, rtol=tolerance)
    np.testing.assert_allclose(A.t, B.t, atol=30 * tolerance)


@given(similarities, seeds)
def test_exact_points_give_the_similarity_back(S: Sim3, seed: int) -> None:
    b = cloud(seed)
    assert_same(umeyama(S.apply(b), b), S)


@given(similarities, seeds)
def test_points_in_a_plane_are_enough_and_never_give_a_reflection(S: Sim3, seed: int) -> None:
    b = cloud(seed) * [1, 1, 0]
    assert_same(umeyama(S.apply(b), b), S)


@given(seeds)
def test_mirrored_points_still_give_a_rotation(seed: int) -> None:
    b = cloud(seed)
    assert np.linalg.det(umeyama(b * [1, 1, -1], b).R) == pytest.approx(1.0)


@given(similarities, seeds)
def test_result_is_optimal(S: Sim3, seed: int) -> None:
    """With noise, no small change of rotation, translation or scale lowers the weighted squared error."""
    rng = np.random.default_rng(seed)
    b = cloud(seed)
    a = S.apply(b) + rng.normal(0, 0.1 * S.s, b.shape)
    weights = rng.uniform(0.1, 2, len(b))

    def cost(estimate: Sim3) -> float:
        return float(weights @ ((a - estimate.apply(b)) ** 2).sum(1))

    found = umeyama(a, b, weights)
    best = cost(found)
    for step in np.concatenate([np.eye(7), -np.eye(7)]) * 1e-3:
        R = found.R @ se3.so3_exp(step[:3])
        assert cost(Sim3(R, found.t + S.s * step[3:6], found.s * np.exp(step[6]))) >= best * (1 - 1e-9)


@given(similarities, seeds)
def test_weights_of_zero_remove_points(S: Sim3, seed: int) -> None:
    b = cloud(seed)
    a = S.apply(b)
    a[:5] += 100
    weights = np.r_[np.zeros(5), np.ones(len(b) - 5)]
    assert_same(umeyama(a, b, weights), S)


def test_by_hand() -> None:
    """A square of side 1 becomes one of side 2, turned a quarter about z and moved by (1, 1, 1)."""
    b = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    a = np.array([[1.0, 1, 1], [1, 3, 1], [-1, 3, 1], [-1, 1, 1]])
    S = umeyama(a, b)
    assert S.s == pytest.approx(2.0)
    np.testing.assert_allclose(S.R, [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(S.t, [1, 1, 1], atol=1e-12)


@pytest.mark.parametrize("b", [np.zeros((2, 3)), np.ones((5, 3))])
def test_points_that_coincide_are_refused(b: np.ndarray) -> None:
    with pytest.raises(ValueError, match="coincide"):
        umeyama(b, b)
