"""What a mask ignores gets no corners, at any size of the image, and nothing else is lost."""

import numpy as np
import pytest
from synthetic import smooth_texture

from vgslam.frontend.features import FeatureConfig, detect_corners
from vgslam.frontend.image_mask import MARGIN_PX, ImageMask
from vgslam.frontend.tracker import Tracker, TrackerConfig
from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap


def strip(width: int = 320, height: int = 240, top: int = 180) -> np.ndarray:
    ignored = np.zeros((height, width), bool)
    ignored[top:] = True
    return ignored


def test_pixels_on_the_ignored_part_and_near_it_are_refused():
    mask = ImageMask(320, 240, strip())
    pixels = np.array([[100.0, 100], [100, 200], [100, 180 - MARGIN_PX + 1], [100, 180 - MARGIN_PX - 2], [-5, 500]])
    assert mask.allows(pixels).tolist() == [True, False, False, True, True]
    assert mask.allows(np.full((1, 2), np.nan)).tolist() == [True]
    assert mask.share == pytest.approx(0.25)


def test_an_empty_mask_allows_everything():
    mask = ImageMask(320, 240)
    assert mask.is_empty
    assert mask.allows(np.zeros((3, 2))).all()
    assert not mask.ignored((12, 16)).any()
    assert (mask.picture() == 255).all()


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match="mask"):
        ImageMask(320, 240, np.zeros((320, 240), bool))


def test_what_never_moves_is_added_to_the_users_mask_and_can_go_again():
    mask = ImageMask(320, 240, strip())
    top = np.zeros((240, 320), bool)
    top[:20] = True
    mask.set_static(top)
    assert not mask.allows(np.array([[50.0, 10], [50, 230]])).any()
    mask.set_static(None)
    assert mask.allows(np.array([[50.0, 10], [50, 230]])).tolist() == [True, False]


def test_the_picture_is_black_where_nothing_is_used_and_the_small_one_agrees():
    mask = ImageMask(320, 240, strip())
    assert (mask.picture()[180:] == 0).all()
    assert (mask.picture()[:180] == 255).all()
    assert np.array_equal(mask.ignored((60, 80)), strip(80, 60, 45))


@pytest.mark.parametrize("size", [(320, 240), (1280, 960)])
def test_no_corner_is_found_there_and_as_many_in_the_rest(size):
    width, height = size
    gray = np.round(smooth_texture(max(size), seed=3, finest_px=3.0)[:height, :width]).astype(np.uint8)
    mask = ImageMask(width, height, strip(width, height, height // 2))
    none = np.zeros((0, 2), np.float32)
    found = detect_corners(gray, none, 5000, FeatureConfig(), mask.allows)
    everywhere = detect_corners(gray, none, 5000, FeatureConfig())
    assert (found[:, 1] < height // 2 - MARGIN_PX + 1).all()
    assert len(found) > 0.35 * len(everywhere)
    tracker = Tracker(Camera.from_fov(width, height, 70.0), SlamMap(), TrackerConfig(FeatureConfig(5000)), mask)
    view = tracker.view(0, 0.0, np.repeat(gray[..., None], 3, axis=2))
    closer = tracker.detect(view, none)
    assert (closer[:, 1] < height // 2 - MARGIN_PX + 1).all()
    assert len(closer) > 1.3 * len(found)
