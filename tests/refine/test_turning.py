"""A camera that turns on the spot with a rolling shutter: its read-out time, and its rotations."""

from dataclasses import replace

import numpy as np
import pytest
from turning_world import CAMERA, FRAME_S, TurningWorld, pose_at, seen_at, turning_world

from vgslam.geometry import se3
from vgslam.multiview.shutter import FacingMatches, between, contradiction, levelled, read_out
from vgslam.refine.adjust import RefineConfig, Watch
from vgslam.refine.facing import Facing, facing_pairs, matched, velocities
from vgslam.refine.problem import gather
from vgslam.refine.refine_map import refine_map
from vgslam.refine.turning import Turning, _tracks, _turns_on_the_spot, turning

CONFIG = RefineConfig(is_calibration_fixed=True)


def adjusted(w: TurningWorld) -> Turning | None:
    return turning(w.slam_map, np.arange(len(w.slam_map.keyframes)), w.places, CONFIG, Watch())


@pytest.fixture(scope="module")
def rolling() -> TurningWorld:
    return turning_world(0.026)


def test_rows_are_taken_to_the_middle_of_the_image() -> None:
    """A camera that turns evenly about its own centre."""
    velocity = np.array([1.2, -0.7, 0.4])
    rng = np.random.default_rng(0)
    pixels = rng.uniform([100, 20], [540, 460], (50, 2))
    late = 0.03 * ((pixels[:, 1] + 0.5) / 480 - 0.5)
    R = np.stack([se3.so3_exp(velocity * x) for x in late])  # from the camera of the row to that of the middle row
    true = CAMERA.project(np.matmul(R, CAMERA.rays(pixels)[:, :, None])[:, :, 0])
    assert np.abs(levelled(CAMERA, pixels, np.tile(velocity, (50, 1)), 0.03) - true).max() < 1e-9
    assert np.abs(pixels - true).max() > 5
    assert levelled(CAMERA, pixels, np.tile(velocity, (50, 1)), 0.0) is pixels


@pytest.mark.parametrize("readout_s", [0.026, -0.012, 0.0])
def test_the_read_out_time_is_found_from_opposite_turns(readout_s: float) -> None:
    w = turning_world(readout_s)
    members = np.arange(len(w.slam_map.keyframes))
    velocity = velocities(w.slam_map, members)
    T = w.slam_map.T_world_keyframes(members)
    matches = matched(w.places, members, facing_pairs(T[:, :3, :3], velocity)).matches
    found = read_out(CAMERA, matches, between(matches, T)[:, :3, :3], np.nan_to_num(velocity))
    assert found.seconds == pytest.approx(readout_s, abs=0.003)
    assert 0 < found.sigma_s < 0.003


def test_velocities_come_from_the_frames_on_both_sides(rolling: TurningWorld) -> None:
    m, members = rolling.slam_map, np.arange(len(rolling.slam_map.keyframes))
    found = velocities(m, members)
    at = 10
    t = m.keyframes[at].timestamp_s
    a, b = pose_at(t - FRAME_S)[:3, :3], pose_at(t + FRAME_S)[:3, :3]
    assert np.allclose(found[at], se3.so3_log(a.T @ b) / (2 * FRAME_S), atol=0.12)  # the map's drift is in it
    slow = turning_world(0.0)
    for n in range(len(slow.slam_map.frames)):
        slow.slam_map.frames[n] = replace(slow.slam_map.frames[n], timestamp_s=20.0 * n)
    for k in slow.slam_map.keyframes:
        k.timestamp_s = 20.0 * k.frame_id
    assert np.isnan(velocities(slow.slam_map, members)).all()


def test_rotations_are_mended() -> None:
    w = turning_world(0.026)
    before = w.rotation_error_deg()
    out = refine_map(w.slam_map, CONFIG, places=w.places)
    assert out.components[0].is_kept
    assert out.components[0].readout_s == pytest.approx(0.026, abs=0.003)
    assert "reads an image in" in " ".join(out.lines())
    assert before > 1.0
    assert w.rotation_error_deg() < 0.35 * before


def test_it_can_be_turned_off() -> None:
    w = turning_world(0.026)
    out = refine_map(w.slam_map, replace(CONFIG, rolling_shutter=False, shares_landmarks=False), places=w.places)
    assert out.components[0].readout_s == 0.0


def test_a_camera_that_reads_all_rows_at_once_is_left_to_the_usual_adjustment() -> None:
    assert adjusted(turning_world(0.0)) is None


def test_a_camera_that_walks_is_left_to_the_usual_adjustment() -> None:
    assert adjusted(turning_world(0.026, speed=1.5)) is None


def test_a_walk_is_no_turn_on_the_spot(rolling: TurningWorld) -> None:
    """A step of the walk is 0.15 long, at a depth of 1, in some 0.1 rad."""
    walk = turning_world(0.026, speed=1.5).slam_map
    assert _turns_on_the_spot(gather(rolling.slam_map, np.arange(len(rolling.slam_map.keyframes))))
    assert not _turns_on_the_spot(gather(walk, np.arange(len(walk.keyframes))))


def test_a_pair_without_a_baseline_is_judged_by_its_rotation() -> None:
    """A match at the principal point in both images: after a turn of 0.02 rad it is 10 px away, whose loss at a width
    of 5 px is 100 / 125."""
    matches = FacingMatches(np.array([0]), np.array([1]), np.array([0, 1]), *np.tile([[[319.5, 239.5]]], (2, 1, 1)))
    T = se3.exp(np.array([0.0, 0.02, 0.0, 0.0, 0.0, 0.0]))[None]
    still = np.zeros((2, 3))
    assert contradiction(CAMERA, matches, T, still, 0.0) == pytest.approx(0.8, abs=1e-3)
    T[0, 0, 3] = 1e-3  # a baseline along the turn explains it
    assert contradiction(CAMERA, matches, T, still, 0.0) == pytest.approx(0.0, abs=1e-6)
    T[0, :3, 3] = [0.0, 1e-3, 0.0]
    assert contradiction(CAMERA, matches, T, still, 0.0) == pytest.approx(0.8, abs=1e-3)


def test_matches_join_to_tracks_and_tracks_that_contradict_themselves_are_left_out() -> None:
    """Feature 0 of images 0, 1 and 2 is one track. Feature 5 of image 0 meets features 6 and 7 of image 1: no point is
    seen twice in an image."""
    a, b = np.array([0, 1, 0, 0]), np.array([1, 2, 1, 1])
    pixels_a = np.array([[0, 1], [10, 11], [4, 5], [4, 5]])
    pixels_b = np.array([[10, 11], [12, 13], [6, 7], [8, 9]])
    matches = FacingMatches(a, b, np.arange(5), pixels_a, pixels_b)
    shared = Facing(matches, np.array([0, 0, 5, 5]), np.array([0, 0, 6, 7]))
    cam, track, px = _tracks(shared, np.arange(4))
    assert cam.tolist() == [0, 1, 2]
    assert track.tolist() == [0, 0, 0]
    assert px.tolist() == [[0, 1], [10, 11], [12, 13]]


def test_the_made_up_shutter_moves_rows_as_the_camera_turns() -> None:
    points = np.array([[0.0, 0.6, 2.0], [0.0, 0.0, 2.0]])
    (_, still), (_, rolled) = seen_at(points, 0.2, 0.0, arm=0.0), seen_at(points, 0.2, 0.03, arm=0.0)
    assert np.linalg.norm(still - rolled, axis=1).max() > 3
