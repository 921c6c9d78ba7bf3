"""When a view counts as lost, where features are looked for, and what a turn alone tells: put down by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hand_map import CAMERA, add_landmarks, at, grid, hand_map, pixels_of

from vgslam.frontend.features import FeatureConfig
from vgslam.frontend.image_mask import ImageMask
from vgslam.frontend.tracker import Tracker, TrackerConfig, TrackResult, TrackState
from vgslam.map.slam_map import SlamMap
from vgslam.multiview.pnp import PoseFit
from vgslam.types import Ids

IMAGE = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)


def seen(n: int, n_sure: int | None = None, poses: int = 1) -> tuple[SlamMap, Tracker, Ids]:
    """A keyframe that sees n landmarks at 4, the first n_sure of them triangulated."""
    m = hand_map([at(x=0.1 * k) for k in range(poses)])
    ids = add_landmarks(m, 0, grid(n, 1, 4.0))
    m.landmarks.is_triangulated[ids[n if n_sure is None else n_sure :]] = False
    return m, Tracker(CAMERA, m, TrackerConfig()), ids


def state(m: SlamMap, tracker: Tracker, ids: Ids, ratio: float = 1.0) -> TrackState:
    pixels = pixels_of(m, 0, m.landmarks_world(ids)).astype(np.float32)
    return TrackState(tracker.view(0, 0.0, IMAGE), ids, pixels, np.eye(4), None, ratio)


def judged(n: int, n_agree: int, ratio_before: float = 1.0, n_sure: int | None = None, n_lost: int = 0) -> TrackResult:
    """From n features: the last n_lost were not followed, and the first n_agree agree with the pose."""
    m, tracker, ids = seen(n, n_sure)
    before = state(m, tracker, ids, ratio_before)
    ok = np.arange(n) < n - n_lost
    fit = PoseFit(at(x=-1.0), np.arange(n) < n_agree, 0.01 * np.eye(6), 0.5)
    return tracker._judge(before, tracker.pose_points(ids, before.pixels), before.pixels, ok, fit)


@pytest.mark.parametrize(("n", "n_agree", "before", "is_lost"), [
    (15, 15, 1.0, False), (14, 14, 1.0, True),  # fifteen landmarks
    (100, 40, 0.5, False), (100, 39, 0.5, True),  # two fifths of those that are followed
    (100, 54, 0.85, True), (100, 54, 0.8, False),  # less than 0.55, and less than 0.65 times what it was
    (100, 56, 1.0, False),
])  # fmt: skip
def test_a_view_is_lost_with_few_landmarks_or_a_small_share_or_one_that_dropped(
    n: int, n_agree: int, before: float, is_lost: bool
) -> None:
    result = judged(n, n_agree, before)
    assert result.is_lost is is_lost
    assert (result.n_inliers, result.ratio) == (n_agree, pytest.approx(n_agree / n))
    assert len(result.ids) == len(result.pixels) == n_agree


def test_the_result_has_the_cameras_pose_and_what_was_followed() -> None:
    result = judged(100, 50, 0.5, n_lost=20)
    np.testing.assert_allclose(result.T_world_cam, at(x=1.0))
    assert (result.ratio, result.survived) == (pytest.approx(50 / 80), pytest.approx(0.8))


@pytest.mark.parametrize(("n_sure", "n_voters"), [(30, 30), (29, 100)])
def test_thirty_landmarks_of_measured_depth_decide_alone(n_sure: int, n_voters: int) -> None:
    """The first 20 agree."""
    result = judged(100, 20, n_sure=n_sure)
    assert (result.n_inliers, result.ratio) == (20, pytest.approx(20 / n_voters))
    assert result.is_lost is (n_voters == 100)


def test_nothing_that_was_fitted_is_lost() -> None:
    m, tracker, ids = seen(20)
    before = state(m, tracker, ids)
    points = tracker.pose_points(ids, before.pixels)
    assert tracker._judge(before, points, before.pixels, np.ones(20, bool), None).is_lost


def test_rays_of_landmarks_begin_at_the_keyframe_that_they_hang_on() -> None:
    m = hand_map([at(), at(x=1.0)])
    ids = add_landmarks(m, 1, [[1.0, 2.0, 4.0]])
    points = Tracker(CAMERA, m, TrackerConfig()).pose_points(ids, np.zeros((1, 2)))
    np.testing.assert_allclose(points.landmarks, [[1.0, 2.0, 4.0]])
    np.testing.assert_allclose(points.direction, [[0.0, 2.0, 4.0]])


@pytest.mark.parametrize(("n_sure", "is_turn"), [(29, True), (30, False)])
def test_a_position_is_known_by_thirty_landmarks_of_measured_depth(n_sure: int, is_turn: bool) -> None:
    _, tracker, ids = seen(100, n_sure)
    result = TrackResult(False, at(x=1.0), 0.01 * np.eye(6), ids, np.zeros((100, 2), np.float32), 100, 1.0, 1.0)
    found = tracker._with_rotation_only(result)
    assert found.rotation_only is is_turn
    assert bool(np.sqrt(found.covariance[3, 3]) > 0.4) is is_turn, "a tenth of about 4"
    lost = replace(result, is_lost=True)
    assert tracker._with_rotation_only(lost) is lost


@pytest.mark.parametrize(("step", "is_sure", "moved_px"), [(1.0, False, -25.0), (3.9, False, -97.5), (4.1, False, 0.0),
                                                           (4.1, True, -102.5)])  # fmt: skip
def test_a_landmark_is_looked_for_where_it_moves_unless_that_is_half_an_image_away(
    step: float, is_sure: bool, moved_px: float
) -> None:
    """With a depth of 4 a step of 1 is 25 px; the image is 200 wide."""
    m, tracker, ids = seen(5)
    before = state(m, tracker, ids)
    points = tracker.pose_points(ids, before.pixels)
    guess = tracker._displaced(points, np.eye(4), at(x=-step), before.pixels, is_sure)
    np.testing.assert_allclose(guess - before.pixels, np.tile([moved_px, 0.0], (5, 1)), atol=1e-3)


def test_a_landmark_that_comes_to_lie_behind_stays_where_it_was() -> None:
    m, tracker, ids = seen(5)
    before = state(m, tracker, ids)
    points = tracker.pose_points(ids, before.pixels)
    np.testing.assert_array_equal(tracker._displaced(points, np.eye(4), at(z=-5.0), before.pixels), before.pixels)


def test_the_speed_goes_on_while_the_camera_turns_as_its_thumbnail_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stood at (2, 0, 0) after a step of 0.5, and turns by 90 degrees now: it is thought to be at (2.5, 0, 0)."""
    m, tracker, ids = seen(5)
    turn = at(turn=(0, 90, 0))[:3, :3]
    monkeypatch.setattr(tracker, "rotation", lambda *_: turn)
    before = state(m, tracker, ids)
    before = replace(before, T_world_cam=at(x=2.0), motion=at(x=-0.5))
    moving = tracker._predicted(before, before.view)
    np.testing.assert_allclose(np.linalg.inv(moving), at(x=2.5, turn=(0, -90, 0)), atol=1e-12)
    before = replace(before, motion=None)
    resting = tracker._predicted(before, before.view)
    np.testing.assert_allclose(np.linalg.inv(resting), at(x=2.0, turn=(0, -90, 0)), atol=1e-12)


