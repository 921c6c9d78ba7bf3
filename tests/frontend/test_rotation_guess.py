"""Rotation between thumbnails of a rendered wall, seen by a camera that turns in place."""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from synthetic import CAMERA, plane, pose, render

from vgslam.frontend.rotation_guess import RotationGuess, Thumbnail
from vgslam.geometry import se3
from vgslam.types import Array

AXES = {"pitch": (1.0, 0.0, 0.0), "yaw": (0.0, 1.0, 0.0), "roll": (0.0, 0.0, 1.0), "mixed": (0.5, 0.7, 0.51)}


def gray_at(rotation_deg: tuple[float, float, float]) -> np.ndarray:
    image, _ = render([plane((0, 0, 6), 9.0, seed=1, size=2304)], CAMERA, pose(rotation_deg))
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


@cache
def thumbnail_at(*rotation_deg: float) -> Thumbnail:
    return Thumbnail(gray_at(rotation_deg), CAMERA)


def estimate(current: Thumbnail, starts: list[Array]) -> Array:
    first = thumbnail_at(0.0, 0.0, 0.0)
    return RotationGuess(first.camera, *first.image.shape).estimate(first, current, starts)


def turned(axis: str, angle_deg: float) -> tuple[Thumbnail, Array]:
    """Thumbnail of the turned camera and the true R_cur_prev."""
    rotation_deg = tuple(angle_deg * a for a in AXES[axis])
    return thumbnail_at(*rotation_deg), pose(rotation_deg)[:3, :3].T


@pytest.mark.parametrize("angle_deg", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("axis", AXES)
def test_small_turns_from_rest(axis: str, angle_deg: float) -> None:
    current, truth = turned(axis, angle_deg)
    assert se3.angle_deg(estimate(current, [np.eye(3)]).T @ truth) < 0.05 + 0.02 * angle_deg


def test_roll_of_ten_degrees_from_rest() -> None:
    current, truth = turned("roll", 10.0)
    assert se3.angle_deg(estimate(current, [np.eye(3)]).T @ truth) < 0.1


@pytest.mark.parametrize("angle_deg", [9.0, 15.0])
@pytest.mark.parametrize("axis", ["pitch", "yaw", "mixed"])
def test_fast_turns_from_rest(axis: str, angle_deg: float) -> None:
    current, truth = turned(axis, angle_deg)
    assert se3.angle_deg(estimate(current, [np.eye(3)]).T @ truth) < 0.4


@pytest.mark.parametrize("axis", AXES)
def test_fast_turns_from_the_last_motion(axis: str) -> None:
    """15 degrees between two images, the motion before it was a fifth slower."""
    current, truth = turned(axis, 15.0)
    last = se3.so3_exp(0.8 * se3.so3_log(truth))
    assert se3.angle_deg(estimate(current, [np.eye(3), last]).T @ truth) < 0.4


def test_a_last_motion_that_ended_does_no_harm() -> None:
    current, truth = turned("yaw", 1.0)
    wrong = se3.so3_exp(np.radians([3.0, -12.0, 4.0]))
    assert se3.angle_deg(estimate(current, [np.eye(3), wrong]).T @ truth) < 0.1


def test_the_way_back_is_the_inverse() -> None:
    current, truth = turned("mixed", 4.0)
    first = thumbnail_at(0.0, 0.0, 0.0)
    back = RotationGuess(first.camera, *first.image.shape).estimate(current, first, [np.eye(3)])
    assert se3.angle_deg(back @ truth) < 0.15


def test_brightness_and_contrast_do_not_matter() -> None:
    truth = pose((0, 3, 1))[:3, :3].T
    darker = np.round(0.5 * gray_at((0, 3, 1)) + 60).astype(np.uint8)
    assert se3.angle_deg(estimate(Thumbnail(darker, CAMERA), [np.eye(3)]).T @ truth) < 0.15


def test_a_covered_part_does_not_pull() -> None:
    gray = gray_at((0, 3, 0))
    gray[:80, :110] = gray[160:, 210:]
    truth = pose((0, 3, 0))[:3, :3].T
    assert se3.angle_deg(estimate(Thumbnail(gray, CAMERA), [np.eye(3)]).T @ truth) < 0.5


@pytest.mark.parametrize("value", [0, 255])
def test_an_even_image_is_no_motion(value: int) -> None:
    even = Thumbnail(np.full((240, 320), value, np.uint8), CAMERA)
    R = RotationGuess(even.camera, *even.image.shape).estimate(even, even, [np.eye(3)])
    np.testing.assert_allclose(R, np.eye(3), atol=1e-9)
    lost = estimate(even, [np.eye(3)])
    np.testing.assert_allclose(lost @ lost.T, np.eye(3), atol=1e-9)


def test_thumbnails_are_left_as_they_were() -> None:
    """The current one is the next frame's previous one."""
    a, b = Thumbnail(gray_at((0, 0, 0)), CAMERA), Thumbnail(gray_at((0, 2, 0)), CAMERA)
    before = [x.copy() for t in (a, b) for x in (t.image, t.gradient_u, t.gradient_v)]
    RotationGuess(a.camera, *a.image.shape).estimate(a, b, [np.eye(3)])
    for x, y in zip([x for t in (a, b) for x in (t.image, t.gradient_u, t.gradient_v)], before):
        np.testing.assert_array_equal(x, y)


def test_thumbnail_keeps_the_field_of_view() -> None:
    small = thumbnail_at(0.0, 0.0, 0.0)
    assert small.image.shape == (72, 96)
    assert (small.camera.width, small.camera.height) == (96, 72)
    np.testing.assert_allclose(small.camera.fov_deg, CAMERA.fov_deg, atol=1e-9)


def test_a_camera_on_its_side_turns_as_it_does_upright() -> None:
    """The thumbnail is as small, and the turn is the same about the other axis."""
    upright = replace(CAMERA, fx=CAMERA.fy, fy=CAMERA.fx, cx=CAMERA.height - 1 - CAMERA.cy, cy=CAMERA.cx,
                      width=CAMERA.height, height=CAMERA.width)  # fmt: skip
    grays = [cv2.rotate(gray_at(r), cv2.ROTATE_90_CLOCKWISE) for r in ((0.0, 0.0, 0.0), (0.0, 3.0, 0.0))]
    first, current = (Thumbnail(gray, upright) for gray in grays)
    assert first.image.shape == thumbnail_at(0.0, 0.0, 0.0).image.shape[::-1]
    found = RotationGuess(first.camera, *first.image.shape).estimate(first, current, [np.eye(3)])
    upright_lying = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    truth = upright_lying @ pose((0.0, 3.0, 0.0))[:3, :3].T @ upright_lying.T
    assert se3.angle_deg(found.T @ truth) < 0.15
