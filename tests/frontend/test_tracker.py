"""Tracking against landmarks with known depth, in rendered images."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import CAMERA, pose, pose_error, render, room, smooth_texture

from vgslam.frontend.tracker import TrackResult, TrackState
from vgslam.geometry import se3
from vgslam.multiview.free_depths import FreeFit
from vgslam.types import Image


def state_at(known_map, frame: int = 0) -> TrackState:
    ids, px = known_map.add(frame)
    view = known_map.tracker.view(frame, frame / 30, known_map.walk.images[frame])
    return TrackState(view, ids, px.astype(np.float32), known_map.walk.T_world_cam[frame])


def track(known_map, state: TrackState, image: Image, frame: int = 1) -> TrackResult:
    return known_map.tracker.track(state, known_map.tracker.view(frame, frame / 30, image))


def unrelated() -> Image:
    return np.repeat(smooth_texture(320, seed=99)[:240, :, None], 3, axis=2)


def test_pose_of_the_next_frames(known_map) -> None:
    state = state_at(known_map)
    for i in (1, 2, 4):
        result = track(known_map, state, known_map.walk.images[i], i)
        angle, distance = pose_error(result.T_world_cam, known_map.walk.T_world_cam[i])
        assert not result.is_lost
        assert angle < 0.15
        assert distance < 0.015
        assert result.ratio > 0.8
        assert result.n_inliers == len(result.ids) > 100


def test_inliers_are_where_the_landmarks_project(known_map) -> None:
    state = state_at(known_map)
    result = track(known_map, state, known_map.walk.images[3])
    ids, px = known_map.true_pixels(result.ids, 3)
    at = np.isin(result.ids, ids)
    error = np.linalg.norm(result.pixels[at] - px, axis=1)
    assert np.median(error) < 0.3
    assert np.percentile(error, 95) < 2.0
    assert np.isin(result.ids, state.ids).all()


def test_the_position_stays_when_the_camera_turns(known_map) -> None:
    state = state_at(known_map)
    turned = known_map.walk.T_world_cam[0] @ pose((1.0, 4.0, -2.0))
    result = track(known_map, state, render(room(), CAMERA, turned)[0])
    angle, distance = pose_error(result.T_world_cam, turned)
    assert not result.is_lost
    assert angle < 0.15
    assert distance < 0.015


def test_a_fast_steady_turn_is_followed_by_its_motion(known_map) -> None:
    """Nine degrees an image: too fast from rest for the thumbnail, known from the motion before."""
    state = state_at(known_map)
    step = pose((0, 9.0, 0))
    turned = known_map.walk.T_world_cam[0] @ step
    state = replace(state, motion=se3.inverse(step))
    result = track(known_map, state, render(room(), CAMERA, turned)[0])
    assert not result.is_lost
    assert pose_error(result.T_world_cam, turned)[0] < 0.3


def test_covariance_is_of_the_size_of_the_error(known_map) -> None:
    state = state_at(known_map)
    result = track(known_map, state, known_map.walk.images[2])
    T_cam_world = se3.inverse(result.T_world_cam)
    xi = se3.log(T_cam_world @ known_map.walk.T_world_cam[2])
    assert np.linalg.eigvalsh(result.covariance).min() > 0
    sigma = np.sqrt(np.diag(result.covariance))
    assert (np.abs(xi) < 8 * sigma).all()
    assert sigma[:3].max() < np.radians(0.5)


def test_a_black_image_is_lost(known_map) -> None:
    state = state_at(known_map)
    assert track(known_map, state, np.zeros_like(known_map.walk.images[0])).is_lost


def test_another_scene_is_lost(known_map) -> None:
    state = state_at(known_map)
    assert track(known_map, state, unrelated()).is_lost


def test_wrong_landmarks_are_lost_and_not_fitted(known_map) -> None:
    """Features that can be followed, on a map that does not fit them."""
    state = state_at(known_map)
    rng = np.random.default_rng(1)
    known_map.map.landmarks.xyz_host[:] *= rng.uniform(0.3, 3.0, (len(known_map.map.landmarks), 1))
    near = render(room(), CAMERA, pose((0, 0, 0), (0.6, 0.2, 0.0)))[0]
    assert track(known_map, state, near).is_lost


def test_guessed_depths_do_not_vote(known_map) -> None:
    """A third of the landmarks guessed, and wrong beyond what they say: the ratio is that of the triangulated ones."""
    state = state_at(known_map)
    marks = known_map.map.landmarks
    guessed = np.arange(len(marks)) % 3 == 0
    marks.is_triangulated[guessed] = False
    marks.xyz_host[guessed] *= 4.0
    marks.rel_sigma[guessed] = 0.21
    result = track(known_map, state, render(room(), CAMERA, pose((0, 0, 0), (0.3, 0, 0)))[0])
    kept = len(result.ids) / len(state.ids)
    assert not result.is_lost
    assert result.ratio > 0.9
    assert kept < 0.8  # the guessed ones are mostly dropped
    assert pose_error(result.T_world_cam, pose((0, 0, 0), (0.3, 0, 0)))[1] < 0.05


@pytest.mark.parametrize(("n_known", "is_asked"), [(7, False), (12, True), (1000, False)])
def test_a_view_that_lacks_depth_is_asked_whether_it_turned_or_moved(
    known_map, monkeypatch: pytest.MonkeyPatch, n_known: int, is_asked: bool
) -> None:
    """One with depths needs not be asked, and one without any cannot be; another pose that is found is taken."""
    state = state_at(known_map)
    marks, asked = known_map.map.landmarks, list[int]()
    guessed = np.arange(len(marks)) >= n_known
    marks.is_triangulated[guessed], marks.rel_sigma[guessed] = False, 0.5
    truth = known_map.walk.T_world_cam[1]
    elsewhere = se3.inverse(truth @ pose((0, 0.1, 0)))

    def found(camera, T_before, pixels_before, points, T_cam_world, prior) -> FreeFit:
        asked.append(len(points))
        assert pose_error(se3.inverse(T_cam_world), truth)[0] < 0.5
        assert prior is not None
        np.testing.assert_allclose(T_before, se3.inverse(state.T_world_cam))
        assert len(pixels_before) == len(points)
        deviation = np.where(np.arange(len(points)) < 40, 0.0, 9.0)
        return FreeFit(elsewhere, 0.0, deviation, np.zeros(len(points)), np.eye(6))

    monkeypatch.setattr("vgslam.frontend.tracker.better_pose", found)
    result = track(known_map, state, known_map.walk.images[1])
    assert bool(asked) is is_asked
    assert (len(result.ids) == 40) is is_asked, "those that agree with the pose that was found"
    if is_asked:
        np.testing.assert_allclose(result.T_world_cam, se3.inverse(elsewhere), atol=1e-9)


@pytest.mark.parametrize(("n", "is_lost"), [(6, True), (12, True), (40, False)])
def test_a_handful_of_landmarks_is_no_pose(known_map, n: int, is_lost: bool) -> None:
    state = state_at(known_map)
    state = replace(state, ids=state.ids[:n], pixels=state.pixels[:n])
    assert track(known_map, state, known_map.walk.images[1]).is_lost is is_lost


def test_covered_features_are_dropped(known_map) -> None:
    state = state_at(known_map)
    image = known_map.walk.images[2].copy()
    image[60:180, 40:130] = unrelated()[60:180, 40:130]
    result = track(known_map, state, image)
    angle, distance = pose_error(result.T_world_cam, known_map.walk.T_world_cam[2])
    assert not result.is_lost
    assert angle < 0.2
    assert distance < 0.03
    inside = ((result.pixels > [50, 70]) & (result.pixels < [120, 170])).all(axis=1)
    assert inside.sum() < 0.05 * len(result.pixels)