def test_pixels_go_the_other_way_when_the_camera_turns() -> None:
    """A rotation of points by 45 degrees about the y axis takes the middle of the image to a focal length beside it."""
    tracker = seen(5)[1]
    middle = np.array([[99.5, 79.5]], np.float32)
    np.testing.assert_allclose(tracker.rotate_pixels(middle, at(turn=(0, 45, 0))[:3, :3]), [[199.5, 79.5]], atol=1e-3)
    assert np.isfinite(tracker.rotate_pixels(middle, at(turn=(0, 90, 0))[:3, :3])).all(), "beside the camera"


def test_as_many_corners_are_wanted_as_are_missing_and_closer_where_a_part_is_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With three quarters ignored they come half as close, and no closer with more."""
    asked: list[tuple[int, int]] = []

    def detect(gray: object, existing: object, n: int, features: FeatureConfig, *_: object) -> np.ndarray:
        asked.append((n, features.min_distance_px))
        return np.zeros((0, 2), np.float32)

    monkeypatch.setattr("vgslam.frontend.tracker.detect_corners", detect)
    tracker = Tracker(CAMERA, SlamMap(), TrackerConfig(FeatureConfig(max_features=100, min_distance_px=14)))
    view = tracker.view(0, 0.0, IMAGE)
    existing = np.zeros((30, 2), np.float32)
    tracker.detect(view, existing)
    for share in (0.75, 0.9):
        ignored = np.zeros((160, 200), bool)
        ignored[: round(160 * share)] = True
        tracker.mask = ImageMask(200, 160, ignored)
        tracker.detect(view, existing)
    assert asked == [(70, 14), (70, 7), (70, 7)]


def test_what_comes_to_lie_where_the_image_shows_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    there = np.array([[10.0, 10.0], [10.0, 150.0]], np.float32)
    monkeypatch.setattr("vgslam.frontend.tracker.track_exposed", lambda *_: (there, np.array([True, True])))
    tracker = seen(5)[1]
    ignored = np.zeros((160, 200), bool)
    ignored[120:] = True
    tracker.mask = ImageMask(200, 160, ignored)
    gray = np.zeros((160, 200), np.uint8)
    assert tracker.follow(gray, gray, there, there)[1].tolist() == [True, False]


def test_a_pixel_that_turns_out_of_sight_stays_on_its_side() -> None:
    middle = np.array([[99.5, 79.5]], np.float32)
    assert seen(5)[1].rotate_pixels(middle, at(turn=(0, 100, 0))[:3, :3])[0, 0] > 1000.0


def test_a_turn_is_looked_for_at_rest_and_at_the_last_one_and_by_the_camera_of_now() -> None:
    tracker = seen(5)[1]
    first, second = (tracker.view(n, float(n), IMAGE) for n in (0, 1))
    starts: list[list[np.ndarray]] = []
    tracker.rotation(first, second, None)
    guess = tracker._rotation
    assert guess is not None
    guess.estimate = lambda a, b, given: starts.append(given) or np.eye(3)  # type: ignore[method-assign,func-returns-value,assignment]
    last = at(x=1.0, turn=(0, 3, 0))
    tracker.rotation(first, second, None)
    tracker.rotation(first, second, last)
    assert [len(given) for given in starts] == [1, 2]
    np.testing.assert_array_equal(starts[1], [np.eye(3), last[:3, :3]])
    tracker.take_camera(replace(CAMERA, fx=120.0))
    tracker.rotation(first, second, None)
    assert tracker._rotation is not guess
