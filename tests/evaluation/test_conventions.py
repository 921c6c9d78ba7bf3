"""Poses in another convention are recognised, and nothing is said where there is nothing to say."""

import numpy as np
import pytest

from vgslam.evaluation.conventions import convention_note
from vgslam.evaluation.evaluate import EvaluationOptions, evaluate
from vgslam.geometry import se3
from vgslam.types import Array, Trajectory

OPENGL = np.diag([1.0, -1.0, -1.0])
BODY = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
VEHICLE = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])


def walk(n: int = 80) -> Array:
    """A camera that goes up a winding path and looks about."""
    T = np.tile(np.eye(4), (n, 1, 1))
    for i, a in enumerate(np.linspace(0, 4, n)):
        turn = se3.so3_exp(np.array([0.2 * np.sin(2 * a), 0.9 * a, 0.1 * a])) @ se3.so3_exp(np.array([0.4, 0.3, -0.2]))
        T[i] = se3.from_rt(turn, np.array([3 * np.sin(a), 0.6 * a * np.cos(a), 2 * a]))
    return T


def estimate(T: Array, seed: int = 0, noise: float = 0.002) -> Array:
    """The same poses in another world and unit, with noise."""
    rng = np.random.default_rng(seed)
    R, t, s = se3.so3_exp(rng.normal(0, 1, 3)), rng.normal(0, 5, 3), rng.uniform(0.1, 4)
    out = T.copy()
    for one in out:
        one[:3, :3] = R @ one[:3, :3] @ se3.so3_exp(rng.normal(0, noise, 3))
        one[:3, 3] = s * (R @ one[:3, 3] + t + rng.normal(0, noise, 3))
    return out


def with_rotations(T: Array, R: Array) -> Array:
    out = T.copy()
    out[:, :3, :3] = R
    return out


def reordered(T: Array, order: list[int]) -> Array:
    """As if a quaternion (x y z w) had been read in another order."""
    q = np.array([se3.quaternion_from_rotation(R) for R in T[:, :3, :3]])[:, order]
    return with_rotations(T, np.array([se3.rotation_from_quaternion(one) for one in q]))


def mirrored(T: Array) -> Array:
    M = np.diag([1.0, -1.0, 1.0, 1.0])
    return M @ T @ M


