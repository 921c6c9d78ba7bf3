"""How a component begins, put down by hand: points that two views have determined, a network has, or nobody has."""

import numpy as np
import pytest
from hand_map import CAMERA, at, grid

from vgslam.frontend.component_start import ComponentStart
from vgslam.frontend.initializer import Sighting, Start
from vgslam.frontend.mapper import Mapper, MapperConfig
from vgslam.frontend.sfm import WindowSfm
from vgslam.frontend.tracker import Tracker, TrackerConfig, TrackResult, TrackState, View
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Ids, Keyframe, MadeBy, PoseEstimate, WindowPrediction

POINTS = grid(10, 8, 4.0, 0.4) + np.linspace(0.0, 0.7, 80)[:, None] * [0.0, 0.0, 1.0]
"""80 points between 4 and 4.7 before the first view."""
LAST = at(x=1.0, turn=(0, -10, 0))
COMPONENT = 3


class RecordedTracker(Tracker):
    """A tracker that finds a view where it is told that it is."""

    def __init__(self, m: SlamMap, poses: dict[int, Array | None]) -> None:
        super().__init__(CAMERA, m, TrackerConfig())
        self.poses, self.asked = poses, list[tuple[int, int, float | None]]()
        self.agree = dict[int, tuple[int, float]]()  # how many points of a frame do, and their share

    def track(self, state: TrackState, view: View, motion: Array | None = None) -> TrackResult:
        step = None if state.motion is None else float(state.motion[0, 3])
        self.asked.append((state.view.frame_id, view.frame_id, step))
        T = self.poses[view.frame_id]
        ids, pixels = state.ids[:-1], state.pixels[:-1]
        if T is None:
            return TrackResult(True, np.eye(4), np.eye(6), ids, pixels, 0, 0.0, 1.0)
        n, ratio = self.agree.get(view.frame_id, (40 + view.frame_id, 0.8))
        return TrackResult(False, T, 0.01 * np.eye(6), ids, pixels, n, ratio, 1.0, view.frame_id == 1)


def pixels_at(T_world_cam: Array, points: Array = POINTS) -> Array:
    return CAMERA.project(se3.transform(se3.inverse(T_world_cam), points)).astype(np.float32)


def sighting(
    frame_id: int, T_world_cam: Array, which: Ids | None = None, n_wrong: int = 0, points: Array = POINTS
) -> Sighting:
    """What a camera at a pose sees of the points; the first ones are seen 30 px off."""
    index = np.arange(len(points)) if which is None else which
    pixels = pixels_at(T_world_cam, points)[index]
    pixels[:n_wrong] += 30.0
    return Sighting(frame_id, 0.1 * frame_id, index, pixels)


def prediction(made_by: MadeBy, n_known: int = 60, rel_sigma: float = 0.03) -> WindowPrediction:
    """The first n_known points where they are, and no dense depth."""
    depth, confidence = np.zeros((2, 2, 16, 20), np.float32)
    return WindowPrediction(
        np.array([5, 9]), np.stack([np.eye(4), LAST]), [CAMERA.resized(20, 16)] * 2, depth, confidence, made_by=made_by,
        landmark_ids=np.arange(n_known), landmarks=POINTS[:n_known], landmark_rel_sigma=np.full(n_known, rel_sigma),
    )  # fmt: skip


