"""A thing that moves has more points than the world, but old landmarks say which of the two motions is the camera's."""

import numpy as np
import pytest

from vgslam.frontend.features import FeatureConfig
from vgslam.frontend.moving_evidence import Departure
from vgslam.frontend.moving_note import MovingNote
from vgslam.frontend.moving_points import KEPT_FRAMES, MovingPoints
from vgslam.frontend.second_motion import Followed, static_fit
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.multiview.pnp import PosePoints, refine_pose

CAMERA = Camera.from_fov(320, 240, 70.0)
T_TRUE = se3.exp(np.array([0.01, 0.03, 0.0, 0.05, 0.0, 0.02]))
NONE = np.zeros((0, 2), np.float32)


def followed(n_old: int, n_moving: int, moved_px: float, seed: int = 0) -> Followed:
    """Old landmarks all over the left and young ones, of guessed depth, on a thing that shifts on the right."""
    rng = np.random.default_rng(seed)
    px = np.concatenate([
        rng.uniform([10, 10], [150, 230], (n_old, 2)), rng.uniform([190, 40], [300, 200], (n_moving, 2)),
    ])  # fmt: skip
    X = CAMERA.rays(px) * np.where(np.arange(len(px)) < n_old, rng.uniform(1.5, 6.0, len(px)), 3.0)[:, None]
    pixels = CAMERA.project(se3.transform(T_TRUE, X)) + rng.normal(0, 0.3, (len(px), 2))
    pixels[n_old:] += [0.3 * moved_px, moved_px]
    is_old = np.arange(len(px)) < n_old
    rel_sigma = np.where(is_old, 0.01, 0.5)
    return Followed(PosePoints(X, pixels, X, rel_sigma), is_old, NONE, 32.0)


def majority(f: Followed):
    return refine_pose(CAMERA, np.eye(4), f.points, 0.7, gate=3.5)


def angle_off(T: np.ndarray) -> float:
    return se3.angle_deg(T[:3, :3].T @ T_TRUE[:3, :3])


@pytest.mark.parametrize("seed", range(4))
def test_old_landmarks_win_against_three_times_as_many_on_a_moving_thing(seed):
    f = followed(40, 120, 12.0, seed)
    bent = majority(f)
    found = static_fit(CAMERA, f, bent, 0.7, 3.5)
    assert angle_off(bent.T_cam_world) > 0.5
    assert angle_off(found.fit.T_cam_world) < 0.15
    assert found.fit.inliers[f.is_old].mean() > 0.9
    assert not found.fit.inliers[~f.is_old].any()
    assert found.moving[~f.is_old].mean() > 0.95


def test_where_all_agree_nothing_changes():
    f = followed(40, 120, 0.0)
    fit = majority(f)
    found = static_fit(CAMERA, f, fit, 0.7, 3.5)
    assert found.fit is fit
    assert not found.moving.any()


def test_without_old_landmarks_the_majority_stays():
    f = followed(8, 120, 12.0)
    fit = majority(f)
    found = static_fit(CAMERA, f, fit, 0.7, 3.5)
    assert found.fit is fit
    assert not found.moving.any()


def test_young_points_among_those_known_to_move_are_not_believed():
    f = followed(60, 12, 0.0)
    around = f.points.pixels[~f.is_old]
    moving = np.concatenate([around + d for d in ([3, 0], [-3, 0], [0, 3], [0, -3])]).astype(np.float32)
    found = static_fit(CAMERA, Followed(f.points, f.is_old, moving, 32.0), majority(f), 0.7, 3.5)
    assert not found.fit.inliers[~f.is_old].any()
    assert found.fit.inliers[f.is_old].mean() > 0.9


def test_only_corners_that_move_together_are_a_moving_thing():
    rng = np.random.default_rng(1)
    before = rng.uniform([50, 50], [150, 150], (40, 2)).astype(np.float32)
    gray = np.zeros((240, 320), np.uint8)
    things = MovingPoints(FeatureConfig(), 32.0, 320, 240)
    things.follow(0, gray, 1, gray)
    assert things.add(before, before + rng.uniform(-40, 40, (40, 2)).astype(np.float32)) == 0
    assert things.add(before[:5], before[:5] + 3) == 0
    assert things.add(before, before + np.float32([8, 1])) == 40
    assert things.covers(1, np.array([[105.0, 100.0], [300.0, 20.0]])).tolist() == [True, False]
    assert 0.1 < things.share(1) < 0.4
    assert things.share(2) == 0.0


def test_moving_things_are_followed_and_forgotten_after_a_while():
    rng = np.random.default_rng(2)
    image = rng.integers(0, 255, (60, 80), np.uint8).repeat(4, 0).repeat(4, 1)
    before = rng.uniform([50, 50], [150, 150], (30, 2)).astype(np.float32)
    things = MovingPoints(FeatureConfig(), 32.0, 320, 240)
    things.follow(0, image, 1, image)
    things.add(before, before)
    shifted = np.roll(image, 3, axis=1)
    things.follow(1, image, 2, shifted)
    assert len(things.pixels) > 15
    assert np.allclose(np.median(things.pixels[:, 0]), np.median(before[:, 0]) + 3, atol=4)
    for i in range(KEPT_FRAMES):
        things.follow(2 + i, shifted, 3 + i, shifted)
    assert len(things.pixels) == 0
    things.add(before, before)
    things.follow(90, shifted, 91, shifted)  # after a gap nothing is known
    assert len(things.pixels) == 0


NOWHERE = np.zeros((0, 2), np.float32)


def departure(frame: int) -> Departure:
    return Departure(frame - 5, frame, NOWHERE, NOWHERE, NOWHERE, NOWHERE)


def test_the_note_names_the_stretches_and_needs_more_than_a_moment():
    notes: list[str] = []
    note = MovingNote(notes)
    note.see(3, 0.5, departure(3))
    note.see(4, 0.1, departure(4))
    assert notes == []
    for frame in (30, 32, 33, 36, 40, 41):
        note.see(frame, 0.3, departure(frame))
    for frame in (90, 90, 91, 91, 92, 92):
        note.see(frame, 0.54, departure(frame))
    note.see(100, 0.01, departure(100))
    assert len(notes) == 1
    assert "54 %" in notes[0]
    assert "30-41, 90-92" in notes[0]


@pytest.mark.parametrize(("answers", "is_kept"), [
    ([True, True, True, False, False, False], True),
    ([True, True, False, False, False, False], False),
    ([None, None, None, None, None, True], True),
    ([None] * 6, True),
])  # fmt: skip
def test_the_finished_map_confirms_a_stretch_or_takes_it_back(answers, is_kept):
    notes = ["another"]
    note = MovingNote(notes)
    for frame in range(30, 36):
        note.see(frame, 0.3, departure(frame))
    note.check(lambda seen: answers[seen.frame_b - 30])
    assert (len(notes) == 2) == is_kept
    assert notes[0] == "another"
