"""Preprocessing: sizes, padding, and the map back to the image's own pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgslam.errors import InputError
from vgslam.geometry.camera import Camera
from vgslam.network.preprocess import PixelMap, ResizeMode, preprocess

FILL = -10_000.0


def pixel_map(width: int, height: int, mode: ResizeMode) -> PixelMap:
    return preprocess([np.zeros((height, width, 3), np.uint8)], mode).maps[0]


sizes = st.tuples(st.integers(60, 900), st.integers(60, 900))


@settings(max_examples=30, deadline=None)
@given(size=sizes, mode=st.sampled_from(ResizeMode))
def test_maps_invert_and_send_corners_to_corners(size: tuple[int, int], mode: ResizeMode) -> None:
    m = pixel_map(*size, mode)
    corners = np.array([[-0.5, -0.5], [size[0] - 0.5, size[1] - 0.5]])
    np.testing.assert_allclose(m.to_source(m.to_network(corners)), corners, atol=1e-9)
    left, top, right, bottom = m.content
    inside = m.to_network(corners) + 0.5
    np.testing.assert_allclose(inside[:, 0], [left, right], atol=1e-9)
    if m.network_size[1] < 518 or mode is not ResizeMode.CROP:  # nothing cut off
        np.testing.assert_allclose(inside[:, 1], [top, bottom], atol=1e-9)
    assert m.network_size[0] % 14 == m.network_size[1] % 14 == 0


@pytest.mark.parametrize("mode", ResizeMode)
@pytest.mark.parametrize(("width", "height"), [(640, 480), (300, 900), (100, 80), (518, 259)])
def test_a_blob_lands_where_the_map_says(mode: ResizeMode, width: int, height: int) -> None:
    """Geometry of the resampling itself: the centroid of a smooth blob moves with the map, to a tenth of a pixel."""
    x, y = 0.4 * width, 0.55 * height
    yy, xx = np.mgrid[:height, :width]
    sigma = 0.04 * width
    blob = 255 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * sigma**2))
    result = preprocess([blob.astype(np.uint8)], mode)
    left, top, right, bottom = result.maps[0].content
    v, u = np.mgrid[top:bottom, left:right]
    inside = result.images[0, 0, top:bottom, left:right]
    found = np.array([(u * inside).sum(), (v * inside).sum()]) / inside.sum()
    np.testing.assert_allclose(found, result.maps[0].to_network((x, y)), atol=0.1)


def test_known_camera_projects_where_the_pixels_go() -> None:
    camera = Camera(500.0, 510.0, 300.0, 260.0, 640, 480)
    for mode in ResizeMode:
        m = pixel_map(640, 480, mode)
        inside = m.camera_to_network(camera)
        assert (inside.width, inside.height) == m.network_size
        point = np.array([[0.3, -0.2, 2.0]])
        np.testing.assert_allclose(inside.project(point), m.to_network(camera.project(point)), atol=1e-9)


def test_camera_of_another_image_is_refused() -> None:
    m = pixel_map(640, 480, ResizeMode.CROP)
    with pytest.raises(InputError, match="640x480"):
        m.camera_to_network(Camera(500, 500, 300, 200, 600, 400))
    with pytest.raises(InputError, match="undistort"):
        m.camera_to_network(Camera(500, 500, 300, 200, 640, 480, (0.1, 0.0, 0.0, 0.0)))


def test_mixed_sizes_are_padded_to_the_largest_in_white() -> None:
    wide, square = np.zeros((100, 518, 3), np.uint8), np.zeros((518, 518, 3), np.uint8)
    result = preprocess([wide, square])
    assert result.size == (518, 518)
    left, top, right, bottom = result.maps[0].content
    assert (left, right, bottom - top) == (0, 518, 98)
    assert (result.images[0, :, :top] == 1).all()
    assert (result.images[0, :, top:bottom] == 0).all()


def test_other_network_sizes() -> None:
    assert preprocess([np.zeros((48, 64, 3), np.uint8)], size_px=64, patch_px=8).size == (48, 64)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "no images"),
        ([np.zeros((4, 4, 3), np.float32)], "image 0: expected uint8"),
        ([np.zeros((4, 4, 2), np.uint8)], "image 0: expected uint8"),
        ([np.zeros((5, 2000, 3), np.uint8)], "too elongated"),
    ],
)
def test_bad_images(images, message) -> None:
    with pytest.raises(InputError, match=message):
        preprocess(images)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1226, 370), (480, 640), (752, 480), (500, 500)])
def test_area_mode_keeps_shape_and_number_of_pixels(width: int, height: int) -> None:
    m = preprocess([np.zeros((height, width, 3), np.uint8)], ResizeMode.AREA, 64, 8).maps[0]
    w, h = m.network_size
    assert 0.75 < w * h / (64 * 48) < 1.3
    assert 0.75 < (w / h) / (width / height) < 1.3
