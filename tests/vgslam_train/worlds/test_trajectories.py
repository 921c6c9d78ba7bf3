"""Camera paths: proper poses, inside their region, and moving as their name says."""

import itertools

import numpy as np
import pytest

from vgslam.geometry import se3
from vgslam_train.worlds.trajectories import MOTIONS, HandHeld, Region, look, sway, trajectory

REGION = Region(np.array([-2.0, -1.5, 1.0]), np.array([2.0, 1.5, 2.0]), np.array([0.0, 0.0, 1.2]))
ROADS = Region(np.array([-40.0, -30.0, 1.3]), np.array([40.0, 30.0, 1.9]), np.zeros(3))


def test_look_axes():
    """Heading +x: the optical axis is +x, the image's right is -y, its down is -z."""
    T = look(np.array([[1.0, 2.0, 3.0]]), np.zeros(1), np.zeros(1), np.zeros(1))[0]
    np.testing.assert_allclose(T[:3, :3], np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]]), atol=1e-12)
    np.testing.assert_allclose(T[:3, 3], [1, 2, 3])


def test_look_pitch_and_roll():
    up = look(np.zeros((1, 3)), np.zeros(1), np.array([0.3]), np.zeros(1))[0]
    assert up[2, 2] == pytest.approx(np.sin(0.3))
    rolled = look(np.zeros((1, 3)), np.zeros(1), np.zeros(1), np.array([0.2]))[0]
    assert rolled[2, 0] == pytest.approx(-np.sin(0.2))  # clockwise: the right edge goes down


@pytest.mark.parametrize("kind", sorted(MOTIONS))
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_poses_are_rigid_and_repeat(kind, seed):
    T = trajectory(kind, 90, seed, REGION)
    assert T.shape == (90, 4, 4)
    R = T[:, :3, :3]
    np.testing.assert_allclose(R @ np.swapaxes(R, 1, 2), np.broadcast_to(np.eye(3), R.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(R), 1.0)
    np.testing.assert_array_equal(T, trajectory(kind, 90, seed, REGION))
    if kind != "static":
        assert not np.array_equal(T, trajectory(kind, 90, seed + 10, REGION))


@pytest.mark.parametrize("kind", sorted(MOTIONS))
def test_camera_stays_in_its_region(kind):
    region = ROADS if kind == "drive" else REGION
    for seed in range(5):
        at = trajectory(kind, 300, seed, region)[:, :3, 3]
        margin = 0.2  # of a shaking hand
        assert (at > region.low - margin).all()
        assert (at < region.high + margin).all()


@pytest.mark.parametrize("kind", ["walk", "rotate", "orbit", "drone", "drive"])
def test_motion_is_smooth_and_of_human_pace(kind):
    region = ROADS if kind == "drive" else REGION
    for seed in range(5):
        T = trajectory(kind, 200, seed, region)
        turns = np.array([se3.angle_deg(a[:3, :3].T @ b[:3, :3]) for a, b in itertools.pairwise(T)])
        assert turns.max() < 8.0
        assert np.abs(np.diff(turns)).max() < 2.5


def test_rotation_in_place_is_pure_and_goes_round():
    T = trajectory("rotate", 300, 4, REGION)
    assert (T[:, :3, 3] == T[0, :3, 3]).all()
    turned = sum(se3.angle_deg(a[:3, :3].T @ b[:3, :3]) for a, b in itertools.pairwise(T))
    assert turned > 180


def test_static_is_one_pose():
    T = trajectory("static", 20, 4, REGION)
    assert np.ptp(T, axis=0).max() == 0


def test_loop_returns_to_its_start_with_its_heading():
    for seed in range(5):
        T = trajectory("loop", 220, seed, REGION)
        length = np.linalg.norm(np.diff(T[:, :3, 3], axis=0), axis=1).sum()
        assert length > 4.0
        gaps = np.linalg.norm(T[-20:, :3, 3] - T[0, :3, 3], axis=1)
        assert gaps.min() < 0.25
        assert se3.angle_deg(T[0, :3, :3].T @ T[-20 + int(gaps.argmin()), :3, :3]) < 25


def test_a_drive_looks_ahead_and_comes_round():
    T = trajectory("drive", 900, 3, ROADS, 30.0)
    step = np.diff(T[:, :3, 3], axis=0)
    ahead = (step * T[:-1, :3, 2]).sum(1) / np.linalg.norm(step, axis=1)
    assert np.degrees(np.arccos(np.clip(ahead.min(), -1, 1))) < 15
    later = np.linalg.norm(T[450:, :3, 3] - T[0, :3, 3], axis=1)
    assert later.min() < 1.0


def test_sway_has_unit_deviation_and_no_jumps():
    rng = np.random.default_rng(0)
    x = np.stack([sway(3000, 30.0, rng) for _ in range(30)])
    assert 0.9 < x.std() < 1.1
    assert np.abs(np.diff(x, axis=1)).max() < 0.8


def test_steps_bob_at_their_rate():
    hand = HandHeld(position_m=0.0, angle_deg=0.0, step_m=0.02, step_hz=2.0)
    position, angles = hand.shake(300, 30.0, np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(position[:, 2]))
    assert np.fft.rfftfreq(300, 1 / 30)[spectrum.argmax()] == pytest.approx(2.0)
    assert (angles == 0).all()


@pytest.mark.parametrize(("kind", "n", "message"), [("hop", 3, "unknown camera motion 'hop'"), ("walk", 0, "n_frames")])
def test_bad_arguments_are_named(kind, n, message):
    with pytest.raises(ValueError, match=message):
        trajectory(kind, n, 0, REGION)
