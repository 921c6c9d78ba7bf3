"""Keyframes and their depth in one picture: which are shown, where, and in which colours."""

import warnings

import cv2
import numpy as np
import pytest
from matplotlib.text import Text

from vgslam.types import Camera, Keyframe, Sim3
from vgslam.viewer.depth_strip import CELL_PX, GAP_PX, depth_range, depth_strip
from vgslam.viewer.style import png_bytes, svg_bytes

CELL_HEIGHT_PX = CELL_PX * 24 // 32


def keyframe(i, depth, image=None):
    image = np.full((24, 32, 3), 80, np.uint8) if image is None else image
    return Keyframe(i, 10 * i, i, image, Camera(30, 30, 16, 12, 32, 24), Sim3.identity(), 0, depth)


def drawn(figure):
    """Images and depths (columns,H,W,3) of the picture in a figure."""
    (picture,) = figure.images
    cells = np.asarray(picture.get_array())[..., :3]
    n = (cells.shape[1] + GAP_PX) // (CELL_PX + GAP_PX)
    columns = [cells[:, i * (CELL_PX + GAP_PX) :][:, :CELL_PX] for i in range(n)]
    return np.stack([c[:CELL_HEIGHT_PX] for c in columns]), np.stack([c[-CELL_HEIGHT_PX:] for c in columns])


def alphas(figure):
    (picture,) = figure.images
    return np.asarray(picture.get_array())[..., 3]


def test_keyframes_with_depth_are_chosen_evenly_and_the_unknown_is_black():
    depth = np.full((12, 16), 2.0, np.float32)
    depth[:, :4] = 0
    keyframes = [keyframe(i, depth if i % 2 else None) for i in range(20)] + [keyframe(20, np.zeros_like(depth))]
    figure = depth_strip(keyframes, 4, unit="m")
    words = [text.get_text() for text in figure.texts]
    assert [w for w in words if w.startswith("frame")] == ["frame 10", "frame 70", "frame 130", "frame 190"]
    assert words.count("2 to 2 m") == 4
    images, depths = drawn(figure)
    assert images.shape == depths.shape == (4, CELL_HEIGHT_PX, CELL_PX, 3)
    assert (alphas(figure)[:CELL_HEIGHT_PX, :CELL_PX] == 255).all()
    assert (images == 80).all()
    known = depths.any(axis=3)
    assert not known[:, :, : CELL_PX // 4].any()
    assert known[:, :, CELL_PX // 4 :].all()
    assert png_bytes(figure).startswith(b"\x89PNG")


def test_what_is_near_is_red_and_what_is_far_is_blue():
    depth = np.repeat([1.0, 3.0], 16)[None].repeat(24, axis=0).astype(np.float32)
    (colours,) = drawn(depth_strip([keyframe(1, depth)]))[1]
    near, far = colours[100, 20].astype(int), colours[100, -20].astype(int)
    assert near[0] > 100 > near[2]
    assert far[2] > near[2]
    assert far[0] < near[0]


def test_a_few_wrong_depths_do_not_stretch_the_range_and_unknown_ones_are_no_part_of_it():
    depth = np.full((10, 100), 2.0)
    depth[0, :5], depth[1, :5], depth[2:4] = 0.01, 900.0, 0.0
    depth[5] = 4.0
    assert depth_range(depth) == (2.0, 4.0)


def test_an_image_is_as_large_as_its_place_and_each_pixel_the_mean_of_those_that_it_stands_for():
    image = np.tile(np.arange(0, 240, 10, np.uint8).repeat(50)[None, :, None], (900, 1, 3))
    (shown,) = drawn(depth_strip([keyframe(1, np.ones((12, 16), np.float32), image)]))[0]
    assert shown.shape == (198, 264, 3)
    np.testing.assert_allclose(shown[100, ::11, 0], np.arange(0, 240, 10), atol=1)


def test_an_image_of_another_shape_keeps_its_own():
    ones = np.ones((12, 16), np.float32)
    tall = np.full((48, 32, 3), 80, np.uint8)
    figure = depth_strip([keyframe(1, ones), keyframe(2, ones, tall)])
    is_nothing = (alphas(figure)[:CELL_HEIGHT_PX, CELL_PX + GAP_PX :][:, :CELL_PX] == 0).all(axis=0)
    assert (~is_nothing).sum() == CELL_HEIGHT_PX * 32 // 48
    assert is_nothing[:60].all()
    assert is_nothing[-60:].all()


def test_depth_is_in_the_units_of_the_world():
    k = keyframe(1, np.full((3, 4), 2.0, np.float32))
    k.S_world_keyframe = Sim3(np.eye(3), np.zeros(3), 1.5)
    assert "3 to 3 map units" in [text.get_text() for text in depth_strip([k], unit="map units").texts]


def test_the_picture_has_no_ground_of_its_own():
    png = png_bytes(depth_strip([keyframe(1, np.ones((12, 16), np.float32))]))
    corner = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)[0, 0]
    assert corner.tolist()[3] == 0


def test_without_depth_the_plot_says_so():
    assert "no keyframe" in depth_strip([]).axes[0].texts[0].get_text()


@pytest.mark.parametrize("draw", [png_bytes, svg_bytes])
@pytest.mark.parametrize("name", ["$^$", "日本.mp4", "\udcff.mp4"])
def test_any_title_is_written_as_it_is(name, draw):
    figure = depth_strip([keyframe(1, np.ones((3, 4), np.float32))], title=name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(draw(figure)) > 1000
    assert any(name.replace("\udcff", "\ufffd") in text.get_text() for text in figure.findobj(Text))
