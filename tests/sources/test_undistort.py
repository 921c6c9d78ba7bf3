"""Undistortion against scenes drawn through the lens formulas themselves."""

import cv2
import numpy as np
import pytest

from vgslam.errors import CalibrationError
from vgslam.sources.undistort import Undistorter, _rays, pinhole_inside
from vgslam.types import Camera

EUROC = Camera(458.654, 457.296, 367.215, 248.375, 752, 480, (-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05))
FREIBURG1 = Camera(517.3, 516.5, 318.6, 255.3, 640, 480, (0.2624, -0.9531, -0.0054, 0.0026, 1.1633))
WIDE = Camera(190.98, 190.97, 254.93, 256.90, 512, 512, (0.00348, 0.000715, -0.00205, 0.000203), True)
EQUIDISTANT = Camera(300.0, 310.0, 319.5, 239.5, 640, 480, (0.0, 0.0, 0.0, 0.0), True)
# At half the resolution, to be fast.
LENSES = {
    name: lens.resized(lens.width // 2, lens.height // 2)
    for name, lens in (("euroc", EUROC), ("freiburg1", FREIBURG1), ("wide", WIDE), ("equidistant", EQUIDISTANT))
}


def distort(camera: Camera, xy: np.ndarray) -> np.ndarray:
    """x/z, y/z (N,2) -> distorted pixels (N,2): Brown's model, or the equidistant fisheye model."""
    x, y = xy.T
    r = np.hypot(x, y)
    if camera.is_fisheye:
        k1, k2, k3, k4 = camera.distortion
        t = np.arctan(r)
        scale = t * (1 + k1 * t**2 + k2 * t**4 + k3 * t**6 + k4 * t**8) / np.maximum(r, 1e-12)
        x, y = x * scale, y * scale
    else:
        k1, k2, p1, p2, k3 = (*camera.distortion, 0.0)[:5]
        radial = 1 + k1 * r**2 + k2 * r**4 + k3 * r**6
        x, y = (
            x * radial + 2 * p1 * x * y + p2 * (r**2 + 2 * x**2),
            y * radial + p1 * (r**2 + 2 * y**2) + 2 * p2 * x * y,
        )
    return np.stack([camera.fx * x + camera.cx, camera.fy * y + camera.cy], axis=1)


def pixel_grid(camera: Camera) -> np.ndarray:
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    return np.stack([u.ravel(), v.ravel()], axis=1).astype(np.float64)


def scene(xy: np.ndarray) -> np.ndarray:
    """Brightness of the world along rays x/z, y/z (N,2)."""
    return 127 + 60 * np.sin(9 * xy[:, 0]) + 60 * np.cos(8 * xy[:, 1] + 1)


def photograph(camera: Camera) -> np.ndarray:
    """Image (H,W) of the scene through the lens: the ray of every pixel by Newton steps on `distort`."""
    pixels = pixel_grid(camera)
    xy = (pixels - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    for _ in range(60):
        step = (distort(camera, xy) - pixels) / [camera.fx, camera.fy]
        xy = np.clip(xy - 0.7 * step, -20, 20)
    return scene(xy).reshape(camera.height, camera.width).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", LENSES)
def test_undistorted_image_is_that_of_the_pinhole(name: str) -> None:
    lens = LENSES[name]
    undistort = Undistorter(lens)
    image = undistort(photograph(lens))
    expected = scene(undistort.camera.rays(pixel_grid(lens))[:, :2]).reshape(image.shape)
    # Half a pixel of displacement would be several grey levels.
    error = np.abs(image - expected)[2:-2, 2:-2]
    assert error.mean() < 1.0
    assert np.percentile(error, 99) < 3.0


@pytest.mark.parametrize("name", LENSES)
def test_pinhole_has_no_border_and_keeps_most_of_the_view(name: str) -> None:
    lens = LENSES[name]
    undistort = Undistorter(lens)
    camera = undistort.camera
    assert (undistort(np.full((lens.height, lens.width), 255, np.uint8)) == 255).all()
    assert (camera.width, camera.height) == (lens.width, lens.height)
    assert camera.fx / camera.fy == pytest.approx(lens.fx / lens.fy)
    assert 0.5 < camera.fx / lens.fx < 1.3
    assert abs(camera.cx - lens.cx) < 0.1 * lens.width
    assert abs(camera.cy - lens.cy) < 0.1 * lens.height
    # At least one pair of opposite borders touches the edge of what the lens saw.
    middle = [[0.0, camera.cy], [lens.width - 1.0, camera.cy], [camera.cx, 0.0], [camera.cx, lens.height - 1.0]]
    seen = distort(lens, camera.rays(middle)[:, :2])
    outside_by = [seen[0, 0], lens.width - 1 - seen[1, 0], seen[2, 1], lens.height - 1 - seen[3, 1]]
    assert min(outside_by) > -0.5
    assert min(outside_by) < (0.1 if not lens.is_fisheye else 0.25) * lens.width


def test_colour_and_grey_agree() -> None:
    undistort = Undistorter(LENSES["euroc"])
    grey = np.random.default_rng(0).integers(0, 255, (240, 376), np.uint8)
    np.testing.assert_array_equal(undistort(np.dstack([grey] * 3))[..., 1], undistort(grey))


def test_view_of_a_very_wide_lens_is_limited() -> None:
    lens = Camera(150.0, 150.0, 319.5, 239.5, 640, 480, (0.0, 0.0, 0.0, 0.0), True)  # 244 degrees
    corner = pinhole_inside(lens).rays([[0.0, 0.0]])[0]
    assert np.degrees(np.arctan(np.hypot(corner[0], corner[1]))) <= 65.0 + 1e-6


@pytest.mark.parametrize("distortion", [(-3.0, -3.0, 0.0, 0.0), (0.0, -3.0, 0.0, 0.0)])
def test_fisheye_coefficients_that_fold_are_refused(distortion: tuple[float, ...]) -> None:
    with pytest.raises(CalibrationError, match="folds the image over"):
        pinhole_inside(Camera(300, 300, 319.5, 239.5, 640, 480, distortion, True))


def test_each_coefficient_of_a_fisheye_bends_as_opencv_has_it() -> None:
    for n in range(4):
        k = tuple(0.02 if i == n else 0.0 for i in range(4))
        camera = Camera(200.0, 210.0, 160.0, 118.0, 320, 240, k, True)
        xy = np.random.default_rng(0).uniform(-0.9, 0.9, (50, 1, 2))
        pixels = cv2.fisheye.distortPoints(xy, camera.K, np.array(k)).reshape(-1, 2)
        np.testing.assert_allclose(_rays(camera, pixels), xy.reshape(-1, 2), atol=1e-4)


def test_flags_of_pixels_go_back_to_where_they_were_recorded() -> None:
    """A rectangle in the upper right of an image that is wider than high, and nothing of it elsewhere or in between."""
    lens = Camera(300.0, 300.0, 159.5, 119.5, 320, 240, (-0.25, 0.05, 0.0, 0.0))
    undistorter = Undistorter(lens)
    flags = np.zeros((240, 320), bool)
    flags[20:60, 250:300] = True
    found = undistorter.as_recorded(flags)
    rays = undistorter.camera.rays(np.array([[250.0, 20.0], [299.0, 59.0]]))
    pixels, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), lens.K, np.array(lens.distortion))
    (u0, v0), (u1, v1) = pixels.reshape(2, 2).round().astype(int)
    assert found[v0 + 6 : v1 - 6, u0 + 6 : u1 - 6].all()
    assert not found[:, : u0 - 6].any()
    assert not found[v1 + 6 :].any()
