"""Where maps of pieces lie in one another and what becomes part of the whole, from both sides of each limit."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hand_map import CAMERA, add_landmarks, at, grid, hand_map

from vgslam.fleet.folder import facts_of
from vgslam.fleet.pieces import _usual, common_camera, give_one_camera
from vgslam.fleet.seam import Side, _mutually_nearest, _nearby, _scale, _scale_of_depths, _scale_of_positions, seam_of
from vgslam.fleet.splice import Part, splice
from vgslam.fleet.summary import Line, csv_text
from vgslam.fleet.task import Ending, Facts, TaskLimits, TaskResult
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.types import PoseEstimate, Status, Trajectory

# -- seams

NONE = np.zeros(0)


@pytest.mark.parametrize(("off_deg", "off", "n_off", "is_joined"), [
    (1.9, 0.0, 8, True), (2.1, 0.0, 8, False), (0.0, 0.39, 8, True), (0.0, 0.41, 8, False), (90.0, 9.0, 6, True),
    (90.0, 9.0, 7, False),
])  # fmt: skip
def test_seven_tenths_of_the_frames_agree_to_two_degrees_and_a_tenth_of_the_depth(
    off_deg: float, off: float, n_off: int, is_joined: bool
) -> None:
    """Twenty frames on a way of 60, at a depth of 4; the same map, but for some frames."""
    T_a = np.stack([at(z=3.0 * k) for k in range(20)])
    T_b = T_a.copy()
    for k in range(n_off):
        T_b[2 * k] = at(x=off, z=6.0 * k, turn=(0.0, off_deg, 0.0))
    seam, reason = seam_of(T_a, T_b, NONE, 4.0)
    assert (seam is not None) == is_joined, reason
    if seam is not None:
        np.testing.assert_allclose(seam.S_a_b.R, np.eye(3), atol=0.02)


def test_what_frames_share_is_measured_in_depths() -> None:
    """All lie 0.3 off, one way and the other in turn: a tenth of a depth of 3.1, and not of one of 2.9."""
    T_a = np.stack([at(z=3.0 * k) for k in range(20)])
    T_b = np.stack([at(x=0.3 if k % 2 else -0.3, z=3.0 * k) for k in range(20)])
    for depth, is_joined in ((3.1, True), (2.9, False)):
        assert (seam_of(T_a, T_b, NONE, depth)[0] is not None) == is_joined


@pytest.mark.parametrize(("paths", "depths", "log", "sigma"), [
    ((0.0, 0.01), (0.05, 0.02), 0.01, 0.02 / 5**0.5),  # weights of 4 and 1
    ((0.0, 0.01), (0.099, 0.01), 0.0495, 0.01 / 2**0.5), ((0.0, 0.01), (0.101, 0.01), None, 0.0),
    ((0.0, 0.04), (0.16, 0.04), 0.08, 0.04 / 2**0.5), ((0.0, 0.04), (0.17, 0.04), None, 0.0),  # 3 x 0.0566 is 0.1697
    ((0.3, 0.049), None, 0.3, 0.049), ((0.3, 0.051), None, None, 0.0), (None, (0.3, 0.01), 0.3, 0.01),
    (None, None, None, 0.0),
])  # fmt: skip
def test_scales_of_paths_and_landmarks_are_weighed_where_they_do_not_contradict_one_another(
    paths: tuple[float, float] | None, depths: tuple[float, float] | None, log: float | None, sigma: float
) -> None:
    found, reason = _scale(paths, depths)
    assert (found is None) == (log is None)
    assert (reason == "") == (log is not None)
    if found is not None:
        assert found == (pytest.approx(log), pytest.approx(sigma))


def test_thirty_depths_say_something_and_ten_of_them_err_together() -> None:
    """Half lie 0.1 above 0.7 and half below."""
    for n, is_known in ((29, False), (30, True)):
        found = _scale_of_depths(0.7 + np.where(np.arange(n) % 2, 0.1, -0.1))
        assert (found is not None) == is_known
    assert found == (pytest.approx(0.7), pytest.approx(0.14826 / 3**0.5))
    assert _scale_of_depths(np.full(90, 0.7)) == (pytest.approx(0.7), 0.005)


def test_the_scale_of_paths_is_that_of_both_from_their_middles() -> None:
    a = np.stack([at(x=float(k))[:3, 3] for k in range(5)])
    found = _scale_of_positions(a, 0.25 * a + np.array([1.0, 2.0, 3.0]))
    assert found == (pytest.approx(np.log(4.0)), 0.005)
    assert _scale_of_positions(a, np.zeros((5, 3))) is None


def test_corners_within_one_and_a_half_px_that_are_nearest_to_one_another_are_one() -> None:
    a = np.array([[10.0, 10.0], [20.0, 10.0], [20.4, 10.0], [50.0, 50.0]])
    b = np.array([[11.4, 10.0], [20.5, 10.0], [51.6, 50.0]])
    i, j = _mutually_nearest(a, b)
    assert (i.tolist(), j.tolist()) == ([0, 2], [0, 1])


def test_landmarks_of_two_keyframes_before_those_in_common_are_compared() -> None:
    m = hand_map([at(x=0.1 * k) for k in range(6)])
    ids = [add_landmarks(m, k, np.array([[0.0, 0.0, 4.0]]))[0] for k in range(6)]
    m.keyframes[3].component_id = 7
    side = Side(m, 0, {}, {50: 5})
    assert _nearby(side).tolist() == [ids[4], ids[5]]
    m.landmarks.is_triangulated[ids[4]] = False
    m.keyframes[3].component_id = 0
    assert _nearby(side).tolist() == [ids[3], ids[5]]


# -- the whole


def part(n: int, begin: int, end: int, scale: float = 1.0, component: int = 0) -> Part:
    """A map of five keyframes at x = 0 to 4 with a frame each, that is frames `begin` - 1 on of the whole; it lies at
    y = 10 n, and its unit is `scale` of the whole's."""
    m = hand_map([at(x=float(k)) for k in range(5)])
    add_landmarks(m, 0, grid(2, 2, 4.0) + np.array([2.0, 0.0, 0.0]), range(5))
    m.landmarks.is_triangulated[3] = False
    S = Sim3(np.eye(3), np.array([0.0, 10.0 * n, 0.0]), scale)
    return Part(m, begin - 1 + np.arange(5), {0: (component, S)}, begin, end)


