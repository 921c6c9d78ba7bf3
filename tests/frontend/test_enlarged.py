"""Small images are enlarged for tracking: of which size, where pixels go, and what it brings."""

import numpy as np
import pytest
from synthetic import pose, pose_error, render, room

from vgslam.fleet.fold import TieJoiner, merge_two
from vgslam.geometry.sim3 import Sim3
from vgslam.localizer import Localizer
from vgslam.map import enlarged as room_of_sizes
from vgslam.map.enlarged import enlarge_alike, enlarged, enlarged_mask, tracked_camera
from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import RefineConfig, given_focal_px
from vgslam.slam import Slam
from vgslam.types import Camera, Frame, Image, Keyframe

SMALL = Camera.from_fov(320, 240, 65.0)
TINY = Camera.from_fov(160, 120, 65.0)


def map_of(camera: Camera) -> SlamMap:
    m = SlamMap()
    image = np.zeros((camera.height, camera.width, 3), np.uint8)
    m.add_keyframe(Keyframe(0, 0, 0.0, image, camera, Sim3.identity(), 0), np.zeros(0, np.int64), np.zeros((0, 2)))
    return m


@pytest.mark.parametrize(
    ("size", "times"),
    [((640, 480), 1), ((480, 321), 1), ((480, 320), 2), ((320, 240), 2), ((160, 120), 2), ((158, 120), 1)],
)
def test_half_the_pixels_of_640x480_down_to_160x120_are_enlarged(size: tuple[int, int], times: int) -> None:
    camera = tracked_camera(Camera.from_fov(*size, 65.0), SlamMap())
    assert (camera.width, camera.height) == (times * size[0], times * size[1])
    assert camera.enlarged == times


def test_a_camera_that_is_enlarged_already_is_not_enlarged_again() -> None:
    once = tracked_camera(TINY, SlamMap())
    assert tracked_camera(once, SlamMap()) == once
    assert tracked_camera(once, map_of(once)) == once


def test_a_map_is_gone_on_with_in_the_size_that_it_was_made_in() -> None:
    assert tracked_camera(SMALL, map_of(SMALL)) == SMALL
    assert tracked_camera(SMALL, map_of(SMALL.enlarged_by(2))) == SMALL.enlarged_by(2)


def test_images_of_another_camera_have_their_own_size_in_a_map() -> None:
    large = Camera.from_fov(640, 480, 65.0)
    assert tracked_camera(large, map_of(SMALL.enlarged_by(2))) == large
    assert tracked_camera(TINY, map_of(SMALL)) == TINY.enlarged_by(2)


def test_the_camera_of_the_frames_is_found_again_to_the_last_bit() -> None:
    camera = Camera(301.7, 299.3, 158.2, 121.9, 320, 240, removed_k1=-0.1)
    assert camera.enlarged_by(2).of_frames == camera
    assert camera.of_frames is camera


def test_a_point_is_seen_at_the_same_place_of_the_larger_image() -> None:
    """A dot in the middle of pixel (u, v) has its middle at (2 u + .5, 2 v + .5) of an image of twice the size."""
    image = np.zeros((240, 320), np.uint8)
    image[100, 200] = 255
    large = enlarged(image, (640, 480)).astype(np.float64)
    v, u = (np.average(i, weights=large) for i in np.indices(large.shape))
    assert (u, v) == pytest.approx((400.5, 200.5), abs=0.02)
    rays = SMALL.rays([[200.0, 100.0]])
    np.testing.assert_allclose(SMALL.enlarged_by(2).project(rays), [[400.5, 200.5]], atol=1e-9)


def test_what_lies_between_two_pixels_lies_between_their_values() -> None:
    ramp = np.tile(np.arange(0, 240, 8, dtype=np.uint8), (20, 1))
    row = enlarged(ramp, (60, 40))[20, 4:-4].astype(int)
    assert set(np.diff(row)) == {4}


def test_a_mask_covers_the_same_part() -> None:
    mask = np.zeros((240, 320), bool)
    mask[200:, :50] = True
    large = enlarged_mask(mask, SMALL.enlarged_by(2))
    assert large is not None
    assert large.shape == (480, 640)
    assert large[400:, :100].all()
    assert large.sum() == 4 * mask.sum()
    assert enlarged_mask(mask, SMALL) is not None
    assert enlarged_mask(None, SMALL) is None


