"""Sizes, pixels and their map, as Depth-Anything-3 gets them."""

import cv2
import numpy as np
import pytest

from vgslam.errors import InputError
from vgslam.geometry.camera import Camera
from vgslam.network.da3.preprocess import Da3Resize, preprocess


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("size", "target", "expected"),
    [
        ((640, 480), 504, (504, 378)),
        ((640, 480), 252, (252, 196)),  # 189 is halfway between 182 and 196
        ((752, 480), 252, (252, 168)),
        ((1226, 370), 504, (504, 154)),
        ((1920, 1080), 504, (504, 280)),
        ((320, 240), 504, (504, 378)),
        ((480, 640), 252, (196, 252)),
        ((504, 371), 504, (504, 378)),
        ((300, 4), 126, (126, 14)),
    ],
)
def test_sizes(size: tuple[int, int], target: int, expected: tuple[int, int]) -> None:
    images = preprocess([picture(*size)], target)
    assert images.size == expected[::-1]
    assert images.maps[0].network_size == expected
    assert images.maps[0].source_size == size


def test_pixels_are_means_of_areas_twice() -> None:
    image = picture(120, 80)
    once = cv2.resize(image, (60, 40), interpolation=cv2.INTER_AREA)
    twice = cv2.resize(once, (56, 42), interpolation=cv2.INTER_CUBIC)  # one side grows
    found = preprocess([image], 60)
    np.testing.assert_array_equal(found.images[0], twice.transpose(2, 0, 1).astype(np.float32) / 255)


def test_a_bright_spot_is_found_where_the_map_says() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    image[200:204, 401:405] = 255
    for fit in Da3Resize:
        found = preprocess([image], 252, fit)
        v, u = np.mgrid[: found.size[0], : found.size[1]]
        weight = found.images[0, 0]
        centre = np.array([(weight * u).sum(), (weight * v).sum()]) / weight.sum()
        np.testing.assert_allclose(found.maps[0].to_network((402.5, 201.5)), centre, atol=0.1)


def test_intrinsics_follow_the_pixels() -> None:
    image = picture(640, 470)
    pixel_map = preprocess([image], 252, Da3Resize.UPPER_CROP).maps[0]  # 252x185, cut to 252x182
    camera = pixel_map.camera_to_network(Camera(500.0, 490.0, 319.5, 234.5, 640, 470))
    assert (camera.width, camera.height) == (252, 182)
    assert camera.fx == pytest.approx(500 * 252 / 640)
    assert camera.fy == pytest.approx(490 * 185 / 470)
    assert camera.cx == pytest.approx(125.5)
    assert camera.cy == pytest.approx(92.5 - 0.5 - 1)


def test_grey_is_repeated_alpha_is_dropped_sizes_are_cut_to_the_smallest() -> None:
    colour = picture(126, 98)
    seen = np.dstack([colour, np.full((98, 126), 7, np.uint8)])
    np.testing.assert_array_equal(preprocess([seen], 126).images, preprocess([colour], 126).images)
    grey = preprocess([colour[..., 0]], 126).images[0]
    assert (grey[0] == grey[1]).all()
    mixed = preprocess([picture(126, 98), picture(98, 126)], 126)
    assert mixed.size == (98, 98)
    assert mixed.maps[0].offset == (-14.0, 0.0)
    assert mixed.maps[1].offset == (0.0, -14.0)
    np.testing.assert_array_equal(mixed.images[0], preprocess([picture(126, 98)], 126).images[0, :, :, 14:112])


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(InputError, match="no images"):
        preprocess([])
    with pytest.raises(InputError, match="image 1: expected uint8"):
        preprocess([picture(28, 28), np.zeros((28, 28, 3), np.float32)])
    with pytest.raises(InputError, match="too elongated"):
        preprocess([picture(300, 4)], 126, Da3Resize.UPPER_CROP)
