"""Keyframes put down by hand: which are adjusted together, what their edges say, and what depth a corner is thought to
have."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hand_map import CAMERA, add_landmarks, at, grid, hand_map, pixels_of

from vgslam.frontend.image_mask import ImageMask
from vgslam.frontend.mapper import Mapper, MapperConfig
from vgslam.frontend.sfm import WindowSfm
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.types import EdgeKind, WindowPrediction

STEP = 0.5


def mapper(m: SlamMap, **settings: Any) -> Mapper:
    tracker: Any = SimpleNamespace(camera=CAMERA, mask=ImageMask(CAMERA.width, CAMERA.height))
    return Mapper(m, tracker, WindowSfm(), MapperConfig(**settings))


def in_a_row(n: int) -> SlamMap:
    return hand_map([at(x=STEP * k) for k in range(n)])


def share(m: SlamMap, a: int, b: int, n: int) -> None:
    """n landmarks hung on keyframe a that b sees too."""
    add_landmarks(m, a, grid(n, 1, 4.0), [b])


@pytest.mark.parametrize(("n", "expected"), [(8, [0, 1, 2]), (7, [0, 2])])
def test_keyframes_are_adjusted_together_that_share_eight_landmarks(n: int, expected: list[int]) -> None:
    """The first hangs on the last by nine, or by the one between."""
    m = in_a_row(3)
    share(m, 1, 2, n)
    share(m, 0, 2, 9)
    assert mapper(m).recent(2).tolist() == expected


def test_a_keyframe_hangs_on_those_that_hang_on_the_newest() -> None:
    m = in_a_row(4)
    for k in range(3):
        share(m, k, k + 1, 8)
    assert mapper(m).recent(3).tolist() == [0, 1, 2, 3]
    m.keyframes[1].component_id = 7
    assert mapper(m).recent(3).tolist() == [2, 3], "not over another component"


def test_the_newest_of_them_are_taken_and_those_that_saw_first_what_is_seen_now() -> None:
    m = in_a_row(10)
    for k in range(9):
        share(m, k, k + 1, 8)
    assert mapper(m).recent(9).tolist() == [4, 5, 6, 7, 8, 9]
    assert mapper(m, window=3).recent(9).tolist() == [7, 8, 9]
    lost = in_a_row(10)
    share(lost, 2, 9, 8)
    assert mapper(lost).recent(9).tolist() == [2, 9], "found again after a gap"


def circled(n_seen: dict[int, int]) -> SlamMap:
    """A camera that has gone 10 away in 20 keyframes and comes back to the beginning: the newest sees so many of the
    landmarks of these keyframes, and shares eight with each of the last ones."""
    x = [*np.arange(10), *np.arange(10)[::-1]]
    m = hand_map([at(x=float(v)) for v in x])
    for k in range(14, 19):
        share(m, k, 19, 8)
    for k, n in n_seen.items():
        share(m, k, 19, n)
    return m


def test_of_an_earlier_visit_those_take_part_that_share_most() -> None:
    last = [14, 15, 16, 17, 18, 19]
    assert mapper(circled({})).recent(19).tolist() == last
    assert mapper(circled({0: 8, 1: 20, 2: 12})).recent(19).tolist() == [1, 2, *last]
    assert mapper(circled({0: 8, 1: 20, 2: 12}), n_old=1).recent(19).tolist() == [1, *last]
    assert mapper(circled({0: 7})).recent(19).tolist() == last, "too few"
    m = circled({0: 8})
    m.keyframes[0].component_id = 5
    assert mapper(m).recent(19).tolist() == last


def test_a_keyframe_from_which_the_camera_has_gone_straight_on_is_no_earlier_visit() -> None:
    m = in_a_row(20)
    for k in range(14, 19):
        share(m, k, 19, 8)
    share(m, 0, 19, 30)
    assert mapper(m).recent(19).tolist() == [14, 15, 16, 17, 18, 19]


def test_edges_say_what_the_poses_say_with_deviations_of_their_length() -> None:
    """Two keyframes 0.5 apart, the second turned, in units of 2 and 4; edges reach three keyframes back."""
    m = hand_map([at(), at(x=0.5, turn=(0, 90, 0)), at(x=1.0), at(x=1.5), at(x=2.0)], scales=[2.0, 4.0, 1.0, 1.0, 1.0])
    m.edges.clear()
    mapper(m, edge_sigmas=(0.01, 0.1, 0.05)).link_edges(np.arange(5))
    assert sorted(m.edges) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)]
    edge = m.edges[0, 1]
    assert edge.S_a_b.s == pytest.approx(2.0)
    np.testing.assert_allclose(edge.S_a_b.t, [0.25, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(edge.S_a_b.R, at(turn=(0, 90, 0))[:3, :3], atol=1e-12)
    np.testing.assert_allclose(edge.sigmas, [0.01] * 3 + [0.1 * 0.25 + 1e-4] * 3 + [0.05])


@pytest.mark.parametrize(("window", "kind"), [(4, EdgeKind.ODOMETRY), (3, EdgeKind.RELOC)])
def test_an_edge_over_more_than_a_window_is_of_a_place_found_again(window: int, kind: EdgeKind) -> None:
    m = in_a_row(5)
    m.edges.clear()
    mapper(m, window=window).link_edges(np.array([0, 4]))
    assert m.edges[0, 4].kind is kind


def guessed(m: SlamMap, pixel: tuple[float, float], **settings: Any) -> tuple[float, float]:
    depth, rel_sigma = mapper(m, **settings)._guess_depth(0, np.array([pixel], np.float32))
    return float(depth[0]), float(rel_sigma[0])


def test_a_corner_has_the_depth_of_its_five_nearest_neighbours() -> None:
    """With inverse depths 1/2, 1/4, 1/4, 1/4 and 1/8 the median is 1/4; what is far off in the image counts not."""
    m = hand_map([at()], scales=[1.0])
    near = np.array([[0.0, 0.0, 2.0], [0.04, 0.0, 4.0], [0.0, 0.04, 4.0], [0.04, 0.04, 4.0], [0.08, 0.0, 8.0]])
    far = np.array([[0.9 * z, 0.7 * z, z] for z in (20.0,) * 6])
    add_landmarks(m, 0, np.concatenate([near, far]))
    depth, rel_sigma = guessed(m, (100.0, 80.0), guess_rel_sigma=0.3)
    assert depth == pytest.approx(4.0)
    assert rel_sigma == pytest.approx(np.std([0.5, 0.25, 0.25, 0.25, 0.125]) / 0.25)
    assert guessed(m, (100.0, 80.0), guess_rel_sigma=0.6)[1] == 0.6


def test_a_guess_is_in_the_units_of_the_keyframe() -> None:
    m = hand_map([at(z=1.0)], scales=[2.0])
    add_landmarks(m, 0, grid(3, 3, 5.0, 0.2) * [1, 1, 0] + [0.0, 0.0, 5.0])
    assert guessed(m, (100.0, 80.0))[0] == pytest.approx(2.0), "4 ahead, in units of 2"


def test_guessed_landmarks_count_where_fewer_than_five_are_known() -> None:
    m = hand_map([at()])
    known = add_landmarks(m, 0, grid(4, 1, 3.0, 0.1))
    others = add_landmarks(m, 0, grid(3, 3, 6.0, 0.1))
    m.landmarks.is_triangulated[others] = False
    assert guessed(m, (100.0, 80.0))[0] == pytest.approx(6.0)
    add_landmarks(m, 0, grid(1, 1, 3.0, 0.0))
    assert guessed(m, (100.0, 80.0))[0] == pytest.approx(3.0), "five of them"
    assert len(known) == 4
    assert guessed(hand_map([at()]), (100.0, 80.0), guess_rel_sigma=0.4) == (1.0, 0.4), "nothing is known"


def test_a_dense_depth_replaces_guesses_of_its_own_keyframe_where_it_is_sure() -> None:
    """Window units are half a map unit, the keyframe's are two: a depth of 12 is 3."""
    m = hand_map([at(), at(x=STEP)], scales=[2.0, 2.0])
    left, right = np.array([[-1.0, 0.0, 8.0]]), np.array([[1.0, 0.0, 8.0]])
    guess = add_landmarks(m, 0, np.concatenate([left, right]), rel_sigma=0.5)
    sure = add_landmarks(m, 0, left, rel_sigma=0.5)
    foreign = add_landmarks(m, 1, left, [0], rel_sigma=0.5)
    exact = add_landmarks(m, 0, left, rel_sigma=0.01)
    m.landmarks.is_triangulated[[*guess, *foreign, *exact]] = False
    depth, confidence = np.full((1, 16, 20), 12.0, np.float32), np.full((1, 16, 20), 0.6, np.float32)
    confidence[0, :, 10:] = 0.4
    prediction = WindowPrediction(np.array([0]), np.eye(4)[None], [CAMERA.resized(20, 16)], depth, confidence)
    mapper(m, depth_rel_sigma=0.15, min_depth_confidence=0.5).take_depth(0, prediction, 0, 0.5)
    z, rel_sigma = m.landmarks.xyz_host[:, 2], m.landmarks.rel_sigma
    assert z[[*guess, *sure, *exact]].tolist() == pytest.approx([3.0, 4.0, 4.0, 3.0])
    assert z[foreign].tolist() == pytest.approx([4.0])
    assert rel_sigma[[*guess, *sure, *foreign, *exact]].tolist() == pytest.approx([0.15, 0.5, 0.5, 0.5, 0.01])
    np.testing.assert_allclose(m.keyframes[0].depth, 3.0)


