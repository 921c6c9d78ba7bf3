"""Distances in the plane, by their definition."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vgslam.geometry.plane_distances import squared_distances

POINTS = st.integers(0, 5).flatmap(lambda n: arrays(np.float64, (n, 2), elements=st.floats(-1e3, 1e3)))


@given(POINTS, POINTS)
def test_they_are_those_of_the_definition_to_the_last_bit(points: np.ndarray, others: np.ndarray) -> None:
    expected = ((points[:, None, :] - others[None]) ** 2).sum(2)
    np.testing.assert_array_equal(squared_distances(points, others), expected)


def test_by_hand() -> None:
    found = squared_distances(np.array([[0.0, 0.0], [1.0, 2.0]], np.float32), np.array([[3.0, 4.0]]))
    np.testing.assert_array_equal(found, [[25.0], [8.0]])
    assert found.dtype == np.float64
