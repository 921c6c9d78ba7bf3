"""Peaks between samples, and views that are of use, by hand."""

import numpy as np
import pytest

from vgslam.multiview.peak import peak_between
from vgslam.multiview.useful_views import useful_views


def test_the_peak_of_a_parabola_is_found() -> None:
    """1 - 3 (x - .2)^2 at -1, 0 and 1."""
    offset, curvature = peak_between(*(np.array([1 - 3 * (x - 0.2) ** 2]) for x in (-1, 0, 1)), 1e-6)
    assert offset[0] == pytest.approx(0.2)
    assert curvature[0] == pytest.approx(6.0)


def test_what_is_flat_or_hollow_has_its_peak_at_the_sample_and_none_is_farther_than_half_of_the_way() -> None:
    before, here, after = np.array([0.0, 5.0, 0.0]), np.array([0.0, 0.0, 1.0]), np.array([0.0, 6.0, 1.99])
    assert peak_between(before, here, after, 1e-6)[0].tolist() == [0.0, 0.0, 0.5]


def test_views_from_a_useful_distance_that_look_the_same_way_come_best_first() -> None:
    """In depths of 10: .2 is the geometric mean of .1 and .4; 30 degrees are too far round, 20 are not."""
    T = np.tile(np.eye(4), (8, 1, 1))
    T[:, 0, 3] = [0.0, 3.9, 0.9, 2.1, 4.1, 1.1, 2.0, 2.0]
    for n, degrees in ((6, 30.0), (7, 20.0)):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        T[n, :3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    assert useful_views(T, 0, 10.0, (0.1, 0.4)).tolist() == [7, 3, 5, 1]