def seen_by_three(n: int = 30) -> SlamMap:
    m = in_a_row(3)
    add_landmarks(m, 0, grid(n // 5, 5, 4.0, 0.4), [1, 2])
    return m


def test_an_observation_off_by_more_than_the_limit_goes_and_a_landmark_off_by_four_times_it_is_a_guess() -> None:
    """2.5 px, and 10 px; the third keyframe sees landmarks 0, 1 and 2 elsewhere."""
    m = seen_by_three()
    pixels = pixels_of(m, 2, m.landmarks_world(np.arange(30)))
    pixels[:3] += [[0.0, 1.5], [0.0, 5.5], [0.0, 30.0]]
    m.observed[2] = type(m.observed[2]).of(np.arange(30), pixels)
    result = mapper(m, n_fixed=2).adjust(np.arange(3))
    assert result is not None
    assert not np.isin([1, 2], m.observed[2].ids).any()
    assert np.isin([0, *range(3, 30)], m.observed[2].ids).all()
    assert m.landmarks.is_triangulated[:3].tolist() == [True, True, False]
    assert m.landmarks.rel_sigma[2] == 0.5
    assert len(m.observed[0].ids) == 30


@pytest.mark.parametrize(("n", "is_adjusted"), [(20, True), (15, False)])
def test_twenty_landmarks_seen_twice_are_adjusted(n: int, is_adjusted: bool) -> None:
    m = seen_by_three(n)
    add_landmarks(m, 2, grid(6, 5, 4.0, 0.3))  # seen once, which says nothing
    assert (mapper(m).adjust(np.arange(3)) is not None) is is_adjusted


def test_the_oldest_keyframes_stay_and_the_others_keep_their_units() -> None:
    m = seen_by_three()
    m.set_pose(2, Sim3.from_T(at(x=1.1), 3.0))
    before = [m.keyframes[k].S_world_keyframe.t.copy() for k in range(3)]
    assert mapper(m, n_fixed=2, max_iterations=10).adjust(np.arange(3)) is not None
    for k in (0, 1):
        np.testing.assert_array_equal(m.keyframes[k].S_world_keyframe.t, before[k])
    assert m.keyframes[2].S_world_keyframe.t[0] == pytest.approx(1.0, abs=0.01)
    assert m.keyframes[2].S_world_keyframe.s == 3.0
    again = seen_by_three()
    again.set_pose(1, Sim3.from_T(at(x=0.6)))
    assert mapper(again, n_fixed=3, max_iterations=20).adjust(np.arange(3), n_fixed=1) is not None
    assert again.keyframes[1].S_world_keyframe.t[0] != 0.6, "only the first is held where that is asked for"


@pytest.mark.parametrize(("n", "every", "is_due"), [(4, 3, (2,)), (3, 2, ()), (4, 2, ()), (4, 0, ())])
def test_dense_depth_is_due_for_the_middle_of_a_window_of_four_every_so_often(
    n: int, every: int, is_due: tuple[int, ...]
) -> None:
    m = in_a_row(n)
    for k in range(n - 1):
        share(m, k, k + 1, 9)
    made = mapper(m, dense_every=every)
    assert made._window(np.arange(n)).dense_frames == is_due
    if is_due:
        m.keyframes[2].depth = np.ones((4, 5), np.float32)
        assert made._window(np.arange(n)).dense_frames == ()


def test_a_place_left_a_moment_ago_is_no_earlier_visit() -> None:
    """The camera went 4 away and came back within twice the window of six keyframes."""
    x = [*(-20.0 - np.arange(10)), *np.arange(5.0), *np.arange(5.0)[::-1]]
    m = hand_map([at(x=float(v)) for v in x])
    share(m, 10, 19, 20)
    assert m.is_revisit(10, m.centres(np.array([19]))[0])
    assert mapper(m)._old(19, np.array([10])) == []
    assert mapper(m, window=4)._old(19, np.array([10])) == [10]


def test_what_is_triangulated_anew_has_the_place_and_the_deviation_that_was_found() -> None:
    """In units of the window, of which two are the 0.5 between the keyframes."""
    m = in_a_row(2)
    share(m, 0, 1, 9)
    m.landmarks.is_triangulated[:] = False
    made, rel_sigma = mapper(m), 0.01 * np.arange(1, 10)
    T = np.stack([np.eye(4), at(x=2.0)])
    nothing = np.zeros((2, 16, 20), np.float32)
    prediction = WindowPrediction(
        np.array([0, 10]), T, [CAMERA.resized(20, 16)] * 2, nothing, nothing, landmark_ids=np.arange(9),
        landmarks=np.tile([4.0, 0.0, 12.0], (9, 1)), landmark_rel_sigma=rel_sigma,
    )  # fmt: skip
    made.sfm = SimpleNamespace(predict=lambda window: prediction)  # type: ignore[assignment]
    made._triangulate(np.arange(2))
    np.testing.assert_allclose(m.landmarks_world(np.arange(9)), np.tile([1.0, 0.0, 3.0], (9, 1)), atol=1e-9)
    np.testing.assert_allclose(m.landmarks.rel_sigma[:9], rel_sigma)
    assert m.landmarks.is_triangulated[:9].all()


@pytest.mark.parametrize(("n_known", "is_adjusted"), [(10, True), (9, False)])
def test_a_keyframe_that_sees_mostly_guesses_is_not_adjusted(n_known: int, is_adjusted: bool) -> None:
    m, adjusted = in_a_row(1), list[Any]()
    ids = add_landmarks(m, 0, grid(20, 1, 4.0))
    m.landmarks.is_triangulated[ids[n_known:]] = False
    made = mapper(m)
    made.tracker.detect = lambda view, existing: np.zeros((0, 2), np.float32)  # type: ignore[method-assign]
    made.sfm = SimpleNamespace(predict=lambda window: None)  # type: ignore[assignment]
    made.adjust = lambda window: adjusted.append(window)  # type: ignore[assignment,method-assign,return-value]
    view: Any = SimpleNamespace(frame_id=10, timestamp_s=1.0, image=np.zeros((160, 200, 3), np.uint8))
    pixels = CAMERA.project(m.landmarks_world(ids) - [STEP, 0.0, 0.0]).astype(np.float32)
    found, _ = made.add_keyframe(view, at(x=STEP), ids, pixels, 0)
    assert bool(adjusted) is is_adjusted
    assert found.tolist() == ids.tolist()


@pytest.mark.parametrize(("along", "expected"), [(25.0, 0.05), (1e8, 0.003), (1e-4, 0.5)])
def test_the_deviation_of_depth_is_that_along_the_ray_over_its_length(along: float, expected: float) -> None:
    """A landmark 4 before its keyframe, known to 0.2 along the ray: a twentieth; between 0.3 % and a half."""
    m = hand_map([at(z=1.0)])
    ids = add_landmarks(m, 0, [[0.0, 0.0, 5.0]])
    result: Any = SimpleNamespace(
        landmarks=np.array([[0.0, 0.0, 5.0]]), landmark_information=np.diag([1e4, 1e4, along])[None]
    )
    mapper(m)._update_depth_sigma(ids, result)
    assert m.landmarks.rel_sigma[ids].tolist() == pytest.approx([expected])
