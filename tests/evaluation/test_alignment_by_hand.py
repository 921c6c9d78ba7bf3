"""Alignments in which positions say less than they seem to."""

from dataclasses import replace

import numpy as np
import pytest

from vgslam.evaluation.alignment import align, best_scale
from vgslam.evaluation.conventions import convention_note
from vgslam.evaluation.evaluate import evaluate
from vgslam.evaluation.relative import consecutive_pairs
from vgslam.geometry import se3
from vgslam.types import Trajectory


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


@pytest.mark.parametrize(("n", "is_scored"), [(3, True), (2, False)])
def test_a_component_is_scored_from_three_poses_on(n: int, is_scored: bool) -> None:
    """Component 0 has 6 of 6 + n poses, component 1 the others."""
    points = np.array([[i, 0.3 * i * i, 0.1 * i**3] for i in range(6 + n)], float)
    reference = Trajectory(np.arange(6.0 + n), poses(points, np.eye(3)))
    estimate = replace(reference, component_ids=np.array([0] * 6 + [1] * n))
    evaluation = evaluate(estimate, reference)
    assert [score.n_poses for score in evaluation.components] == ([6, 3] if is_scored else [6])
    assert evaluation.unscored == ([] if is_scored else [1])


def test_what_is_said_of_components_and_of_lengths() -> None:
    """Lengths of the estimate are .8 of the true ones, so that 1.25 would mend them: 20 % too short. Components of 5, 4
    and 2 poses: three, of which two are scored."""
    points = np.array([[i, 0.3 * i * i, 0.1 * i**3] for i in range(11)], float)
    reference = Trajectory(np.arange(11.0), poses(points, np.eye(3)), is_metric=True)
    short = Trajectory(np.arange(11.0), poses(0.8 * points, np.eye(3)), component_ids=np.repeat([0, 1, 2], [5, 4, 2]))
    notes = evaluate(replace(short, is_metric=True), reference).notes
    assert "3 components, each aligned on its own; the headline is the largest, 5 of 11 scored poses" in notes
    [metric] = [note for note in notes if note.startswith("the estimate is in metres")]
    assert "its lengths are -20.00 % off" in metric
    assert not any("in metres" in note for note in evaluate(short, reference).notes)


def test_a_convention_that_is_only_somewhat_better_is_not_named() -> None:
    """Cameras turned by 10 and -10 degrees in turn, estimated as -2 and 2: 12 degrees off, and 8 if the rotations are
    taken for their inverses. That is no quarter; -9 and 9, which are 19 and 1 off, are such rotations."""
    points = np.array([[i, 0.3 * i * i, 0.1 * i**3] for i in range(10)], float)

    def turned(degrees: float) -> np.ndarray:
        angles = np.radians(degrees) * (-1.0) ** np.arange(10)
        return np.stack([se3.from_rt(se3.so3_exp(np.array([0.0, a, 0.0])), p) for a, p in zip(angles, points)])

    assert convention_note(turned(10.0), turned(-2.0)) is None
    note = convention_note(turned(10.0), turned(-9.0))
    assert note is not None
    assert "19 deg off; 1 deg if the estimate's rotations are from world to camera" in note


@pytest.mark.parametrize(("times_s", "pairs"), [([], []), ([5.0], []), ([0.0, 0.1, 0.2, 0.5], [[0, 1], [1, 2]])])
def test_pairs_of_consecutive_poses(times_s: list[float], pairs: list[list[int]]) -> None:
    assert consecutive_pairs(np.array(times_s)).tolist() == pairs


def test_a_mirrored_trajectory_is_not_scaled_as_if_it_were_none() -> None:
    """Points at 3, 2 and 1 on the axes, both ways: a^T b = diag(18, 8, -2), so that the best rotation leaves
    18 + 8 - 2 = 24 of 28."""
    a = np.concatenate([np.diag([3.0, 2.0, 1.0]), -np.diag([3.0, 2.0, 1.0])])
    assert best_scale(a, a) == pytest.approx(1.0)
    assert best_scale(a, a * [1.0, 1.0, -1.0]) == pytest.approx(24 / 28)
    assert best_scale(2.0 * a, a) == pytest.approx(2.0)