CHANGES = {
    "quaternions are written w first": lambda T: reordered(T, [3, 0, 1, 2]),  # the file says w x y z, read as x y z w
    "quaternions are written w last": lambda T: reordered(T, [1, 2, 3, 0]),
    "rotations are from world to camera": lambda T: with_rotations(T, np.swapaxes(T[:, :3, :3], 1, 2)),
    "poses are from world to camera": lambda T: se3.inverse(T),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("who", ["estimate", "reference"])
def test_another_convention_is_named(who: str, name: str, seed: int) -> None:
    ref = walk()
    est = estimate(ref, seed)
    pair = (CHANGES[name](ref), est) if who == "reference" else (ref, CHANGES[name](est))
    note = convention_note(*pair)
    assert note is not None
    assert f"{who}'s {name}" in note


@pytest.mark.parametrize(("R", "who", "name"), [
    (OPENGL, "one of the two", "OpenGL's"), (BODY, "the reference", "a body's"), (BODY.T, "the estimate", "a body's"),
    (VEHICLE, "the reference", "a vehicle's"), (VEHICLE.T, "the estimate", "a vehicle's"),
])  # fmt: skip
@pytest.mark.parametrize("seed", range(3))
def test_other_axes_of_the_camera_are_named(R: Array, who: str, name: str, seed: int) -> None:
    """The reference's camera has the columns of R, in the estimate's, as axes."""
    ref = walk()
    note = convention_note(with_rotations(ref, ref[:, :3, :3] @ R), estimate(ref, seed))
    assert note is not None
    assert name in note
    assert f"in {who}" in note


def test_a_camera_mounted_at_an_angle_is_told_from_right_angles() -> None:
    ref = walk()
    tilt = se3.so3_exp(np.radians([0.0, 40.0, 0.0]))
    note = convention_note(with_rotations(ref, ref[:, :3, :3] @ tilt), estimate(ref))
    assert note is not None
    assert "turned against each other, by 40 deg" in note


@pytest.mark.parametrize(("error", "is_named"), [(0.005, True), (0.06, False)])
def test_a_turn_that_the_errors_of_the_positions_explain_is_no_mounting(error: float, is_named: bool) -> None:
    """A path that is nearly straight, of a camera that hardly turns: errors across it turn the alignment about its
    direction, which looks like a camera that is mounted otherwise."""
    x = np.linspace(-1, 1, 80)
    T = np.stack([se3.from_rt(se3.so3_exp(np.array([0.1 * a, 0.1 * a * a, 0.0])), np.zeros(3)) for a in x])
    T[:, :3, 3] = np.stack([3 * x, 0.3 * np.sin(3 * x), 0.3 * np.cos(2 * x)], axis=1)
    moved = T.copy()
    moved[:, :3, 3] = T[:, :3, 3] @ se3.so3_exp(np.radians([12.0, 0, 0])).T
    moved[:, 1, 3] += error * np.sin(7 * x)
    moved[:, 2, 3] += error * np.cos(8 * x)
    note = convention_note(T, moved)
    assert (note is not None and "turned against each other" in note) == is_named


def test_a_mirrored_world_is_named() -> None:
    ref = walk()
    note = convention_note(mirrored(ref), estimate(ref))
    assert note is not None
    assert "mirrored" in note


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_said_of_poses_that_agree_or_are_only_bad(seed: int) -> None:
    ref = walk()
    rng = np.random.default_rng(seed)
    assert convention_note(ref, estimate(ref, seed)) is None
    assert convention_note(ref, estimate(ref, seed, noise=0.3)) is None
    lost = estimate(ref, seed)
    lost[:, :3, 3] += np.cumsum(rng.normal(0, 1, (len(ref), 3)), axis=0)
    lost[:, :3, :3] = [se3.so3_exp(rng.normal(0, 1, 3)) for _ in ref]
    assert convention_note(ref, lost) is None


def test_a_straight_path_does_not_say_how_the_camera_is_turned() -> None:
    ref = walk()
    ref[:, :3, 3] = np.linspace(0, 5, len(ref))[:, None] * [1.0, 0.2, 0.1]
    ref[:, 0, 3] += 0.001 * np.sin(np.arange(len(ref)))
    assert convention_note(ref, estimate(ref)) is None
    assert convention_note(with_rotations(ref, ref[:, :3, :3] @ OPENGL), estimate(ref)) is None


def test_the_note_is_in_the_evaluation_and_the_scores_are_as_read() -> None:
    ref = walk()
    t = np.arange(len(ref)) / 30
    wrong = reordered(estimate(ref), [3, 0, 1, 2])
    evaluation = evaluate(Trajectory(t, wrong), Trajectory(t, ref))
    assert any("w first" in note for note in evaluation.notes)
    assert evaluation.headline.rotation_ape_deg.rmse > 20
    assert not evaluate(Trajectory(t, estimate(ref)), Trajectory(t, ref)).notes


def test_frames_without_a_partner_in_time_are_counted_and_the_option_is_named() -> None:
    """A reference at 10 Hz for frames at 30 Hz: a third of the frames can be scored."""
    T = walk(201)
    t = np.arange(201) / 30
    reference = Trajectory(t[::3] + 0.001, T[::3])
    evaluation = evaluate(Trajectory(t, T), reference, EvaluationOptions(max_difference_s=0.005, frame_timestamps_s=t))
    assert evaluation.coverage.n_scored == 67
    assert evaluation.coverage.coverage == pytest.approx(67 / 201, abs=0.01)
    assert any("134 of 201" in note and "--max-difference" in note for note in evaluation.notes)


@pytest.mark.parametrize(
    ("order", "signs", "name"),
    [
        ([1, 0, 2], [1, 1, 1], "x and y swapped"),
        ([0, 2, 1], [1, 1, 1], "y and z swapped"),
        ([0, 1, 2], [-1, 1, 1], "x mirrored"),
    ],
)
@pytest.mark.parametrize("height", [1.0, 0.05], ids=["winding", "nearly flat"])
def test_columns_of_positions_that_were_mixed_up(
    order: list[int], signs: list[int], name: str, height: float
) -> None:
    """Where the path is nearly flat the positions agree all but, and the rotations do not."""
    T = walk()
    T[:, 1, 3] *= height
    wrong = T.copy()
    wrong[:, :3, 3] = T[:, :3, 3][:, order] * signs
    note = convention_note(T, wrong)
    assert note is not None
    assert f"the estimate's positions alone have {name}" in note
