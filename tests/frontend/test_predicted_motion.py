"""Of several predicted motions the one that thumbnails show, and a camera that goes around what it looks at."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from synthetic import CAMERA, plane, pose, pose_error, render, room

from vgslam.frontend.predicted_motion import shown
from vgslam.frontend.rotation_guess import Thumbnail
from vgslam.frontend.tracker import TrackState
from vgslam.geometry import se3
from vgslam.types import Array, Image

AROUND = pose((0, 0, 0), (0, 0, 3.2)) @ pose((0, 9, 0)) @ pose((0, 0, 0), (0, 0, -3.2))
"""T_before_after of a camera that goes by 9 degrees around a point 3.2 before it: the middle of the image stays."""


def thumbnail(T_world_cam: Array) -> Thumbnail:
    image, _ = render([plane((0, 0, 6), 9.0, seed=1, size=2304)], CAMERA, T_world_cam)
    return Thumbnail(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), CAMERA)


def wall_at(T_world_cam: Array) -> Array:
    """Where a grid of points of the wall is in the image."""
    u, v = np.meshgrid(np.linspace(-2, 2, 12), np.linspace(-1.5, 1.5, 9))
    points = np.stack([u.ravel(), v.ravel(), np.full(u.size, 6.0)], axis=1)
    return CAMERA.project(se3.transform(se3.inverse(T_world_cam), points)).astype(np.float32)


TRUE, TWICE, LESS = pose((0, 4, 0)), pose((0, 8, 0)), pose((0, 2.5, 0))
"""A turn by 4 degrees, or about 18 px; twice that, and a few px less."""


@pytest.mark.parametrize(("first", "other", "apart_px", "expected"), [
    (TWICE, TRUE, 15.0, 1), (TRUE, TWICE, 15.0, 0), (LESS, TRUE, 15.0, 0), (LESS, TRUE, 3.0, 1), (TWICE, TRUE, 25.0, 0),
])  # fmt: skip
def test_another_motion_is_taken_where_it_is_far_and_right(
    first: Array, other: Array, apart_px: float, expected: int
) -> None:
    at = [wall_at(first), wall_at(other)]
    assert shown(thumbnail(pose()), thumbnail(TRUE), wall_at(pose()), at, CAMERA.width, apart_px) == expected


def test_of_three_the_best() -> None:
    at = [wall_at(T) for T in (TWICE, pose((4, 0, 0)), TRUE)]
    assert shown(thumbnail(pose()), thumbnail(TRUE), wall_at(pose()), at, CAMERA.width, 15.0) == 2


@pytest.mark.parametrize(("n", "expected"), [(29, 0), (30, 1)])
def test_a_few_landmarks_decide_nothing(n: int, expected: int) -> None:
    at = [wall_at(TWICE)[:n], wall_at(TRUE)[:n]]
    assert shown(thumbnail(pose()), thumbnail(TRUE), wall_at(pose())[:n], at, CAMERA.width, 15.0) == expected


def test_no_motion_puts_landmarks_outside_and_is_compared_there() -> None:
    away = wall_at(TRUE) + np.float32(2000.0)
    at = [wall_at(TRUE), away]
    assert shown(thumbnail(pose()), thumbnail(TRUE), wall_at(pose()), at, CAMERA.width, 15.0) == 0


def state_of(known_map, T_world_cam: Array, image: Image) -> TrackState:
    ids, px = known_map.add(0)
    return TrackState(known_map.tracker.view(0, 0.0, image), ids, px.astype(np.float32), T_world_cam)


def test_a_camera_that_goes_around_a_thing_is_followed_by_its_motion(known_map) -> None:
    """Thumbnails show a camera that stands still, as what it looks at stays where it is: a rotation of nothing, with
    the speed of the step before, would look for everything far beside where it is."""
    before = known_map.walk.T_world_cam[0]
    state = replace(state_of(known_map, before, known_map.walk.images[0]), motion=se3.inverse(AROUND))
    after = before @ AROUND
    view = known_map.tracker.view(1, 1 / 30, render(room(), CAMERA, after)[0])
    points = known_map.tracker.pose_points(state.ids, state.pixels)
    predicted = se3.inverse(known_map.tracker._predicted(state, view, points))
    assert pose_error(predicted, after)[0] < 1.0
    result = known_map.tracker.track(state, view)
    assert not result.is_lost
    angle, distance = pose_error(result.T_world_cam, after)
    assert angle < 0.2
    assert distance < 0.02
    assert result.survived > 0.5
