"""The calibration adjusted while a recording runs."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from refine_world import CAMERA, Errors, turning_walk, world

from vgslam.frontend.rotation_guess import Thumbnail
from vgslam.frontend.tracker import View
from vgslam.geometry.camera import Camera
from vgslam.refine.adjust import RefineConfig
from vgslam.refine.while_running import CalibrationWhileRunning

WIDE = RefineConfig(while_running=True, focal_rel_sigma=0.07, k1_sigma=0.1)


class User:
    """Hears of new cameras."""

    def __init__(self) -> None:
        self.cameras: list[Camera] = []

    def take_camera(self, camera: Camera) -> None:
        self.cameras.append(camera)


def newest(m):
    """View, ids and pixels of the newest keyframe."""
    keyframe, seen = m.keyframes[-1], m.observed[-1]
    gray = cv2.cvtColor(keyframe.image, cv2.COLOR_RGB2GRAY)
    view = View(keyframe.frame_id, keyframe.timestamp_s, keyframe.image, gray, Thumbnail(gray, keyframe.camera))
    return view, seen.ids, seen.pixels.astype(np.float32)


def begun(m, config=WIDE):
    """It, as if the map had been empty when the run began, and who hears of its cameras."""
    user = User()
    given = m.keyframes[0].camera
    keyframes, m.keyframes = m.keyframes, []
    calibration = CalibrationWhileRunning(m, given, config, [user])
    m.keyframes = keyframes
    return calibration, user


def test_tracking_goes_on_with_the_camera_that_the_map_determines() -> None:
    w = world(turning_walk(40), Errors(focal=0.06, k1=-0.05))
    m = w.slam_map
    calibration, user = begun(m)
    view, ids, pixels = newest(m)
    after, new_ids, new_pixels = calibration.at_keyframe(view, ids, pixels)
    (camera,) = user.cameras
    assert camera.fx == pytest.approx(CAMERA.fx, rel=0.006)
    assert camera.removed_k1 == pytest.approx(-0.05, abs=0.006)
    assert all(k.camera == camera for k in m.keyframes)
    assert after.thumbnail.camera.fx == pytest.approx(camera.resized(after.thumbnail.camera.width, 1).fx)
    assert np.array_equal(new_ids, m.observed[-1].ids)
    known = m.landmarks.is_triangulated[new_ids]
    local = m.keyframes[-1].S_world_keyframe.inverse().apply(m.landmarks_world(new_ids[known]))
    assert np.median(np.linalg.norm(camera.project(local) - new_pixels[known], axis=1)) < 0.6


def test_each_number_of_keyframes_is_looked_at_once() -> None:
    m = world(turning_walk(40), Errors(focal=0.06, k1=-0.05)).slam_map
    calibration, user = begun(m)
    for _ in range(2):
        calibration.at_keyframe(*newest(m))
    assert len(user.cameras) == 1


@pytest.mark.parametrize("setting", [{"is_calibration_fixed": True}, {"while_running": False}])
def test_settings_turn_it_off(setting) -> None:
    m = world(turning_walk(40), Errors(focal=0.06, k1=-0.05)).slam_map
    calibration, user = begun(m, replace(WIDE, **setting))
    view, ids, pixels = newest(m)
    assert calibration.at_keyframe(view, ids, pixels) == (view, ids, pixels)
    assert user.cameras == []


def test_a_map_of_an_earlier_run_is_left_alone() -> None:
    m = world(turning_walk(40), Errors(focal=0.06)).slam_map
    user = User()
    CalibrationWhileRunning(m, m.keyframes[0].camera, WIDE, [user]).at_keyframe(*newest(m))
    assert user.cameras == []


def test_keyframes_of_other_components_get_the_same_camera() -> None:
    w = world(turning_walk(50), Errors(focal=0.06, k1=-0.05))
    m = w.slam_map
    for k in range(12):
        m.keyframes[k].component_id = 7
    before = m.observed[3].pixels.copy()
    calibration, user = begun(m)
    calibration.at_keyframe(*newest(m))
    (camera,) = user.cameras
    assert m.keyframes[3].camera == camera
    moved = np.linalg.norm(m.observed[3].pixels - before, axis=1)
    near = np.linalg.norm(before - [CAMERA.cx, CAMERA.cy], axis=1) < 40.0
    assert moved[near].max() < 0.1  # the lens bends little near its centre
    assert moved.max() > 1.0


def test_later_adjustments_remember_the_focal_length_that_was_given() -> None:
    m = world(turning_walk(40), Errors(focal=0.06, k1=-0.05)).slam_map
    given = m.keyframes[0].camera.fx
    calibration, _ = begun(m)
    calibration.at_keyframe(*newest(m))
    assert m.keyframes[0].camera.fx != given
    assert calibration.config.focal_px == given


@pytest.mark.parametrize(
    ("to_come", "is_adjusted"), [(0, False), (3, False), (4, True), (40, True), (-20, True)]
)  # of 40 frames that came; the last: the source did not know its length
def test_nothing_is_adjusted_shortly_before_the_end_of_a_recording(to_come, is_adjusted) -> None:
    m = world(turning_walk(40), Errors(focal=0.06, k1=-0.05)).slam_map
    calibration, user = begun(m)
    newest_id = m.keyframes[-1].frame_id
    calibration.expect(newest_id - 39, 40 + to_come)
    calibration.at_keyframe(*newest(m))
    assert bool(user.cameras) == is_adjusted


def test_shortly_before_the_end_it_is_adjusted_where_the_end_adjusts_nothing() -> None:
    m = world(turning_walk(40), Errors(focal=0.06, k1=-0.05)).slam_map
    calibration, user = begun(m, replace(WIDE, is_on=False))
    calibration.expect(m.keyframes[-1].frame_id - 39, 40)
    calibration.at_keyframe(*newest(m))
    assert user.cameras