class Begun:
    """A component that begins at frame 5 and has frame 9 as its second keyframe."""

    def __init__(
        self, given: WindowPrediction | None, between: list[Sighting], last: Array = LAST,
        before: dict[int, Array | None] | None = None, seen_last: Ids | None = None, points: Array = POINTS,
    ) -> None:  # fmt: skip
        self.map, before = SlamMap(), before or {}
        self.map.add_keyframe(  # an older one of another component
            Keyframe(0, 0, 0.0, np.zeros((160, 200, 3), np.uint8), CAMERA, Sim3.identity(), 0), np.zeros(0, np.int64),
            np.zeros((0, 2)),
        )  # fmt: skip
        self.tracker = RecordedTracker(self.map, before)
        image = np.zeros((160, 200, 3), np.uint8)
        image[..., 0], image[..., 1] = np.arange(200), np.arange(160)[:, None]
        first, newest = (self.tracker.view(n, 0.1 * n, image) for n in (5, 9))
        earlier = [self.tracker.view(n, 0.1 * n, image) for n in sorted(before)]
        corners = pixels_at(np.eye(4), points)
        seen = [
            sighting(5, np.eye(4), points=points), *between, sighting(9, last, seen_last, points=points)
        ]  # fmt: skip
        start = Start(first, newest, corners, seen, given, earlier)
        mapper = Mapper(self.map, self.tracker, WindowSfm(), MapperConfig())
        self.start = ComponentStart(self.map, self.tracker, mapper, start, COMPONENT)
        S = Sim3.from_T(self.start.T_world_last)
        keyframe = Keyframe(2, 9, 0.9, image, CAMERA, S, COMPONENT)
        self.map.add_keyframe(keyframe, self.start.ids, pixels_at(last, points))

    def estimates(self) -> dict[int, PoseEstimate]:
        return {e.frame_id: e for e in self.start.estimates(COMPONENT)}


def pose_of(estimate: PoseEstimate) -> Array:
    """T_world_cam of a frame that hangs on the first keyframe, which is at the origin."""
    assert (estimate.ref_id, estimate.component_id) == (1, COMPONENT)
    assert estimate.T_ref_cam is not None
    return estimate.T_ref_cam


def test_what_two_views_have_determined_is_known_and_the_rest_is_a_guess_at_depth_one() -> None:
    begun = Begun(prediction(MadeBy.TRACKS), [])
    m, ids = begun.map, begun.start.ids
    np.testing.assert_array_equal(begun.start.T_world_last, LAST)
    np.testing.assert_allclose(m.landmarks_world(ids[:60]), POINTS[:60], atol=1e-9)
    np.testing.assert_allclose(m.landmarks_world(ids[60:]), POINTS[60:] / POINTS[60:, 2:], atol=1e-6)
    assert m.landmarks.is_triangulated[ids].tolist() == [True] * 60 + [False] * 20
    assert m.landmarks.rel_sigma[ids].tolist() == pytest.approx([0.03] * 60 + [0.5] * 20)
    u, v = pixels_at(np.eye(4))[7].round()
    assert m.landmarks.color[ids[7]].tolist() == [u, v, 0], "of the pixel where it was seen"


def test_frames_between_are_placed_by_what_is_known() -> None:
    """One near the first view, and one beyond the last that no step from the first leads to."""
    near, far = at(x=0.3, y=0.1), at(x=0.9, y=-0.2, z=-2.0, turn=(0, -5, 170))
    begun = Begun(prediction(MadeBy.TRACKS), [sighting(6, near), sighting(7, far)], at(z=-2.0, turn=(0, 0, 150)))
    begun.map.keyframes[2].S_world_keyframe = Sim3.from_T(at(z=-2.0, turn=(0, 0, 150)))
    found = begun.estimates()
    assert sorted(found) == [5, 6, 7, 9]
    np.testing.assert_allclose(pose_of(found[6]), near, atol=1e-4)
    np.testing.assert_allclose(pose_of(found[7]), far, atol=1e-4)
    assert (found[6].n_inliers, found[6].inlier_ratio, found[6].timestamp_s) == (60, 1.0, pytest.approx(0.6))
    assert found[6].covariance is not None
    assert np.sqrt(found[6].covariance[3:, 3:].diagonal()).max() < 0.1, "far less than what nobody knows"
    assert not any(f.rotation_only for f in found.values())
    assert [frame for frame, *_ in begun.start.seen] == [6, 7]


