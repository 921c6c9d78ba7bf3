"""Which pairs face the same way, what a rolling shutter must show, and what of it is believed: limits by hand."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hand_map import CAMERA, add_landmarks, at, grid, hand_map

from vgslam.geometry import se3
from vgslam.geometry.powers import so3_exp_many
from vgslam.map.slam_map import SlamMap
from vgslam.multiview.shutter import (
    FacingMatches,
    ReadOut,
    _Fit,
    between,
    contradiction,
    levelled_rays,
    read_out,
)
from vgslam.refine import turning as module
from vgslam.refine.adjust import Adjusted, CalibrationOutcome, RefineConfig, Watch
from vgslam.refine.apply import Aligned
from vgslam.refine.facing import Facing, facing_pairs, velocities
from vgslam.refine.problem import Problem, gather
from vgslam.refine.turning import _from_one_point, _shutter, _solved, _turns_on_the_spot, _why_refused, _with_tracks
from vgslam.types import Array, PoseEstimate, Status

# -- velocities, and pairs that face the same way


def turned(turns_deg: list[tuple[float, float, float]], gap_s: float) -> SlamMap:
    """A keyframe in the middle of frames that are gap_s apart, whose rotations are given in its axes."""
    m = hand_map([at(turn=(0.0, 0.0, 90.0))])
    middle = len(turns_deg) // 2
    m.frames = type(m.frames)()
    for n, turn in enumerate(turns_deg):
        m.frames.append(PoseEstimate(n, gap_s * n, Status.TRACKED, 0, at(turn=turn)))
    m.keyframes[0].frame_id, m.keyframes[0].timestamp_s = middle, gap_s * middle
    return m


@pytest.mark.parametrize(("gap_s", "is_known"), [(0.1, True), (0.149, True), (0.151, False)])
def test_a_velocity_is_the_turn_between_the_frames_on_both_sides(gap_s: float, is_known: bool) -> None:
    m = turned([(0.0, -6.0, 0.0), (0.0, 0.0, 0.0), (0.0, 6.0, 0.0)], gap_s)
    found = velocities(m, np.array([0]))
    if is_known:
        np.testing.assert_allclose(found, [[0.0, np.radians(12.0) / (2 * gap_s), 0.0]], atol=1e-12)
    else:
        assert np.isnan(found).all()


def test_a_velocity_is_in_the_axes_of_the_camera_that_turns() -> None:
    """Turned by 90 degrees about x, and then by 10 about what is its y then."""
    first = se3.so3_exp(np.array([np.pi / 2, 0.0, 0.0]))
    m = turned([(90.0, 0.0, 0.0), (90.0, 0.0, 0.0), (90.0, 0.0, 0.0)], 0.1)
    last = first @ se3.so3_exp(np.radians([0.0, 10.0, 0.0]))
    m.frames[2] = replace(m.frames[2], T_ref_cam=se3.from_rt(last, np.zeros(3)))
    np.testing.assert_allclose(velocities(m, np.array([0])), [[0.0, np.radians(10.0) / 0.2, 0.0]], atol=1e-12)


def test_the_last_frame_has_its_velocity_from_the_one_before() -> None:
    m = turned([(0.0, 0.0, 0.0), (0.0, 5.0, 0.0)], 0.1)
    assert m.keyframes[0].frame_id == 1
    np.testing.assert_allclose(velocities(m, np.array([0])), [[0.0, np.radians(5.0) / 0.1, 0.0]], atol=1e-12)


def test_pairs_face_the_same_way_and_turn_most_differently() -> None:
    """A cosine of 0.88 is 28.4 degrees. The last of seven keyframes may go with 0, 1, 2 and 3; the three that turn most
    differently about x and y are taken, most different first. A turn about the optical axis does not count."""
    R = np.stack([at(turn=(0.0, angle, 0.0))[:3, :3] for angle in (0.0, 28.0, 0.0, 0.0, 0.0, 0.0, 0.0)])
    v = np.array([[1.0, 0, 0], [0, 3.0, 0], [0, 0, 9.0], [0, -2.0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0.0]])
    assert [p for p in facing_pairs(R, v) if p[1] == 6] == [(1, 6), (3, 6), (0, 6)]
    R[1] = at(turn=(0.0, 29.0, 0.0))[:3, :3]
    assert [p for p in facing_pairs(R, v) if p[1] == 6] == [(3, 6), (0, 6), (2, 6)]
    v[3] = np.nan
    assert [p for p in facing_pairs(R, v) if p[1] == 6] == [(0, 6), (2, 6)]
    assert [p for p in facing_pairs(R, np.zeros((7, 3))) if p[1] == 3] == [(0, 3)], "three apart, and not two"


# -- the shutter


def pair_of(n: int, apart_px: Array | float = 0.0, seed: int = 0) -> FacingMatches:
    """n matches of images 0 and 1, apart_px to the right in the second."""
    pixels = np.random.default_rng(seed).uniform([20, 20], [180, 140], (n, 2))
    moved = pixels + np.stack([np.broadcast_to(apart_px, n), np.zeros(n)], axis=1)
    return FacingMatches(np.array([0]), np.array([1]), np.array([0, n]), pixels, moved)


def test_a_row_is_exposed_by_its_height_in_the_image() -> None:
    """The last row of 160, pixel 159, lies 159.5 / 160 - 0.5 below the middle: a camera that turns at 0.2 rad/s
    about its optical axis has turned by so much of 0.1 s."""
    angle = 0.2 * 0.1 * (159.5 / 160 - 0.5)
    found = levelled_rays(CAMERA, np.array([[99.5, 159.0]]), np.array([[0.0, 0.0, 0.2]]), 0.1)
    np.testing.assert_allclose(found, [[-0.795 * np.sin(angle), 0.795 * np.cos(angle), 1.0]], atol=1e-12)


def rolled(n: int, velocity: Array, seconds: float, seed: int = 0) -> FacingMatches:
    """Matches of two images that face the same way, by a shutter of `seconds` while each turned at its velocity."""
    rng = np.random.default_rng(seed)
    true = rng.uniform([40, 30], [160, 130], (n, 2))
    seen = []
    for v in velocity:
        px = true.copy()
        for _ in range(20):  # where it is seen is where it is exposed
            late = ((px[:, 1] + 0.5) / CAMERA.height - 0.5) * seconds
            R = so3_exp_many(-v * late[:, None])
            px = CAMERA.project(np.matmul(R, CAMERA.rays(true)[:, :, None])[:, :, 0])
        seen.append(px)
    return FacingMatches(np.array([0]), np.array([1]), np.array([0, n]), *seen)


VELOCITY = np.array([[1.0, -0.5, 0.3], [-0.8, 0.6, -0.2]])
SAME_R = np.eye(3)[None]


@pytest.mark.parametrize(("n", "is_found"), [(12, True), (11, False)])
def test_a_pair_of_twelve_matches_tells_the_read_out_time(n: int, is_found: bool) -> None:
    found = read_out(CAMERA, rolled(n, VELOCITY, 0.03), SAME_R, VELOCITY)
    assert (found.seconds == pytest.approx(0.03, abs=1e-6)) == is_found
    assert is_found or found.seconds == 0.0
    if is_found:
        assert found.errors_px.max() < 1e-4
        assert found.cost < 1e-8
        held = read_out(CAMERA, rolled(n, VELOCITY, 0.03), SAME_R, VELOCITY, 0.01)
        assert held.seconds == 0.01
        assert held.errors_px.max() > 0.1


def test_what_agrees_lies_within_the_last_width_and_a_loss_is_a_half_there() -> None:
    found = ReadOut(0.0, 0.0, 0.0, np.array([4.9, 5.1, 39.0, 0.0]))
    assert found.agreeing == 0.5
    assert contradiction(CAMERA, pair_of(3, 5.0), np.eye(4)[None], np.zeros((2, 3)), 0.0) == pytest.approx(0.5)


def test_each_image_of_a_pair_is_levelled_by_its_own_velocity() -> None:
    matches = rolled(20, VELOCITY, 0.03)
    T = np.eye(4)[None]
    assert contradiction(CAMERA, matches, T, VELOCITY, 0.03) < 1e-9
    assert contradiction(CAMERA, matches, T, VELOCITY[[0, 0]], 0.03) > 1e-4
    assert contradiction(CAMERA, matches, T, VELOCITY, 0.0) > 1e-4


def test_derivatives_of_a_match_are_those_of_its_residual() -> None:
    """By differences, by the rotation of the pair, applied before it, and by the read-out time."""
    fit = _Fit(CAMERA, pair_of(6, 3.0), VELOCITY)
    R, r, step = at(turn=(3.0, -5.0, 8.0))[None, :3, :3], 0.02, 1e-6
    _, J, Jr = fit.linearized(R, r)
    for i in range(3):
        moved = [fit.linearized(se3.so3_exp(s * step * np.eye(3)[i]) @ R, r)[0] for s in (1.0, -1.0)]
        np.testing.assert_allclose(J[:, :, i], (moved[0] - moved[1]) / (2 * step), atol=1e-4)
    moved = [fit.linearized(R, r + s * step)[0] for s in (1.0, -1.0)]
    # taken at the ray of the middle row, which a whole turn of 0.02 s hardly moves
    np.testing.assert_allclose(Jr, (moved[0] - moved[1]) / (2 * step), rtol=0.05, atol=0.5)


def test_blocks_that_pull_the_same_way_are_one_voice() -> None:
    """Four pairs with the same matches: as one block their gradients add up, as four their squares. At what fits two of
    them the gradients differ."""
    one, other = rolled(40, VELOCITY, 0.03), rolled(40, VELOCITY, 0.01)
    both = [one, other, one, other]
    deviations = []
    for b in ([1, 1, 1, 1], [1, 9, 17, 25], [1, 1, 9, 9]):
        matches = FacingMatches(
            np.zeros(4, np.int64), np.array(b), 40 * np.arange(5), np.concatenate([x.pixels_a for x in both]),
            np.concatenate([x.pixels_b for x in both]),
        )  # fmt: skip
        velocity = np.concatenate([VELOCITY[:1], np.tile(VELOCITY[1], (25, 1))])
        deviations.append(read_out(CAMERA, matches, np.tile(SAME_R, (4, 1, 1)), velocity))
    assert deviations[1].seconds == pytest.approx(0.02, abs=1e-3)
    assert deviations[1].sigma_s == pytest.approx(0.005, rel=0.05), "0.01 off each, over the root of four"
    assert deviations[0].sigma_s < 1e-4
    assert deviations[2].sigma_s < 1e-4, "each block holds one of both"


def test_a_pair_without_matches_has_no_say_and_stays_where_it_is() -> None:
    some, begins = rolled(20, VELOCITY, 0.03), np.array([0, 0, 20, 20])
    more = FacingMatches(np.array([0, 0, 0]), np.array([1, 1, 1]), begins, some.pixels_a, some.pixels_b)
    found = read_out(CAMERA, more, np.tile(SAME_R, (3, 1, 1)), VELOCITY)
    assert found.seconds == pytest.approx(0.03, abs=1e-6)
    fit = _Fit(CAMERA, more, VELOCITY)
    H, h, g, Hr, gr = fit._sums(*fit.linearized(np.tile(SAME_R, (3, 1, 1)), 0.0), 40.0)
    for pair in (0, 2):
        np.testing.assert_array_equal(H[pair], np.eye(3))
        assert [*h[pair], *g[pair], Hr[pair], gr[pair]] == [0.0] * 8
    assert Hr[1] > 0


def test_a_match_as_far_off_as_the_width_counts_a_quarter() -> None:
    fit = _Fit(CAMERA, pair_of(12), VELOCITY)
    Jr = np.tile([1.0, 0.0], (12, 1))
    for off, weight in ((0.0, 1.0), (10.0, 0.25)):
        e = np.tile([off, 0.0], (12, 1))
        assert fit._sums(e, np.zeros((12, 2, 3)), Jr, 10.0)[3][0] == pytest.approx(12 * weight)


def test_a_step_is_that_of_rotation_and_read_out_time_together() -> None:
    fit = _Fit(CAMERA, rolled(30, VELOCITY, 0.02), VELOCITY)
    e, J, Jr = fit.linearized(at(turn=(0.5, -0.3, 0.2))[None, :3, :3], 0.0)
    H, h, g, Hr, gr = (x[0] for x in fit._sums(e, J, Jr, 40.0))
    both = np.block([[H, h[:, None]], [h[None], np.array([[Hr]])]])
    expected = -np.linalg.solve(both, np.append(g, gr))
    step, dr = fit.step(e, J, Jr, 40.0, True)
    np.testing.assert_allclose([*step[0], dr], expected, rtol=1e-6)
    held, none = fit.step(e, J, Jr, 40.0, False)
    np.testing.assert_allclose(held[0], -np.linalg.solve(H, g), rtol=1e-6)
    assert none == 0.0


def test_a_rotation_is_found_from_where_it_begins_however_far_the_images_are_turned() -> None:
    """The second image stands on its head, and the start is 3 degrees off."""
    pixels = np.random.default_rng(3).uniform([40, 30], [160, 130], (30, 2))
    over = CAMERA.project(CAMERA.rays(pixels) @ np.diag([-1.0, -1.0, 1.0]))
    matches = FacingMatches(np.array([0]), np.array([1]), np.array([0, 30]), pixels, over)
    start = at(turn=(2.0, -2.0, 1.0))[:3, :3] @ at(turn=(0.0, 0.0, 180.0))[:3, :3]
    found = read_out(CAMERA, matches, start[None], np.zeros((2, 3)), 0.0)
    assert found.errors_px.max() < 1e-6


# -- a camera that turns on the spot


@pytest.mark.parametrize(("step", "depths", "is_on_the_spot"), [
    (0.078, (4.0, 4.0), True), (0.082, (4.0, 4.0), False),  # a fifth of 4 for each rad is 0.08 for a tenth of one
    (0.078, (2.0, 4.0), True), (0.078, (4.0, 2.0), False),
])  # fmt: skip
def test_a_camera_that_turns_on_the_spot_goes_less_than_a_fifth_of_the_depth_a_radian(
    step: float, depths: tuple[float, float], is_on_the_spot: bool
) -> None:
    m = hand_map([at(), at(x=step, turn=(0.0, np.degrees(0.1), 0.0))])
    add_landmarks(m, 0, grid(3, 3, 4.0), [1])
    p = gather(m, np.arange(2))
    points = p.local_points()
    scale = np.array(depths)[p.cam] / points[:, 2]
    p = replace(p, point=np.arange(18), points=np.zeros((18, 3)), has_point=np.ones(18, bool))
    local = points * scale[:, None]
    T = p.T_world_cam()[p.cam]
    world = np.matmul(T[:, :3, :3], local[:, :, None])[:, :, 0] + T[:, :3, 3]
    assert _turns_on_the_spot(replace(p, points=world)) == is_on_the_spot


def pairs_with(n_pairs: int, each: int = 1) -> FacingMatches:
    pixels, first = np.zeros((n_pairs * each, 2)), np.zeros(n_pairs, np.int64)
    return FacingMatches(first, first + 1, each * np.arange(n_pairs + 1), pixels, pixels)


def said(free: ReadOut, cost_at_once: float) -> Callable[..., ReadOut]:
    """A `read_out` that finds this, and such a cost where all rows are read at once."""
    at_once = replace(free, cost=cost_at_once)
    return lambda camera, matches, R, velocity, seconds=None: free if seconds is None else at_once


@pytest.mark.parametrize(("n_pairs", "seconds", "sigma_s", "agreeing", "cost", "is_clear"), [
    (12, 0.02, 0.0039, 0.5, 0.89, True), (11, 0.02, 0.0039, 0.5, 0.89, False),
    (12, -0.02, 0.0039, 0.5, 0.89, True), (12, 0.02, 0.0041, 0.5, 0.89, False),
    (12, 0.0041, 0.0, 0.5, 0.89, True), (12, 0.0039, 0.0, 0.5, 0.89, False),
    (12, 0.02, 0.0039, 0.4, 0.89, False), (12, 0.02, 0.0039, 0.5, 0.91, False),
])  # fmt: skip
def test_a_read_out_time_is_clear(
    n_pairs: int, seconds: float, sigma_s: float, agreeing: float, cost: float, is_clear: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Five deviations and 4 ms long, explaining half of the matches, and contradicted by nine tenths of before."""
    errors = np.where(np.arange(10) < 10 * agreeing, 1.0, 9.0)
    found = ReadOut(seconds, sigma_s, cost, errors)
    monkeypatch.setattr(module, "read_out", said(found, 1.0))
    p = gather(hand_map([at(), at()]), np.arange(2))
    assert (_shutter(p, pairs_with(n_pairs), np.zeros((2, 3))) is not None) == is_clear


