"""Arrays that grow at their end."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgslam.map.slam_map import GrowingArray


@given(st.lists(st.integers(0, 150), max_size=8))
def test_holds_everything_in_order(sizes: list[int]) -> None:
    growing, expected = GrowingArray((2,), np.float64), np.zeros((0, 2))
    for i, n in enumerate(sizes):
        rows = 1000.0 * i + np.arange(2 * n).reshape(n, 2)
        growing.extend(rows)
        expected = np.concatenate([expected, rows])
        assert len(growing) == len(expected)
        np.testing.assert_array_equal(growing.view, expected)


def test_the_view_is_writable() -> None:
    growing = GrowingArray((), np.int64)
    growing.extend([1, 2, 3])
    growing.view[1] = 20
    growing.extend(np.arange(500))
    np.testing.assert_array_equal(growing.view[:4], [1, 20, 3, 0])


@pytest.mark.parametrize(("row_shape", "dtype"), [((), np.bool_), ((3,), np.uint8), ((3, 3), np.float64)])
def test_keeps_shape_and_type(row_shape: tuple[int, ...], dtype: type) -> None:
    growing = GrowingArray(row_shape, dtype)
    assert growing.view.shape == (0, *row_shape)
    growing.extend(np.ones((5, *row_shape)))
    assert growing.view.dtype == dtype
    assert growing.view.shape == (5, *row_shape)


def test_one_row_may_be_given_without_its_axis() -> None:
    growing = GrowingArray((3,), np.float64)
    growing.extend(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(growing.view, [[1.0, 2.0, 3.0]])


def test_rows_of_another_shape_are_refused() -> None:
    growing = GrowingArray((3,), np.float64)
    with pytest.raises(ValueError, match="reshape"):
        growing.extend(np.ones(4))
    assert len(growing) == 0


def test_growing_copies_seldom() -> None:
    """Doubling: adding ten thousand rows one by one moves the data some ten times, not ten thousand."""
    growing = GrowingArray((), np.float64)
    places = set()
    for i in range(10_000):
        growing.extend([float(i)])
        places.add(growing.view.__array_interface__["data"][0])
    assert len(places) < 20