def whole(parts: Sequence[Part], n_frames: int) -> SlamMap:
    m = SlamMap()
    source = splice(parts, np.arange(float(n_frames)), m)
    assert source == [n for n, p in enumerate(parts) for _ in range(p.end - p.begin)]
    return m


def test_keyframes_are_taken_from_the_first_to_before_the_last_and_seams_are_stepped_over() -> None:
    """A depth of 4 of the second keyframe's unit, 2: 8 of the whole's; 4 in units of the first, of which 3 %."""
    m = whole([part(0, 1, 4, 2.0), part(1, 4, 6)], 8)
    assert [k.frame_id for k in m.keyframes] == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(m.centres(np.arange(5))[:, :2], [[2, 0], [4, 0], [6, 0], [1, 10], [2, 10]])
    assert [k.S_world_keyframe.s for k in m.keyframes] == [2.0, 2.0, 2.0, 1.0, 1.0]
    assert set(m.edges) == {(0, 1), (1, 2), (2, 3), (3, 4)}
    np.testing.assert_allclose(m.edges[2, 3].sigmas, [0.01] * 3 + [0.12] * 3 + [0.03])
    np.testing.assert_allclose(m.edges[2, 3].S_a_b.t, [-2.5, 5.0, 0.0])
    apart = whole([part(0, 1, 4), part(1, 4, 6, component=1)], 8)
    assert set(apart.edges) == {(0, 1), (1, 2), (3, 4)}


def test_landmarks_hang_on_the_first_keyframe_that_is_kept_and_stay_what_they_were() -> None:
    """They hung on keyframe 0 of each map, which is not taken; one of four is a guess."""
    m = whole([part(0, 1, 4), part(1, 4, 6)], 8)
    assert m.landmarks.host.tolist() == [0] * 4 + [3] * 4
    assert m.landmarks.is_triangulated.tolist() == [True, True, True, False] * 2
    expected = grid(2, 2, 4.0) + np.array([2.0, 0.0, 0.0])
    np.testing.assert_allclose(m.landmarks_world(np.arange(4)), expected, atol=1e-12)
    np.testing.assert_allclose(m.landmarks_world(np.arange(4, 8)), expected + np.array([0.0, 10.0, 0.0]), atol=1e-12)


def test_a_frame_hangs_on_the_keyframe_at_it_or_before_it_as_its_owner_says() -> None:
    """Frame 4 has a row in both maps, and belongs to the second. Its covariance is in units of its keyframe."""
    first, second = part(0, 1, 4, 2.0), part(1, 4, 6)
    covariance = np.diag([1e-4] * 3 + [1.0] * 3)
    for p in (first, second):
        for n in range(5):
            p.slam_map.frames[n] = replace(p.slam_map.frames[n], covariance=covariance)
    m = whole([first, second], 10)
    assert [f.ref_id for f in m.frames] == [0, 0, 1, 2, 3, 4, 4, 4, -1, -1]
    assert [f.status for f in m.frames] == [Status.TRACKED] * 8 + [Status.LOST] * 2
    poses = [T for f in m.frames if (T := m.pose_of(f)) is not None]
    np.testing.assert_allclose([T[1, 3] for T in poses], [0.0] * 4 + [10.0] * 4)
    np.testing.assert_allclose(m.frames[0].covariance, covariance, atol=1e-12)
    np.testing.assert_allclose(m.covariance_of(m.frames[0]), np.diag([1e-4] * 3 + [4.0] * 3), atol=1e-12)


def test_before_the_first_pose_a_frame_may_wait_and_after_it_none_does() -> None:
    p = part(0, 1, 5)
    for n in (0, 3):
        p.slam_map.frames[n] = PoseEstimate(10 * n, float(n), Status.INITIALIZING)
    assert [f.status for f in whole([p], 5).frames][:4] == [
        Status.INITIALIZING, Status.TRACKED, Status.TRACKED, Status.LOST,
    ]  # fmt: skip


