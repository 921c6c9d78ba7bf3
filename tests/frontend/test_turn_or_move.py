"""A view in which hardly any depth is known: the pose that two views alone give, where it explains clearly more."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import CAMERA, pose

from vgslam.frontend.turn_or_move import better_pose
from vgslam.geometry import se3
from vgslam.multiview.pnp import CentrePrior, PosePoints, refine_pose
from vgslam.types import Array

OFF_DEG = 0.7
MOVED = pose((2, 40, -1), (0.1, 0.0, 0.28))
STILL = CentrePrior(np.zeros(3), 0.083)


def wall_and_thing() -> tuple[Array, Array]:
    """Pixels (150,2) in a camera at the origin and their depths: of a wall at 8, and of a thing at 2 in a corner."""
    rng = np.random.default_rng(3)
    wall, thing = rng.uniform((200, 10), (312, 230), (125, 2)), rng.uniform((200, 20), (240, 60), (25, 2))
    return np.concatenate([wall, thing]), np.repeat([8.0, 2.0], [125, 25])


def seen(T_world_cam: Array, known_every: int = 1000, guess: float = 1.0) -> tuple[Array, PosePoints]:
    """Pixels of the wall and the thing before, and the landmarks seen after, to a fifth of a pixel. They are thought to
    be at the depth `guess`, but for every so many, whose depth is known."""
    pixels, depth = wall_and_thing()
    rays = CAMERA.rays(pixels)
    after = CAMERA.project(se3.transform(se3.inverse(T_world_cam), rays * depth[:, None]))
    is_known = np.arange(len(depth)) % known_every == known_every - 1
    X = rays * np.where(is_known, depth, guess)[:, None]
    noise = np.random.default_rng(5).normal(0, 0.2, after.shape)
    return pixels, PosePoints(X, after + noise, X, np.where(is_known, 0.02, 0.5))


def usual(points: PosePoints) -> Array:
    return refine_pose(CAMERA, np.eye(4), points, 1.0, iterations=15, prior=STILL).T_cam_world


def turn_error_deg(T_cam_world: Array, truth: Array = MOVED) -> float:
    return se3.angle_deg(T_cam_world[:3, :3] @ truth[:3, :3])


def test_a_turn_that_was_taken_for_a_motion_is_put_right() -> None:
    pixels, points = seen(MOVED)
    wrong = usual(points)
    assert turn_error_deg(wrong) > 5.0
    found = better_pose(CAMERA, np.eye(4), pixels, points, wrong, STILL)
    assert found is not None
    assert turn_error_deg(found.T_cam_world) < 0.5
    assert found.as_pose(3.5).inliers.mean() > 0.9


def test_known_depths_say_how_far_the_camera_went() -> None:
    pixels, points = seen(MOVED, known_every=8, guess=7.0)
    wrong = se3.inverse(MOVED @ pose((0, 3, 0), (0.2, 0, 0)))
    found = better_pose(CAMERA, np.eye(4), pixels, points, wrong)
    assert found is not None
    assert np.linalg.norm(se3.inverse(found.T_cam_world)[:3, 3] - MOVED[:3, 3]) < 0.05
    assert turn_error_deg(found.T_cam_world) < 0.2


def test_the_view_before_may_be_anywhere() -> None:
    pixels, points = seen(MOVED)
    T = pose((10, -50, 70), (3, -2, 5))  # the whole world is moved by it
    elsewhere = replace(points, landmarks=se3.transform(T, points.landmarks), direction=points.direction @ T[:3, :3].T)
    found = better_pose(CAMERA, se3.inverse(T), pixels, elsewhere, usual(points) @ se3.inverse(T))
    assert found is not None
    assert turn_error_deg(found.T_cam_world, T @ MOVED) < 0.5


@pytest.mark.parametrize(("moved", "is_told"), [(0.1, False), (0.5, True)])
def test_a_camera_that_hardly_moved_is_taken_to_turn(moved: float, is_told: bool) -> None:
    """By .014 or .07 of the depth that is thought to be the usual one."""
    truth = pose((0, 20, 0), (moved, 0, 0))
    pixels, points = seen(truth, known_every=3, guess=7.0)
    wrong = se3.inverse(truth @ pose((0, 1.5, 0)))
    assert (better_pose(CAMERA, np.eye(4), pixels, points, wrong) is not None) is is_told


@pytest.mark.parametrize(("n", "is_told"), [(36, False), (150, True)])
def test_a_little_better_is_not_enough(n: int, is_told: bool) -> None:
    """A turn by a degree more, and a motion that makes up for it at the depth of most: so many points tell the two
    apart, and few do not."""
    pixels, points = seen(MOVED, known_every=10, guess=8.0)
    some = np.linspace(0, 124, n).astype(int)
    wrong = se3.inverse(MOVED @ pose((0, OFF_DEG, 0), (-np.radians(OFF_DEG) * 8.0, 0, 0)))
    found = better_pose(CAMERA, np.eye(4), pixels[some], points.select(some), wrong)
    assert (found is not None) is is_told


@pytest.mark.parametrize("off", [pose(), pose((0, 0.3, 0)), pose((0, 0, 0), (0.004, 0, 0))])
def test_a_pose_that_is_right_stays_as_it_is(off: Array) -> None:
    pixels, points = seen(MOVED, known_every=1)
    assert better_pose(CAMERA, np.eye(4), pixels, points, se3.inverse(MOVED @ off)) is None


def test_few_points_say_nothing() -> None:
    pixels, points = seen(MOVED)
    wrong = usual(points)
    some = np.arange(150) % 6 == 0
    assert some.sum() < 30
    assert better_pose(CAMERA, np.eye(4), pixels[some], points.select(some), wrong, STILL) is None
