"""The pictures of the README: points where a pinhole camera sees them, near ones over far ones, and a short film."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from bench.pictures import LIMIT_BYTES, Scene, film_bytes
from bench.point_picture import View, canvas, draw_points
from vgslam.geometry.camera import Camera

CAMERA = Camera(100.0, 100.0, 50.0, 40.0, width=101, height=81)
RED, GREEN = (255, 0, 0), (0, 255, 0)


def view() -> View:
    """From (0, -4, 3), 5 away from the target at the origin along (0, 4, -3)."""
    return View.around(np.zeros(3), 5.0, -90.0, np.rad2deg(np.arctan2(3, 4)), CAMERA)


def test_a_view_looks_at_its_target_with_z_up() -> None:
    pixels, z = view().project(np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -8.0, 6.0]]))
    np.testing.assert_allclose(pixels[:2], [[50, 40], [70, 40]], atol=1e-9)
    assert pixels[2, 1] < 40
    np.testing.assert_allclose(z, [5.0, 5.0, 5.0 - 3 / 5, -5.0], atol=1e-9)


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_near_points_hide_far_ones_in_any_order(order: list[int]) -> None:
    ray = np.array([0.0, 4.0, -3.0]) / 5
    points, colors = np.stack([-ray, ray])[order], np.array([RED, GREEN], np.uint8)[order]
    picture = canvas(view(), (7, 7, 7))
    draw_points(picture, view(), points, colors, 0.001)
    assert tuple(picture[40, 50]) == RED
    assert tuple(picture[40, 60]) == (7, 7, 7)


def test_walls_between_the_view_and_the_room_are_left_out() -> None:
    """A camera in the middle sees a near and a far wall; from outside only the far one's front shows, and only later
    what came later."""
    T = np.tile(np.eye(4), (2, 1, 1))
    points = np.array([[0.0, -2.0, 0.0], [0.0, 2.0, 0.0], [1.0, 2.0, 0.0]])
    scene = Scene([], T, points, np.array([RED, GREEN, RED], np.uint8), np.array([0, 0, 1]), [0, 1])
    np.testing.assert_array_equal(scene.known(0, view())[0], points[1:2])
    np.testing.assert_array_equal(scene.known(1, view())[0], points[1:])


def test_the_film_repeats_and_stays_small() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (3, 40, 60, 3), dtype=np.uint8)
    data = film_bytes(list(noise), 50)
    film = Image.open(BytesIO(data))
    assert (film.n_frames, film.size, film.info["loop"]) == (3, (60, 40), 0)
    assert len(data) <= LIMIT_BYTES
