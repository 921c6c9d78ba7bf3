"""Corners that move leave their epipolar lines; those whose landmark is wrong do not, whatever their depth."""

import numpy as np
import pytest

from vgslam.frontend.moving_evidence import LEAST_FRAMES, MovingEvidence, epipolar_distance
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera

CAMERA = Camera.from_fov(320, 240, 70.0)
STEP = se3.exp(np.array([0.0, 0.01, 0.0, 0.05, 0.0, 0.01]))
N_WORLD, N_THING = 60, 20


def moves(velocity_px: tuple[float, float], n_frames: int = 6, jump_px: float = 0.0) -> bool:
    """What is said after n_frames; the corners on the thing stand in the world and shift by velocity_px a frame beside.
    jump_px: error that believed landmarks have too."""
    rng = np.random.default_rng(0)
    px = rng.uniform([20, 20], [300, 220], (N_WORLD + N_THING, 2))
    X = CAMERA.rays(px) * rng.uniform(1.5, 6.0, len(px))[:, None]
    ids, evidence = np.arange(N_WORLD), MovingEvidence()
    evidence.begin(0, ids, px[:N_WORLD].astype(np.float32))
    T = np.eye(4)
    for _ in range(n_frames):
        T = STEP @ T
        evidence.advance(STEP)
    now = (CAMERA.project(se3.transform(T, X)) + rng.normal(0, 0.3, px.shape)).astype(np.float32)
    now[:N_WORLD] += rng.normal(0, jump_px, (N_WORLD, 2)).astype(np.float32)
    now[N_WORLD:] += n_frames * np.float32(velocity_px)
    since = np.zeros(N_THING, np.int64)
    found = evidence.moves(CAMERA, n_frames, since, px[N_WORLD:].astype(np.float32), now[N_WORLD:], ids, now[:N_WORLD])
    assert found is None or (found.frame_a, found.frame_b) == (0, n_frames)
    assert found is None or (len(found.start), len(found.believed_now)) == (N_THING, N_WORLD)
    return found is not None


def test_what_crosses_its_epipolar_lines_moves():
    assert moves((0.0, 1.5))


def test_what_stands_does_not_whatever_its_depth():
    assert not moves((0.0, 0.0))


def test_one_frame_is_not_enough():
    assert not moves((0.0, 6.0), n_frames=LEAST_FRAMES - 1)


def test_where_believed_landmarks_are_as_far_off_nothing_is_said():
    assert not moves((0.0, 1.5), jump_px=8.0)


def test_after_a_gap_nothing_is_known():
    evidence = MovingEvidence()
    ids, px = np.arange(30), np.zeros((30, 2), np.float32)
    evidence.begin(0, ids, px)
    evidence.forget()
    assert evidence.moves(CAMERA, 5, np.zeros(30, np.int64), px, px + 50, ids, px) is None


@pytest.mark.parametrize("depth", [1.0, 3.0, 50.0])
def test_points_of_the_world_are_on_their_lines(depth):
    px = np.random.default_rng(1).uniform([20, 20], [300, 220], (40, 2))
    there = CAMERA.project(se3.transform(STEP, CAMERA.rays(px) * depth))
    assert epipolar_distance(CAMERA, STEP, px, there).max() < 1e-3