@pytest.mark.parametrize(("n_wrong", "n_seen", "has_pose"), [
    (23, 60, True), (25, 60, False), (0, 15, True), (0, 14, False), (1, 15, False),
])  # fmt: skip
def test_a_frame_between_needs_fifteen_that_agree_and_three_fifths(n_wrong: int, n_seen: int, has_pose: bool) -> None:
    which = np.arange(0, 60, 60 // n_seen)[:n_seen]
    begun = Begun(prediction(MadeBy.TRACKS), [sighting(6, at(x=0.3), which, n_wrong)])
    assert (6 in begun.estimates()) is has_pose
    assert (len(begun.start.seen) == 1) is has_pose


@pytest.mark.parametrize(("made_by", "n_known", "rel_sigma", "has_pose"), [
    (MadeBy.TRACKS, 14, 0.03, False), (MadeBy.TRACKS, 15, 0.03, True), (MadeBy.NETWORK, 15, 0.2, True),
    (MadeBy.NETWORK, 14, 0.2, False), (MadeBy.NETWORK, 80, 0.5, False),
])  # fmt: skip
def test_no_frame_is_placed_by_guessed_depths(made_by: MadeBy, n_known: int, rel_sigma: float, has_pose: bool) -> None:
    begun = Begun(prediction(made_by, n_known, rel_sigma), [sighting(6, at(x=0.3, y=0.2))])
    found = begun.estimates()
    assert (6 in found) is has_pose
    if has_pose:
        np.testing.assert_allclose(pose_of(found[6]), at(x=0.3, y=0.2), atol=1e-3)
        assert found[6].n_inliers == n_known


def test_what_a_network_has_said_is_not_triangulated_and_its_frames_are_unsure_of_their_position() -> None:
    """By a tenth of the median distance of the points, about 4.7."""
    begun = Begun(prediction(MadeBy.NETWORK, 80, 0.2), [sighting(6, at(x=0.3))])
    assert not begun.map.landmarks.is_triangulated.any()
    found = begun.estimates()
    for frame in (5, 6, 9):
        covariance = found[frame].covariance
        assert covariance is not None
        assert (np.sqrt(covariance[3:, 3:].diagonal()) > 0.4).all()
        assert np.sqrt(covariance[:3, :3].diagonal()).max() < 0.05
        assert not found[frame].rotation_only


def test_a_turn_gives_rotations_and_says_so() -> None:
    """All points are guessed to be at depth one, and what they show of a step is not believed."""
    last, middle = at(turn=(4, -12, 3)), at(turn=(2, -6, 1))
    begun = Begun(None, [sighting(7, middle)], last)
    np.testing.assert_allclose(begun.start.T_world_last, last, atol=1e-3)
    assert f"component {COMPONENT} began at frame 5" in begun.start.without_translation
    assert not begun.map.landmarks.is_triangulated.any()
    found = begun.estimates()
    np.testing.assert_allclose(pose_of(found[7]), middle, atol=1e-3)
    for estimate in found.values():
        assert estimate.rotation_only
        assert estimate.covariance is not None
        assert (np.sqrt(estimate.covariance[3:, 3:].diagonal()) > 0.09).all(), "a tenth of depth one"


def test_a_turn_with_a_step_stays_where_it_was() -> None:
    """The last view stands 0.6 aside, where points at 4 look as if those at 1 were seen from 0.15; a hand would have
    moved by about 0.04 in the time, which counts more than eight points."""
    begun = Begun(None, [], at(x=0.6, turn=(8, 0, 0)), seen_last=np.arange(0, 80, 10))
    assert np.linalg.norm(begun.start.T_world_last[:3, 3]) < 0.075
    tilt_deg = np.degrees(np.arctan2(-begun.start.T_world_last[1, 2], begun.start.T_world_last[2, 2]))
    assert tilt_deg == pytest.approx(8.0, abs=1.5), "the rotation is followed"


def test_a_turn_with_a_step_is_told_from_a_turn_where_things_stand_before_a_wall() -> None:
    """In a wall at 8 and a thing at 2 in a corner; depths that are guessed alike would have the turn far off."""
    rng, last = np.random.default_rng(3), at(x=0.1, z=0.28, turn=(2, 40, -1))
    wall, thing = rng.uniform((0.2, -0.6), (0.9, 0.6), (125, 2)), rng.uniform((0.2, -0.5), (0.4, -0.3), (25, 2))
    rays = np.insert(np.concatenate([wall, thing]), 2, 1.0, axis=1)
    points = rays * np.repeat([8.0, 2.0], [125, 25])[:, None]
    found = Begun(None, [], last, points=points).start.T_world_last
    assert se3.angle_deg(found[:3, :3].T @ last[:3, :3]) < 1.0
    cosine = found[:3, 3] @ last[:3, 3] / np.linalg.norm(found[:3, 3]) / np.linalg.norm(last[:3, 3])
    assert cosine > 0.95


@pytest.mark.parametrize(("n", "ratio", "is_believed"), [(30, 0.6, True), (29, 0.9, False), (60, 0.59, False)])
def test_a_frame_before_needs_thirty_that_agree_and_three_fifths(n: int, ratio: float, is_believed: bool) -> None:
    begun = Begun(prediction(MadeBy.TRACKS), [], before={3: at(x=-0.3), 4: at(x=-0.1)})
    begun.tracker.agree[4] = n, ratio
    assert [frame in begun.estimates() for frame in (3, 4)] == [is_believed] * 2


def test_frames_before_are_followed_backwards_until_one_is_lost() -> None:
    """From 5 to 4, 3 and 2, where it ends: each step is what the last one was, and frame 1 is not asked for."""
    poses = {1: at(x=-0.9), 2: None, 3: at(x=-0.3), 4: at(x=-0.1)}
    begun = Begun(prediction(MadeBy.TRACKS), [], before=poses)
    found = begun.estimates()
    assert sorted(found) == [3, 4, 5, 9]
    np.testing.assert_allclose(pose_of(found[3]), at(x=-0.3), atol=1e-12)
    assert (found[4].n_inliers, found[4].inlier_ratio, found[4].timestamp_s) == (44, 0.8, pytest.approx(0.4))
    assert begun.tracker.asked == [(5, 4, None), (4, 3, pytest.approx(0.1)), (3, 2, pytest.approx(0.2))]
    assert [(frame, len(ids)) for frame, ids, _ in begun.start.seen] == [(4, 79), (3, 78)]


def test_a_frame_before_of_which_the_rotation_alone_is_known_says_so() -> None:
    begun = Begun(prediction(MadeBy.TRACKS), [], before={1: at(x=-0.2), 4: at(x=-0.1)})
    found = begun.estimates()
    assert (found[1].rotation_only, found[4].rotation_only) == (True, False)


def test_the_keyframes_are_frames_too() -> None:
    found = Begun(prediction(MadeBy.TRACKS), []).estimates()
    assert [(f.frame_id, f.ref_id, f.timestamp_s) for f in found.values()] == [(5, 1, 0.5), (9, 2, pytest.approx(0.9))]
    for estimate in found.values():
        np.testing.assert_array_equal(estimate.T_ref_cam, np.eye(4))
        assert (estimate.n_inliers, estimate.inlier_ratio) == (80, 1.0)
        assert estimate.covariance is not None
        assert estimate.covariance.max() < 1e-5


def test_a_dense_depth_replaces_guesses() -> None:
    given = prediction(MadeBy.TRACKS)
    given.depth[0], given.confidence[0] = 4.0, 0.9
    begun = Begun(given, [])
    z = begun.map.landmarks_world(begun.start.ids)[:, 2]
    np.testing.assert_allclose(z[60:], 4.0, atol=1e-6)
    np.testing.assert_allclose(z[:60], POINTS[:60, 2], atol=1e-9)
