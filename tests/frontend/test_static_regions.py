"""What never moves is found while the rest moves; a standing, turning or straight driving camera finds nothing."""

import cv2
import numpy as np
import pytest
from synthetic import smooth_texture

from vgslam.frontend.static_regions import StaticRegions
from vgslam.frontend.static_watch import StaticWatch
from vgslam.frontend.tracker import Tracker, TrackerConfig
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.types import Keyframe

CAMERA = Camera.from_fov(320, 240, 70.0)
WORLD = np.round(smooth_texture(1400, seed=5, finest_px=4.0)).astype(np.uint8)
NOISE = np.random.default_rng(9).integers(60, 200, (48, 64), np.uint8).repeat(5, 0).repeat(5, 1)
N = 40


def seen(R: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """A wall at z = 1 that carries WORLD, seen by a camera with R_cam_world at centre (3,)."""
    to_world = np.array([[0.004, 0, -0.004 * 700], [0, 0.004, -0.004 * 700], [0, 0, 1.0]])
    H = CAMERA.K @ R @ (np.eye(3) - np.outer(centre, [0, 0, 1.0])) @ to_world
    return cv2.warpPerspective(WORLD, H, (320, 240), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def turning(i: int) -> np.ndarray:
    yaw, pitch = 0.35 * np.sin(i / 7.0), 0.1 * np.sin(i / 4.0)
    return seen(se3.so3_exp(np.array([pitch, yaw, 0.0])), np.zeros(3))


def walking(i: int) -> np.ndarray:
    yaw, pitch = 0.3 * np.sin(i / 7.0), 0.1 * np.sin(i / 4.0)
    return seen(se3.so3_exp(np.array([pitch, yaw, 0.0])), np.array([0.2 * np.sin(i / 9.0), 0.02 * i / N, 0.0]))


def straight(i: int) -> np.ndarray:
    return seen(np.eye(3), np.array([0.0, 0.0, -2.0 + 2.4 * i / N]))


def bend(i: int) -> np.ndarray:
    """Past the wall, turning so that what is eight times as far away would stay where it is."""
    x = -2.0 + 4.0 * i / N
    return seen(se3.so3_exp(np.array([0.0, -x / 8.0, 0.0])), np.array([x, 0.0, 0.0]))


def leaps(i: int) -> np.ndarray:
    """Turns by some 30 degrees from frame to frame, too far for optical flow."""
    rng = np.random.default_rng(i)
    pitch, yaw, roll = 0.15 * rng.uniform(-1, 1), 0.35 * (-1) ** i * rng.uniform(0.5, 1), 0.3 * rng.uniform(-1, 1)
    return seen(se3.so3_exp(np.array([pitch, yaw, roll])), np.zeros(3))


def lorry(i: int) -> np.ndarray:
    """A standing camera; a lorry that hides most of what it sees goes by."""
    out, x = turning(0).copy(), 6 * i - 200
    a, b = max(0, x), min(320, x + 200)
    out[60:, a:b] = WORLD[900:1080, 900 + a - x : 900 + b - x]
    return out


def shares(frame_of, burnt_in=lambda image, i: image, camera=CAMERA) -> StaticRegions:
    regions = StaticRegions(camera)
    for i in range(N):
        regions.see(burnt_in(frame_of(i), i))
    return regions


def hood(image: np.ndarray, i: int) -> np.ndarray:
    out = image.copy()
    out[180:] = NOISE[180:]
    return out


def text(image: np.ndarray, i: int) -> np.ndarray:
    out = image.copy()
    cv2.putText(out, "2026-11-27 CAM 1", (8, 228), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 2)
    return out


@pytest.mark.parametrize("frame_of", [turning, walking, bend, leaps])
def test_a_hood_is_found_and_nothing_else(frame_of):
    mask = shares(frame_of, hood).mask
    truth = np.zeros((240, 320), bool)
    truth[180:] = True
    assert mask is not None
    assert (mask & truth).sum() / truth.sum() > 0.9
    assert mask[:165].mean() < 0.01


def test_a_burnt_in_text_is_found_and_little_else():
    mask = shares(turning, text).mask
    assert mask is not None
    assert mask[205:235, 8:190].mean() > 0.5
    assert mask[:190].mean() < 0.01


@pytest.mark.parametrize("frame_of", [turning, walking, straight, bend, leaps])
def test_a_camera_that_sees_the_world_alone_finds_nothing(frame_of):
    assert shares(frame_of).mask is None


@pytest.mark.parametrize("burnt_in", [hood, text, lambda image, i: image])
def test_a_standing_camera_finds_nothing(burnt_in):
    assert shares(lambda i: turning(0), burnt_in).mask is None


def test_a_standing_camera_does_not_lose_what_a_lorry_leaves_in_view():
    regions = StaticRegions(CAMERA)
    assert not any(regions.see(lorry(i)) for i in range(2 * N))


def test_what_stood_still_and_moves_again_is_used_again():
    regions = StaticRegions(CAMERA)
    faint = (NOISE // 2 + 60).astype(np.uint8)
    for i in range(N):
        regions.see(np.vstack([turning(i)[:180], faint[180:]]))
    assert regions.share > 0.15
    for i in range(N, 12 * N):
        regions.see(turning(i))
    assert regions.mask is None


def test_a_small_image_and_one_without_texture_do_no_harm():
    small = StaticRegions(Camera.from_fov(64, 48, 60.0))
    assert not any(small.see(np.full((48, 64), 10 * (i % 3), np.uint8)) for i in range(20))
    assert small.mask is None


def test_the_map_loses_what_it_saw_there_and_the_note_says_so():
    slam_map, notes = SlamMap(), []
    tracker = Tracker(CAMERA, slam_map, TrackerConfig())
    watch = StaticWatch(tracker, slam_map, notes)
    image = np.repeat(turning(0)[..., None], 3, axis=2)
    slam_map.add_keyframe(
        Keyframe(0, 0, 0.0, image, CAMERA, Sim3.identity(), 0), np.zeros(0, np.int64), np.zeros((0, 2))
    )
    pixels = np.array([[100.0, 60.0], [100.0, 220.0]])
    ids = slam_map.landmarks.add(0, CAMERA.rays(pixels), np.full(2, 0.01), np.zeros((2, 3), np.uint8))
    slam_map.landmarks.is_triangulated[ids] = True
    slam_map.observe(0, ids, pixels)
    for i in range(N):
        watch.see(tracker.view(i, i / 30.0, np.repeat(hood(turning(i), i)[..., None], 3, axis=2)))
    assert slam_map.observed[0].ids.tolist() == [0]
    assert slam_map.landmarks.is_triangulated.tolist() == [True, False]
    assert len(notes) == 1
    assert "never moves" in notes[0]
    assert watch.most_share == pytest.approx(0.25, abs=0.06)
