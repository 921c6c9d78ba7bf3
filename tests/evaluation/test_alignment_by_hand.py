"""Alignments in which positions say less than they seem to."""

import numpy as np

from vgslam.evaluation.alignment import align
from vgslam.geometry import se3


def poses(points: np.ndarray, R: np.ndarray) -> np.ndarray:
    return np.stack([se3.from_rt(R, p) for p in points])


def test_paths_that_have_one_direction_in_common_are_aligned_by_their_rotations_too() -> None:
    """The corners of a square, gone through in two ways: x of one is y of the other, and the rest has nothing to do
    with one another, so that positions leave a turn about that axis open. The cameras of one are turned by 90 degrees
    about z against those of the other."""
    x, y = np.array([1.0, -1.0, 1.0, -1.0]), np.array([1.0, 1.0, -1.0, -1.0])
    zero = np.zeros(4)
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # x to y
    reference = poses(np.stack([x * y, x, zero], 1), quarter)
    estimate = poses(np.stack([x, y, zero], 1), np.eye(3))
    found = align(reference, estimate, with_scale=False)
    assert found.is_from_orientations
    np.testing.assert_allclose(found.S_ref_est.R, quarter, atol=1e-9)
