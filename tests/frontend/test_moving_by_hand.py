"""Which points are doubted, what moves on its own, and which lens zooms: from both sides of each limit."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hand_map import CAMERA, add_landmarks, at, grid, hand_map

from vgslam.frontend import zoom_check as zoom_module
from vgslam.frontend.features import FeatureConfig
from vgslam.frontend.moving_evidence import Departure, MovingEvidence
from vgslam.frontend.moving_note import MovingNote
from vgslam.frontend.moving_points import MovingPoints
from vgslam.frontend.second_motion import Followed, _among_contradicted, _fit_of_old, static_fit
from vgslam.frontend.tracker import Tracker, TrackerConfig
from vgslam.frontend.zoom_check import ZoomWatch, focal_change
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap
from vgslam.multiview.pnp import PoseFit, PosePoints
from vgslam.types import Array

NONE = np.zeros((0, 2), np.float32)
LENS = Camera.from_fov(320, 240, 70.0)


def seen(n: int, seed: int = 0, left: float = 20.0, right: float = 300.0) -> tuple[Array, Array]:
    """Points (n,3) that a camera in the origin sees, and where (n,2)."""
    rng = np.random.default_rng(seed)
    px = rng.uniform([left, 20], [right, 220], (n, 2))
    return LENS.rays(px) * rng.uniform(1.5, 6.0, n)[:, None], px


def believed(inliers: Array, T: Array | None = None) -> PoseFit:
    return PoseFit(np.eye(4) if T is None else T, inliers, np.eye(6), 0.5)


def followed(n_old: int, n_wrong: int, n_young: int = 0) -> Followed:
    """Old landmarks, of which the first n_wrong are anywhere, and young ones; the camera is in the origin."""
    X, px = seen(n_old + n_young)
    px[:n_wrong] += np.random.default_rng(1).uniform(30, 90, (n_wrong, 2)) * [1.0, -1.0]
    return Followed(PosePoints(X, px, X, np.full(len(X), 0.01)), np.arange(len(X)) < n_old, NONE, 1.0)


@pytest.mark.parametrize(("n_old", "n_wrong", "do_agree"), [
    (15, 0, True), (14, 0, False), (20, 7, True), (20, 9, False), (40, 15, True), (40, 17, False),
])  # fmt: skip
def test_fifteen_old_landmarks_of_which_six_tenths_agree_have_a_pose(n_old: int, n_wrong: int, do_agree: bool) -> None:
    f = followed(n_old, n_wrong, 5)
    found = _fit_of_old(LENS, f, believed(np.ones(n_old + 5, bool)), 0.7, 3.5)
    assert (found is not None) == do_agree
    if found is not None:
        np.testing.assert_allclose(found.T_cam_world, np.eye(4), atol=0.01)
        assert found.inliers.tolist() == [False] * n_wrong + [True] * (n_old - n_wrong + 5)


@pytest.mark.parametrize(("n_agree", "is_contradicted"), [(16, False), (15, True)])
def test_old_landmarks_contradict_a_pose_that_has_less_than_eight_tenths_of_theirs(
    n_agree: int, is_contradicted: bool
) -> None:
    f = followed(20, 0, 20)
    there = at(x=0.001)
    fit = believed(np.arange(40) < n_agree, there)
    found = static_fit(LENS, f, fit, 0.7, 3.5)
    assert (found.fit is fit) != is_contradicted
    assert found.fit.inliers.sum() == (40 if is_contradicted else n_agree)
    young = ~f.is_old
    assert found.moving.tolist() == (young & (not is_contradicted)).tolist()


@pytest.mark.parametrize(("n_agree", "is_moving_known", "n_doubted"), [(36, False, 0), (35, False, 5), (36, True, 4)])
def test_nobody_looks_for_another_motion_where_nine_tenths_agree(
    n_agree: int, is_moving_known: bool, n_doubted: int
) -> None:
    """All old ones are among them, of 40; a corner that is known to move, far away, is a reason to look."""
    corner = np.array([[300.0, 230.0]], np.float32) if is_moving_known else NONE
    f = replace(followed(20, 0, 20), moving=corner)
    assert static_fit(LENS, f, believed(np.arange(40) < n_agree), 0.7, 3.5).moving.sum() == n_doubted


def near(n_against: int, n_for: int, is_moving_known: bool = False) -> bool:
    """Whether a point that agrees is doubted among so many neighbours; it is one of those for itself."""
    pixels = np.array([[50.0, 50.0]] * (n_for + n_against))
    agrees = np.arange(len(pixels)) < n_for
    moving = NONE
    if is_moving_known:
        pixels, agrees, moving = pixels[:n_for], agrees[:n_for], np.array([[50.0, 50.0]] * n_against, np.float32)
    X = np.zeros((len(pixels), 3))
    f = Followed(PosePoints(X, pixels, X, X[:, 0]), np.zeros(len(pixels), bool), moving, 10.0)
    return bool(_among_contradicted(f, agrees)[0])


@pytest.mark.parametrize("is_moving_known", [False, True])
def test_a_point_is_doubted_among_three_neighbours_and_more_than_a_third(is_moving_known: bool) -> None:
    """3 of 8 are 0.375, 3 of 9 0.333."""
    assert near(3, 5, is_moving_known)
    assert not near(3, 6, is_moving_known)
    assert not near(2, 1, is_moving_known)
    assert near(3, 1, is_moving_known)


def test_old_landmarks_are_not_doubted_and_raise_no_doubt() -> None:
    """20 old landmarks of which 8 are outliers stand in one place with 2 young ones that agree: the outliers are old,
    and tell of no thing that moves. 20 young ones that contradict do, and the old ones stay all the same."""
    X, px = seen(20, left=100.0, right=110.0)
    young, young_px = seen(22, 3, 100.0, 110.0)
    X, px = np.concatenate([X, young]), np.concatenate([px, young_px])
    px[:8] += [5.0, 0.0]
    is_old = np.arange(42) < 20
    points = PosePoints(X, px, X, np.full(42, 0.01))
    fit = believed((np.arange(42) >= 8) & (np.arange(42) < 22))
    alone = Followed(points.select(np.arange(22)), is_old[:22], NONE, 300.0)
    found = static_fit(LENS, alone, believed(fit.inliers[:22]), 0.7, 3.5)
    assert found.fit.inliers.tolist() == fit.inliers[:22].tolist()
    crowd = static_fit(LENS, Followed(points, is_old, NONE, 300.0), fit, 0.7, 3.5)
    assert crowd.fit.inliers[8:20].all()
    assert not crowd.fit.inliers[20:].any()
    assert crowd.moving.tolist() == (~is_old).tolist()


# -- corners that leave their epipolar lines


def moves_of(n_frames: int, n_corners: int = 20, n_believed: int = 60, off_px: float = 5.0) -> bool:
    """Whether corners off_px beside their lines move, after n_frames of a camera that goes sideways."""
    X, px = seen(n_believed + n_corners)
    evidence, step = MovingEvidence(), at(x=-0.02)
    evidence.begin(0, np.arange(n_believed), px[:n_believed].astype(np.float32))
    for _ in range(n_frames):
        evidence.advance(step)
    now = LENS.project(se3.transform(at(x=-0.02 * max(n_frames, 1)), X)).astype(np.float32)
    now[n_believed:, 1] += off_px
    since, start = np.zeros(n_corners, np.int64), px[n_believed:].astype(np.float32)
    found = evidence.moves(LENS, n_frames, since, start, now[n_believed:], np.arange(n_believed), now[:n_believed])
    return found is not None


@pytest.mark.parametrize(("n_frames", "is_seen"), [(2, False), (3, True), (12, True), (13, False)])
def test_corners_are_looked_at_after_three_frames_up_to_twelve(n_frames: int, is_seen: bool) -> None:
    assert moves_of(n_frames) == is_seen


def test_eight_corners_two_px_off_and_twenty_landmarks_are_needed() -> None:
    assert (moves_of(5, 8), moves_of(5, 7)) == (True, False)
    assert (moves_of(5, 20, 20), moves_of(5, 20, 19)) == (True, False)
    assert (moves_of(5, off_px=2.1), moves_of(5, off_px=1.9)) == (True, False)


@pytest.mark.parametrize(("believed_px", "is_seen"), [(2.4, True), (2.6, False)])
def test_corners_move_where_they_are_off_twice_as_far_as_nine_in_ten_of_the_landmarks(
    believed_px: float, is_seen: bool
) -> None:
    """Corners are 5 px off; of the landmarks one in five is believed_px off."""
    start = np.random.default_rng(0).uniform(50, 150, (20, 2))
    off = np.where(np.arange(20) % 5 == 0, believed_px, 0.0)
    now = start + np.stack([np.full(20, 3.0), off], axis=1)
    found = Departure(0, 5, start, start + np.array([3.0, 5.0]), start, now)
    assert found.is_seen(LENS, at(x=-0.1)) == is_seen


def test_motions_of_views_follow_one_another() -> None:
    evidence = MovingEvidence()
    evidence.begin(3, np.arange(0), NONE)
    first, second = at(x=1.0, turn=(0.0, 90.0, 0.0)), at(y=2.0, turn=(90.0, 0.0, 0.0))
    evidence.advance(first)
    evidence.advance(second)
    np.testing.assert_allclose(evidence._anchors[3].T_now_anchor, second @ first, atol=1e-12)


# -- corners that are followed


def things(radius_px: float = 32.0) -> MovingPoints:
    gray = np.zeros((240, 320), np.uint8)
    found = MovingPoints(FeatureConfig(), radius_px, 320, 240)
    found.follow(0, gray, 1, gray)
    return found


@pytest.mark.parametrize(("n_together", "n_all", "n_taken"), [(11, 20, 11), (9, 20, 0), (8, 8, 8), (7, 7, 0)])
def test_half_of_the_corners_and_eight_have_to_go_together(n_together: int, n_all: int, n_taken: int) -> None:
    before = np.random.default_rng(4).uniform([20, 20], [300, 220], (n_all, 2)).astype(np.float32)
    now = before + np.float32([8.0, 2.0])
    now[n_together:] = np.random.default_rng(5).uniform([20, 20], [300, 220], (n_all - n_together, 2))
    found = things()
    assert found.add(before, now) == n_taken
    np.testing.assert_array_equal(found._start, now[:n_taken])
    np.testing.assert_array_equal(found.pixels, now[:n_taken])
    assert found._since.tolist() == [1] * n_taken


def test_the_share_of_the_image_is_that_of_its_grid() -> None:
    """Corners every 20 px in five columns of the left, every 10 px down: five of sixteen columns of the grid."""
    u, v = np.meshgrid(np.arange(10, 100, 20), np.arange(5, 240, 10))
    corners = np.stack([u.ravel(), v.ravel()], axis=1).astype(np.float32)
    found = things(15.0)
    assert found.add(corners, corners) == 120
    assert found.share(1) == pytest.approx(5 / 16)


def test_evidence_begins_with_new_corners_and_ends_with_a_gap() -> None:
    corners = np.random.default_rng(4).uniform([20, 20], [300, 220], (20, 2)).astype(np.float32)
    found, ids, px = things(), np.arange(3), np.zeros((3, 2), np.float32)
    found.judge(LENS, np.eye(4), ids, px)
    assert list(found._evidence._anchors) == []
    found.add(corners, corners)
    found.judge(LENS, np.eye(4), ids, px)
    assert list(found._evidence._anchors) == [1]
    gray = np.zeros((240, 320), np.uint8)
    found.follow(1, gray, 2, gray)
    assert list(found._evidence._anchors) == [1]
    found.follow(7, gray, 8, gray)
    assert list(found._evidence._anchors) == []


@pytest.mark.parametrize(("share", "n_frames", "gap", "told"), [
    (0.21, 6, 1, "0-5"), (0.19, 6, 1, None), (0.21, 5, 1, None), (0.21, 12, 15, "0-165"), (0.21, 12, 16, None),
])  # fmt: skip
def test_a_fifth_of_the_image_in_six_frames_is_told(share: float, n_frames: int, gap: int, told: str | None) -> None:
    notes: list[str] = []
    note = MovingNote(notes)
    for n in range(n_frames):
        note.see(gap * n, share, Departure(0, 1, NONE, NONE, NONE, NONE))
    assert len(notes) == (told is not None)
    assert told is None or f"frames {told}:" in notes[0]


# -- a lens that zooms


def told(changes: list[float]) -> list[str]:
    notes: list[str] = []
    watch = ZoomWatch(Tracker(LENS, SlamMap(), TrackerConfig()), notes)
    for i, change in enumerate(changes):
        watch.take(i, change, 0.001)
    return notes


def test_five_looks_are_what_was_before_and_stay_so() -> None:
    assert told([0.0, 0.04, 0.04, 0.04]) == []
    [note] = told([0.0] * 5 + [0.04] * 40)
    assert "frames 6-44" in note, "what has changed is no new usual"
    for n, where in ((29, "frames 6-37:"), (30, "frames 6-7, 38-38:")):  # 30 frames after the last, or 31
        [note] = told([0.0] * 5 + [0.04] * 2 + [0.0] * n + [0.04] * 2)
        assert where in note


@pytest.mark.parametrize(("change", "is_told"), [(0.026, True), (0.024, False), (-0.026, True), (-0.024, False)])
def test_a_fortieth_is_a_change(change: float, is_told: bool) -> None:
    assert (told([0.0] * 5 + [change] * 3) != []) == is_told


@pytest.mark.parametrize(("deviation", "is_told"), [(0.0079, True), (0.0081, False)])
def test_five_deviations_are_a_change(deviation: float, is_told: bool) -> None:
    notes: list[str] = []
    watch = ZoomWatch(Tracker(LENS, SlamMap(), TrackerConfig()), notes)
    for i in range(8):
        watch.take(i, 0.04 if i >= 5 else 0.0, deviation)
    assert (notes != []) == is_told


def test_another_calibration_has_no_past() -> None:
    notes: list[str] = []
    watch = ZoomWatch(Tracker(LENS, SlamMap(), TrackerConfig()), notes)
    for i in range(10):
        watch.take(i, 0.0, 0.001)
    watch.take_camera()
    for i in range(4):
        watch.take(10 + i, 0.04, 0.001)
    assert notes == []


def test_every_second_frame_is_looked_at_by_sure_landmarks_of_older_keyframes(monkeypatch: pytest.MonkeyPatch) -> None:
    m = hand_map([at(), at(x=0.1), at(x=0.2)])
    sure = add_landmarks(m, 0, grid(5, 8, 4.0), rel_sigma=0.099)
    vague = add_landmarks(m, 0, grid(5, 8, 4.0), rel_sigma=0.101)
    newest = add_landmarks(m, 2, grid(5, 8, 4.0))
    guessed = add_landmarks(m, 1, grid(5, 8, 4.0))
    m.landmarks.is_triangulated[guessed] = False
    asked = []

    def focal_change(camera: Camera, points: PosePoints, T: Array, sigma_px: float) -> tuple[float, float]:
        asked.append(len(points))
        return 0.0, 1.0

    monkeypatch.setattr(zoom_module, "focal_change", focal_change)
    watch = ZoomWatch(Tracker(CAMERA, m, TrackerConfig()), [])
    ids = np.concatenate([sure, vague, newest, guessed])
    result = SimpleNamespace(ids=ids, pixels=np.zeros((160, 2)), T_world_cam=np.eye(4))
    for frame, n in enumerate((1, 1, 2, 2)):
        watch.see(frame, result)
        assert asked == [40] * n
    few = SimpleNamespace(ids=ids[1:], pixels=np.zeros((159, 2)), T_world_cam=np.eye(4))
    watch.see(4, few)
    assert asked == [40, 40], "39 say too little"


def predicted(points: PosePoints, T: Array, x: Array, along: float = 0.0) -> Array:
    """Pixels (n,2) after a step x (7,) of pose and log focal length, with landmarks moved along their deviation."""
    lens = replace(LENS, fx=LENS.fx * np.exp(x[6]), fy=LENS.fy * np.exp(x[6]))
    X = points.landmarks + along * points.direction * points.rel_sigma[:, None]
    return lens.project(se3.transform(se3.exp(x[:6]) @ T, X))


@pytest.mark.parametrize("rel_sigma", [0.0, 0.05])
def test_the_deviation_is_that_of_seven_parameters_by_differences(rel_sigma: float) -> None:
    """A landmark whose depth is uncertain moves along its line: that variance counts for both coordinates."""
    X, _ = seen(80)
    T = at(0.3, -0.2, 0.4, (20.0, 10.0, 30.0))
    host = np.array([-0.5, 0.3, -1.0])
    world = se3.transform(se3.inverse(T), X)
    points = PosePoints(world, LENS.project(X), world - host, np.full(80, rel_sigma))
    step = 1e-6
    J = np.stack([
        (predicted(points, T, step * np.eye(7)[i]) - predicted(points, T, -step * np.eye(7)[i])) / (2 * step)
        for i in range(7)
    ], axis=2)  # fmt: skip
    along = (predicted(points, T, np.zeros(7), step) - predicted(points, T, np.zeros(7), -step)) / (2 * step)
    w = 1.0 / (0.7**2 + (along**2).sum(1))
    H = np.einsum("nij,n,nik->jk", J, w, J)
    change, deviation = focal_change(LENS, points, T, 0.7)
    assert change == pytest.approx(0.0, abs=1e-9)
    assert deviation == pytest.approx(np.linalg.inv(H)[6, 6] ** 0.5, rel=1e-3)


def test_a_pose_that_is_a_little_off_is_no_change() -> None:
    X, px = seen(80)
    lens = replace(LENS, fx=LENS.fx * 1.002, fy=LENS.fy * 1.002)
    points = PosePoints(X, lens.project(X), X, np.full(80, 1e-6))
    change, _ = focal_change(LENS, points, se3.exp(np.array([0.002, -0.003, 0.001, 0.004, 0.002, -0.003])), 0.7)
    assert change == pytest.approx(np.log(1.002), abs=2e-4)
    fewer = PosePoints(X[:39], px[:39], X[:39], np.full(39, 0.01))
    assert focal_change(LENS, fewer, np.eye(4), 0.7) == (0.0, np.inf)
    assert focal_change(LENS, points.select(np.arange(40)), np.eye(4), 0.7)[1] < np.inf