@pytest.mark.parametrize(("n_near", "n_far", "n_off", "n_taken"), [
    (20, 0, 0, 20), (19, 0, 0, 0), (30, 69, 1, 99), (29, 70, 1, 0), (20, 46, 0, 66), (20, 47, 0, 0),
])  # fmt: skip
def test_a_pair_adds_landmarks_where_twenty_matches_and_three_tenths_agree(
    n_near: int, n_far: int, n_off: int, n_taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Near: within 7.5 px. What is 15 px off is left out of the others."""
    errors = np.concatenate([np.full(n_near, 7.4), np.full(n_far, 14.9), np.full(n_off, 15.1)])
    n = len(errors)
    monkeypatch.setattr(module, "read_out", lambda *_: ReadOut(0.0, 0.0, 0.0, errors))
    m = hand_map([at(), at(), at(), at()])
    add_landmarks(m, 0, grid(2, 2, 4.0), [1])
    p = gather(m, np.arange(4))
    matches = FacingMatches(np.array([0]), np.array([3]), np.array([0, n]), np.zeros((n, 2)), np.ones((n, 2)))
    after = _with_tracks(p, Facing(matches, np.arange(n), np.arange(n)), np.zeros((4, 3)), 0.02)
    assert len(after.points) == 4 + n_taken
    assert after.cam[len(p.cam) :].tolist() == [0] * n_taken + [3] * n_taken
    assert after.landmark_ids.tolist() == list(range(4 + n_taken))


def test_everything_is_taken_to_the_middle_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_out", lambda *_: ReadOut(0.0, 0.0, 0.0, np.full(20, 1.0)))
    velocity = np.array([[0.0, 0.0, 0.4], [0.0, 0.0, -0.4]])
    m = hand_map([at(), at()])
    add_landmarks(m, 0, grid(2, 2, 4.0), [1])
    p = gather(m, np.arange(2))
    pixels = np.tile([[99.5, 159.0]], (20, 1))
    matches = FacingMatches(np.array([0]), np.array([1]), np.array([0, 20]), pixels, pixels)
    after = _with_tracks(p, Facing(matches, np.arange(20), np.arange(20)), velocity, 0.1)
    angle = 0.4 * 0.1 * (159.5 / 160 - 0.5)
    right = 99.5 + 79.5 * np.sin(angle)
    np.testing.assert_allclose(after.pixels[8:][after.cam[8:] == 0][:, 0], 199.0 - right, atol=1e-9)
    np.testing.assert_allclose(after.pixels[8:][after.cam[8:] == 1][:, 0], right, atol=1e-9)


def test_it_begins_with_rotations_alone_and_points_at_one_distance() -> None:
    m = hand_map([at(x=1.0), at(x=2.0, y=3.0, turn=(0.0, 30.0, 0.0))])
    add_landmarks(m, 0, np.array([[1.0, 0.0, 4.0]]), [1])
    p = gather(m, np.arange(2))
    middle = CAMERA.project(np.array([[0.0, 0.0, 1.0]]))
    start = _from_one_point(replace(p, pixels=np.tile(middle, (2, 1))))
    np.testing.assert_array_equal(start.T_world_cam()[:, :3, 3], np.zeros((2, 3)))
    np.testing.assert_allclose(start.T_world_cam()[1, :3, :3], at(turn=(0.0, 30.0, 0.0))[:3, :3])
    # between the two axes, z and z turned by 30 degrees
    np.testing.assert_allclose(start.points, [[np.sin(np.radians(15.0)), 0.0, np.cos(np.radians(15.0))]], atol=1e-12)


def test_each_round_keeps_what_fits_better(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[list[bool]] = []

    def solve(p: Problem, options: object) -> Problem:
        rounds.append(p.in_use[: len(p.points)].tolist())
        return p

    monkeypatch.setattr(module, "solve", solve)
    m = hand_map([at(), at(x=1.0)])
    add_landmarks(m, 0, grid(6, 1, 4.0), [1])
    p = gather(m, np.arange(2))
    off = np.array([0.0, 3.9, 4.1, 8.1, 19.9, 20.1])
    p = replace(p, pixels=p.pixels + np.stack([np.zeros(12), np.tile(off, 2)], axis=1))
    _solved(p, RefineConfig(), Watch())
    assert [sum(r) for r in rounds] == [6, 5, 3, 2]


def outcome_of(turn_deg: float = 0.0) -> tuple[Aligned, Problem]:
    m = hand_map([at(), at(turn=(0.0, 5.0, 0.0))])
    add_landmarks(m, 0, grid(2, 2, 4.0), [1])
    before = gather(m, np.arange(2))
    T = np.stack([at(turn=(0.0, 40.0, 0.0)), at(turn=(0.0, 45.0 + turn_deg, 0.0))])
    return Aligned(replace(before, T_cam_world=se3.inverse(T)), np.ones(2)), before


@pytest.mark.parametrize(("turn_deg", "old", "new", "is_believed"), [
    (9.9, 1.0, 0.89, True), (-10.1, 1.0, 0.0, False), (10.1, 1.0, 0.0, False), (0.0, 1.0, 0.91, False),
])  # fmt: skip
def test_no_step_turns_by_ten_degrees_more_and_what_was_kept_back_contradicts_less(
    turn_deg: float, old: float, new: float, is_believed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def contradiction(camera: object, matches: object, T_b_a: Array, velocity: Array, seconds: float) -> float:
        asked.append((seconds, se3.angle_deg(T_b_a[0, :3, :3])))
        return new if seconds else old

    monkeypatch.setattr(module, "contradiction", contradiction)
    placed, before = outcome_of(turn_deg)
    assert (_why_refused(placed, before, pairs_with(1), np.zeros((2, 3)), 0.02) == "") == is_believed
    if abs(turn_deg) < 10.0:
        assert asked == [(0.0, pytest.approx(5.0)), (0.02, pytest.approx(5.0 + turn_deg))]


def test_a_fourth_of_the_pairs_is_kept_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """It decides on the read-out time; the other three fourths become landmarks."""
    pairs = [(0, n) for n in range(3, 13)]
    asked: list[list[tuple[int, int]]] = []

    def matched(places: object, members: object, some: list[tuple[int, int]]) -> Facing:
        asked.append(some)
        return Facing(pairs_with(len(some)), np.arange(len(some)), np.arange(len(some)))

    monkeypatch.setattr(module, "matched", matched)
    monkeypatch.setattr(module, "facing_pairs", lambda R, v: pairs)
    monkeypatch.setattr(module, "_turns_on_the_spot", lambda p: True)
    monkeypatch.setattr(module, "_shutter", lambda p, m, v: ReadOut(0.02, 0.0, 0.0, np.zeros(1)))
    monkeypatch.setattr(module, "_with_tracks", lambda p, shared, v, s: p)
    monkeypatch.setattr(module, "_solved", lambda p, config, watch: p)
    m = hand_map([at(x=0.1 * k) for k in range(13)])
    add_landmarks(m, 0, grid(6, 6, 4.0), range(13))
    found = module.turning(m, np.arange(13), None, RefineConfig(), Watch())
    assert asked == [[(0, 3), (0, 7), (0, 11)], [(0, n) for n in (4, 5, 6, 8, 9, 10, 12)]]
    assert found is not None
    assert isinstance(found.result[0], Adjusted)
    assert found.result[0].calibration == CalibrationOutcome(False, False, 0.0075, 0.02)


def test_poses_between_images_go_from_the_first_to_the_second() -> None:
    T = np.stack([at(x=1.0), at(x=3.0, turn=(0.0, 90.0, 0.0))])
    found = between(pairs_with(1), T)
    np.testing.assert_allclose(found[0] @ [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, -2.0, 1.0], atol=1e-12)