def test_keyframes_of_one_size_of_frames_are_enlarged_alike() -> None:
    """Those of a map of before frames were enlarged, beside those of a new one; those of other frames stay."""
    m = SlamMap()
    for i, camera in enumerate((SMALL, SMALL.enlarged_by(2), TINY)):
        image = np.zeros((camera.height, camera.width, 3), np.uint8)
        image[100, 100] = 255
        m.add_keyframe(
            Keyframe(i, i, i / 10, image, camera, Sim3.identity(), 0), np.zeros(0, np.int64), np.zeros((0, 2))
        )
    marks = m.landmarks.add(0, np.array([[0.0, 0.0, 4.0]]), np.ones(1), np.zeros((1, 3), np.uint8))
    m.observe(0, marks, np.array([[100.0, 100.0]]))
    enlarge_alike(m)
    assert [k.camera for k in m.keyframes] == [SMALL.enlarged_by(2), SMALL.enlarged_by(2), TINY]
    assert m.keyframes[0].image.shape == (480, 640, 3)
    assert m.keyframes[0].image[200:202, 200:202].min() > 100
    np.testing.assert_allclose(m.observed[0].pixels, [[200.5, 200.5]])


def test_a_map_of_before_is_enlarged_where_it_is_merged_with_a_new_one() -> None:
    for old, new in ((map_of(SMALL), map_of(SMALL.enlarged_by(2))), (map_of(SMALL.enlarged_by(2)), map_of(SMALL))):
        merge_two(old, new, TieJoiner([]))
        assert [k.camera for k in old.keyframes] == [SMALL.enlarged_by(2)] * 2


@pytest.mark.parametrize("size", [(640, 480), (100, 100), (640, 240)])
def test_images_of_another_size_are_not_stretched_to_the_cameras(size: tuple[int, int]) -> None:
    slam = Slam(SMALL)
    with pytest.raises(ValueError, match=f"frame 0 is {size[0]}x{size[1]}, the camera 320x240"):
        slam.process(Frame(0, 0.0, np.zeros((size[1], size[0], 3), np.uint8)))


POSES = [pose((0, -0.9 * i, 0), (0.12 * i, 0.02 * np.sin(i), 0.03 * i)) for i in range(24)]


def errors(images: list[Image], camera: Camera) -> tuple[int, np.ndarray]:
    """How many frames have a pose, and their distances from the truth, as shares of the way."""
    slam = Slam(camera)
    for i, image in enumerate(images):
        slam.process(Frame(i, i / 10, image))
    slam.finish()
    found = slam.map.trajectory()
    T, true = found.T_world_cam, np.stack([POSES[i] for i in found.frame_ids])
    first = np.linalg.inv(T[0])
    local, true = first @ T, np.linalg.inv(true[0]) @ true
    scale = np.linalg.norm(true[-1, :3, 3]) / np.linalg.norm(local[-1, :3, 3])
    off = np.linalg.norm(scale * local[:, :3, 3] - true[:, :3, 3], axis=1)
    return len(found.frame_ids), off / np.linalg.norm(true[-1, :3, 3])


def test_small_images_are_tracked_more_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [render(room(), SMALL, T)[0] for T in POSES]
    n, with_it = errors(images, SMALL)
    monkeypatch.setattr(room_of_sizes, "ENOUGH_PX", 0)
    n_without, without = errors(images, SMALL)
    assert n == len(images)
    assert n >= n_without
    assert np.sqrt((with_it**2).mean()) < 0.6 * np.sqrt((without**2).mean())


def test_a_photo_of_the_frames_size_is_found_in_a_map_of_enlarged_ones() -> None:
    slam = Slam(SMALL)
    for i, T in enumerate(POSES):
        slam.process(Frame(i, i / 10, render(room(), SMALL, T)[0]))
    slam.finish()
    assert slam.map.keyframes[0].image.shape == (480, 640, 3)
    localizer = Localizer(slam.map)
    assert (localizer.camera.width, localizer.camera.height) == (320, 240)
    image = render(room(), SMALL, POSES[12])[0]
    found = localizer.locate(image)
    assert found is not None
    assert localizer.accepts(found)
    at = slam.map.pose_of(slam.map.frames[12])
    assert at is not None
    assert found.pixels[:, 0].max() > SMALL.width, "it was looked for in the size of the map's images"
    degrees, apart = pose_error(found.T_world_cam, at)
    assert degrees < 0.3
    assert apart < 0.02


def test_focal_lengths_are_given_in_px_of_the_frames() -> None:
    camera = SMALL.enlarged_by(2)
    assert given_focal_px(RefineConfig(), camera) == camera.fx
    assert given_focal_px(RefineConfig(focal_px=250.0), camera) == 500.0
    assert given_focal_px(RefineConfig(focal_px=250.0), SMALL) == 250.0
