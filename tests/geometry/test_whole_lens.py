"""One camera for recorded images, from that of straightened ones and what was found in these."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from vgslam.geometry.camera import Camera
from vgslam.geometry.whole_lens import whole_lens

PINHOLE = Camera(500.0, 500.0, 319.5, 239.5, 640, 480)
LENS = replace(PINHOLE, distortion=(-0.12, 0.03, 1e-3, -5e-4, 0.0))
POINTS = np.random.default_rng(0).uniform([-0.5, -0.35, 1.0], [0.5, 0.35, 1.0], (200, 3))


def seen(camera: Camera, rays: np.ndarray) -> np.ndarray:
    pixels, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), camera.K, np.array(camera.distortion))
    return pixels.reshape(-1, 2)


def test_without_a_distortion_before_it_is_the_one_that_was_found() -> None:
    adjusted = replace(PINHOLE, fx=510.0, fy=510.0, removed_k1=-0.03)
    found = whole_lens(adjusted, PINHOLE, PINHOLE)
    assert found is not None
    assert (found.fx, found.fy, found.cx, found.cy) == pytest.approx((510.0, 510.0, 319.5, 239.5))
    assert found.distortion == pytest.approx((-0.03, 0.0, 0.0, 0.0, 0.0), abs=1e-9)
    assert found.removed_k1 == 0.0


def test_of_two_lenses_in_a_row_it_shows_points_where_both_do() -> None:
    """The recorded lens bends what the one that was found has bent; the frames have another scale than the images."""
    frames = Camera(480.0, 484.0, 321.0, 240.0, 640, 480)
    adjusted = replace(frames, fx=480.0 * 1.02, fy=484.0 * 1.02, removed_k1=0.02)
    found = whole_lens(adjusted, frames, LENS)
    assert found is not None
    bent = POINTS.copy()
    bent[:, :2] *= 1.0 + 0.02 * (POINTS[:, :2] ** 2).sum(1, keepdims=True)
    in_frames = adjusted.project(bent)
    np.testing.assert_allclose(seen(found, POINTS), seen(LENS, frames.rays(in_frames)), atol=0.1)
    assert np.abs(seen(found, POINTS) - seen(LENS, POINTS)).max() > 3.0


def test_what_the_model_does_not_fit_is_not_given_out() -> None:
    assert whole_lens(PINHOLE, PINHOLE, replace(PINHOLE, is_fisheye=True, distortion=(0.0,) * 4)) is None
    rational = replace(PINHOLE, distortion=(3.0, 0.9, 0.0, 0.0, 0.4, 3.5, 2.0, 0.2))
    wide = Camera(160.0, 160.0, 319.5, 239.5, 640, 480)
    assert whole_lens(replace(wide, removed_k1=0.3), wide, replace(rational, fx=160.0, fy=160.0)) is None


def test_the_two_focal_lengths_change_each_by_its_own_factor() -> None:
    recorded, frames = replace(PINHOLE, fy=520.0), replace(PINHOLE, fx=480.0, fy=490.0)
    found = whole_lens(replace(frames, fx=480.0 * 1.02, fy=490.0 * 1.03), frames, recorded)
    assert found is not None
    assert (found.fx, found.fy) == pytest.approx((510.0, 535.6))


RATIONAL = (3.0, 0.9, 0.0, 0.0, 0.4, 3.5, 2.0, 0.2)
"""A lens of OpenCV's model with eight coefficients, which five follow to some radius only."""


def test_the_model_has_to_fit_inside_the_recorded_images_alone() -> None:
    """0.19 px within, 0.37 px with the corners of the straightened frames, which nobody recorded."""
    wide = replace(PINHOLE, fx=380.0, fy=380.0)
    assert whole_lens(replace(wide, removed_k1=0.3), wide, replace(wide, distortion=RATIONAL)) is not None


@pytest.mark.parametrize("camera", [Camera(400.0, 400.0, 160.0, 239.5, 640, 480),
                                    Camera(400.0, 400.0, 239.5, 160.0, 480, 640)])  # fmt: skip
def test_the_model_has_to_fit_on_all_sides(camera: Camera) -> None:
    """The longer side ends far from the centre of the lens: there it is off by 1 px, elsewhere by 0.22 px."""
    assert whole_lens(replace(camera, removed_k1=0.3), camera, replace(camera, distortion=RATIONAL)) is None