def test_codes_are_kept_where_every_part_has_them() -> None:
    for n_coded, n_kept in ((5, 4), (4, 0)):
        p = part(0, 1, 5)
        p.slam_map.place_codes.codes.extend(np.arange(n_coded, dtype=np.uint8)[:, None].repeat(256, axis=1))
        m = whole([p], 6)
        assert m.place_codes.codes.view[:, 0].tolist() == [1, 2, 3, 4][:n_kept]
    coded, bare = part(0, 1, 4), part(1, 4, 6)
    coded.slam_map.place_codes.codes.extend(np.zeros((5, 256), np.uint8))
    assert len(whole([coded, bare], 8).place_codes.codes) == 0


# -- one camera


def pinhole(fx: float, removed_k1: float = 0.0) -> SlamMap:
    return hand_map([at(), at(x=1.0)], replace(CAMERA, fx=fx, fy=fx, removed_k1=removed_k1))


def test_pieces_that_hold_what_was_given_have_no_say_where_others_have() -> None:
    maps = [pinhole(100.0), pinhole(100.0), pinhole(120.0, 0.144), pinhole(110.0)]
    found = common_camera(maps, CAMERA)
    assert found is not None
    assert (found.fx, found.fy) == (115.0, 115.0)
    assert found.removed_k1 == pytest.approx(0.144 * (115.0 / 120.0) ** 2)
    assert common_camera(maps[:2], CAMERA) == CAMERA


def test_the_camera_of_a_map_is_that_of_most_of_its_keyframes() -> None:
    m = hand_map([at()] * 3)
    m.keyframes[1].camera = replace(CAMERA, fx=120.0)
    assert _usual(m) == CAMERA
    m.keyframes[2].camera = replace(CAMERA, fx=120.0)
    found = _usual(m)
    assert found is not None
    assert found.fx == 120.0


def test_pixels_are_straightened_by_what_was_not_taken_out_of_them_yet() -> None:
    """A lens of k1 0.2 was found by one of two maps; a pixel half a focal length off the middle moves inwards, and
    pixels of the other stay."""
    maps = [pinhole(100.0), pinhole(100.0, 0.2)]
    for m in maps:
        m.observe(0, np.zeros(1, np.int64), np.array([[99.5 + 100.0 * 0.5 * (1 + 0.2 * 0.25), 79.5]]))
        m.landmarks.add(0, np.array([[0.0, 0.0, 1.0]]), np.array([0.1]), np.zeros((1, 3), np.uint8))
    give_one_camera(maps, CAMERA)
    np.testing.assert_allclose(maps[0].observed[0].pixels, [[149.5, 79.5]], atol=1e-6)
    np.testing.assert_allclose(maps[1].observed[0].pixels, [[152.0, 79.5]], atol=1e-6)
    assert {k.camera.removed_k1 for m in maps for k in m.keyframes} == {0.2}


# -- what is told


def test_the_length_is_that_of_the_largest_component() -> None:
    T = np.stack([at(x=float(x)) for x in (0, 1, 3, 100, 200)])
    found = facts_of(9, Trajectory(np.arange(5.0), T, np.arange(5), np.array([0, 0, 0, 1, 1])), 2.0, 1, 2)
    assert (found.length, found.n_frames, found.n_poses, found.n_losses, found.n_components) == (3.0, 9, 5, 1, 2)
    assert found.coverage == pytest.approx(5 / 9)
    assert Facts().coverage == 0.0


def test_columns_of_the_summary_hold_what_they_say() -> None:
    facts = Facts(10, 4, 3, 2, 1.5, True, 7.0)
    done = TaskResult("k", Ending.LOST, "gave up", "results/a-k", facts, True, 6, 8.0, 9.0)
    item = SimpleNamespace(name="a", where="/a", trouble="")
    rows = [line.split(",") for line in csv_text([Line(item, done)]).splitlines()]  # type: ignore[arg-type]
    assert dict(zip(*rows, strict=True)) == {
        "name": "a", "input": "/a", "ending": "lost", "coverage": "0.4000", "frames": "10", "poses": "4",
        "length": "1.5", "unit": "m", "losses": "3", "components": "2", "duration_s": "7", "was_there": "1",
        "attempts": "6", "wall_s": "8.0", "peak_mib": "9.0", "results": "results/a-k", "error": "gave up",
    }  # fmt: skip
    broken = SimpleNamespace(name="b", where="/b", trouble="no such file")
    assert Line(broken, None).ending is Ending.FAILED  # type: ignore[arg-type]
    assert Line(item, None).ending == "open"  # type: ignore[arg-type]


def test_a_task_may_take_a_multiple_of_what_it_has_come_through() -> None:
    limits = TaskLimits(timeout_factor=5.0, timeout_least_s=30.0, retries=0)
    assert [limits.allowed_s(s) for s in (-1.0, 0.0, 2.0)] == [30.0, 30.0, 40.0]
