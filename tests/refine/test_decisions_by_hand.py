"""Which points, observations and outcomes of an adjustment are believed, from both sides of each limit."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hand_map import CAMERA, add_landmarks, at, grid, hand_map

from vgslam.geometry import se3
from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import Adjusted, CalibrationOutcome
from vgslam.refine.apply import Aligned
from vgslam.refine.outcome import CalibrationChange, ComponentOutcome, RefineOutcome, Reprojection, moves
from vgslam.refine.plausible import robust_mean, step_changes, why_refused
from vgslam.refine.points import PointTests, cleaned, largest_angle_deg, weakly_seen, with_missing_points
from vgslam.refine.problem import Problem, gather, project
from vgslam.types import Array, Edge, EdgeKind

TESTS = PointTests()
HELD = CalibrationOutcome(False, False, 0.01, 0.02)


def seen_by_all(poses: Sequence[Array], points: Array, off_px: Array | float = 0.0) -> Problem:
    """The problem of cameras that all see all points, off_px ((L,) or a number) to the right of where they are."""
    n, m = len(points), len(poses)
    p = Problem(
        CAMERA, 0.0, np.arange(m), se3.inverse(np.stack(poses)), np.arange(n), np.array(points, np.float64),
        np.ones(n, bool), np.repeat(np.arange(m), n), np.tile(np.arange(n), m), np.zeros((m * n, 2)),
        np.ones(m * n, bool),
    )  # fmt: skip
    off = np.tile(np.broadcast_to(off_px, n), m)
    pixels = CAMERA.project(p.local_points()) + np.stack([off, np.zeros(m * n)], axis=1)
    return replace(p, pixels=pixels)


# -- the problem


def test_a_point_counts_where_two_believed_observations_see_it() -> None:
    p = seen_by_all([at(), at(x=1.0)], grid(2, 2, 4.0))
    assert p.is_active().all()
    in_use = np.ones(8, bool)
    in_use[[0, 5]] = False  # point 0 in the first, point 1 in the second
    assert replace(p, in_use=in_use).is_active().tolist() == [False, False, True, True] * 2
    unknown = replace(p, has_point=np.array([True, True, True, False]))
    assert unknown.is_active().tolist() == [True, True, True, False] * 2
    assert np.isinf(unknown.errors_px()).tolist() == [False, False, False, True] * 2


def test_errors_are_distances_in_the_image_and_infinite_behind_the_camera() -> None:
    p = seen_by_all([at(), at(z=5.0)], grid(1, 1, 4.0))
    assert p.errors_px().tolist() == [0.0, np.inf]
    off = replace(p, pixels=p.pixels + np.array([3.0, 4.0]))
    assert off.errors_px()[0] == pytest.approx(5.0)


def test_a_lens_bends_outwards_by_the_square_of_the_radius() -> None:
    """(0.5, 0) has a radius of 0.5: 0.5 (1 + 0.2 / 4) = 0.525."""
    found = project(CAMERA, 0.2, np.array([[1.0, 0.0, 2.0]]))
    np.testing.assert_allclose(found, [[99.5 + 52.5, 79.5]])


def test_landmarks_of_two_keyframes_are_adjusted_with_the_camera_of_the_last() -> None:
    m = hand_map([at(), at(x=1.0), at(x=2.0)])
    add_landmarks(m, 0, grid(1, 1, 4.0), [1])
    add_landmarks(m, 0, grid(1, 1, 5.0))
    m.keyframes[2].camera = replace(CAMERA, fx=120.0)
    p = gather(m, np.arange(3))
    assert p.landmark_ids.tolist() == [0]
    assert p.cam.tolist() == [0, 1]
    assert p.camera.fx == 120.0


# -- which points take part


def missing(apart: float, off_px: float = 0.0) -> Problem:
    """Two cameras, one point 4 before the middle of both that is not known; each sees it off_px from where it is, one
    above and one below its epipolar line."""
    p = seen_by_all([at(x=-0.5 * apart), at(x=0.5 * apart)], np.array([[0.0, 0.0, 4.0]]))
    pixels = p.pixels + np.array([[0.0, off_px], [0.0, -off_px]])
    return replace(p, pixels=pixels, has_point=np.zeros(1, bool), in_use=np.zeros(2, bool), points=np.zeros((1, 3)))


@pytest.mark.parametrize(("apart", "off_px", "is_found"), [
    (0.0712, 0.0, True), (0.0685, 0.0, False),  # a degree at a distance of 4 is 0.0698
    (1.0, 2.4, True), (1.0, 2.6, False), (0.0685, 2.6, False),
])  # fmt: skip
def test_a_point_is_triangulated_again_with_a_degree_and_within_the_gate(
    apart: float, off_px: float, is_found: bool
) -> None:
    found = with_missing_points(missing(apart, off_px), TESTS, 2.5)
    assert found.has_point.tolist() == [is_found]
    assert found.in_use.tolist() == [is_found] * 2
    if is_found:
        np.testing.assert_allclose(found.points, [[0.0, 0.0, 4.0]], atol=0.2)


@pytest.mark.parametrize(("usual", "stays", "goes"), [(0.5, 2.45, 2.55), (1.0, 3.35, 3.45), (3.0, 5.9, 6.1)])
def test_an_outlier_is_four_deviations_off_between_two_and_a_half_and_six_px(
    usual: float, stays: float, goes: float
) -> None:
    """The deviation is 0.85 of the median length: 4 of them are 3.4 medians."""
    off = np.full(20, usual)
    off[:2] = stays, goes
    p = cleaned(seen_by_all([at(), at(x=1.0)], grid(5, 4, 4.0), off), TESTS)
    assert p.in_use.tolist() == ([True, False] + [True] * 18) * 2


def test_a_point_with_less_than_a_fifth_of_a_degree_is_not_known() -> None:
    """0.2 degrees at 10 are 0.0349. The angle is that between the first ray and the one farthest off."""
    for apart, stays in ((0.0355, True), (0.0343, False)):
        p = seen_by_all([at(), at(), at(x=apart)], np.array([[0.0, 0.0, 10.0]]))
        assert cleaned(p, TESTS).has_point.tolist() == [stays]
    far = seen_by_all([at(), at(x=1.0), at(x=2.0), at(x=-0.5)], np.array([[0.0, 0.0, 2.0]]))
    assert largest_angle_deg(far)[0] == pytest.approx(45.0)


def test_a_keyframe_with_fewer_observations_is_weak() -> None:
    p = seen_by_all([at(), at(x=1.0), at(x=2.0)], grid(3, 1, 4.0))
    in_use = np.ones(9, bool)
    in_use[8] = False
    assert weakly_seen(replace(p, in_use=in_use), 3).tolist() == [False, False, True]
    assert weakly_seen(replace(p, in_use=in_use), 2).tolist() == [False, False, False]


# -- what may replace the map


def test_the_loss_of_errors_is_soft() -> None:
    """2 (sqrt(1 + 3) - 1) = 2; what is behind a camera counts as 100 px."""
    assert robust_mean(np.array([0.0, 3.0**0.5])) == pytest.approx(1.0)
    assert robust_mean(np.array([np.inf])) == pytest.approx(2.0 * (10001.0**0.5 - 1.0))


def drive(n: int = 21) -> SlamMap:
    """A drive along x, two cameras a unit, with landmarks 4 ahead that each keyframe sees with the next two."""
    m = hand_map([at(x=0.5 * k) for k in range(n)])
    for k in range(n):
        points = grid(4, 3, 4.0) + np.array([0.5 * k, 0.0, 0.0])
        add_landmarks(m, k, points, range(k, min(k + 3, n)))
    return m


def outcome_of(m: SlamMap, **changes: object) -> tuple[Adjusted, Aligned]:
    """An adjustment whose outcome is the map as it is, with changes; before, all pixels were a px off."""
    after = gather(m, np.arange(len(m.keyframes)))
    before = replace(after, pixels=after.pixels + np.array([1.0, 0.0]))
    after = replace(after, **changes)
    weak = np.zeros(len(m.keyframes), bool)
    return Adjusted(before, after, weak, HELD), Aligned(after, np.ones(len(m.keyframes)))


def test_the_focal_length_and_the_distortion_stay_in_a_range() -> None:
    m = drive()
    for fx, k1, is_believed in ((166.0, 0.0, True), (168.0, 0.0, False), (61.0, 0.0, True), (59.0, 0.0, False),
                                (100.0, 0.49, True), (100.0, -0.51, False), (168.0, 0.51, False)):  # fmt: skip
        done, placed = outcome_of(m)
        before = replace(done.before, pixels=done.before.pixels + 1e3)  # whatever comes is better
        lens = replace(CAMERA, fx=fx, fy=fx)
        after = replace(placed.problem, camera=lens, k1=k1, pixels=done.after.pixels)
        reason = why_refused(m, replace(done, before=before, after=after), replace(placed, problem=after))
        assert (reason == "") == is_believed, (fx, k1)
        assert is_believed or "focal length" in reason


def test_an_error_that_grows_is_refused() -> None:
    m = drive()
    done, placed = outcome_of(m)
    assert why_refused(m, done, placed) == ""
    worse = replace(placed, problem=replace(placed.problem, pixels=placed.problem.pixels + np.array([1.2, 0.0])))
    assert "would grow" in why_refused(m, replace(done, after=worse.problem), worse)
    assert why_refused(m, replace(done, before=placed.problem), placed) == "", "the same is no worse"
    blind = replace(placed.problem, in_use=np.zeros(len(placed.problem.cam), bool))
    assert "would grow" in why_refused(m, done, replace(placed, problem=blind))


def stepped(changes: Sequence[float]) -> tuple[SlamMap, Adjusted, Aligned]:
    """Steps along x that change by so many deviations, which are a hundredth of the depth of 4."""
    m = drive()
    shift = 0.04 * np.concatenate([[0.0], np.cumsum(changes), np.full(20 - len(changes), np.sum(changes))])
    T = m.T_world_keyframes(np.arange(21))
    T[:, 0, 3] += shift
    done, placed = outcome_of(m, T_cam_world=se3.inverse(T))
    after = replace(placed.problem, pixels=placed.problem.pixels)
    after = replace(after, pixels=CAMERA.project(after.local_points()))
    before = replace(done.before, pixels=done.before.pixels + 1e3)
    return m, replace(done, before=before, after=after), replace(placed, problem=after)


@pytest.mark.parametrize(("changes", "is_believed"), [
    ([3.9] * 20, True), ([4.1] * 2, True), ([4.1] * 3, False), ([39.0], True), ([41.0], False), ([-41.0], False),
])  # fmt: skip
def test_a_tenth_of_the_steps_may_change_by_four_deviations_and_none_by_forty(
    changes: list[float], is_believed: bool
) -> None:
    reason = why_refused(*stepped(changes))
    assert (reason == "") == is_believed, reason
    assert is_believed or "steps between keyframes" in reason


def test_a_step_is_compared_in_the_units_of_its_first_keyframe() -> None:
    """Two keyframes of unit 2 that lie 1 apart: 0.5 of their units. After the adjustment depths are 1.1 and 1.21 times
    as long and the step 1.32: 0.6 of the new units, 0.1 more. Landmarks 4 ahead let 0.04 / 2 be a deviation."""
    m = hand_map([at(), at(x=1.0), at(x=2.0)], scales=[2.0, 2.0, 2.0])
    add_landmarks(m, 0, grid(2, 2, 4.0), [1, 2])
    m.edges[0, 2] = Edge(0, 2, m.edges[0, 1].S_a_b, np.full(7, 1e-4), EdgeKind.LOOP)
    p = gather(m, np.arange(3))
    T = np.stack([at(), at(x=1.32), at(x=1.32 + 1.21)])
    after = replace(p, T_cam_world=se3.inverse(T))
    found = step_changes(m, after, np.array([1.1, 1.21, 1.21]))
    np.testing.assert_allclose(found, [max(0.1 / 0.02, np.log(1.1) / 0.01), 0.0], atol=1e-9)
    for pair in ((0, 1), (1, 2)):
        m.edges[pair] = replace(m.edges[pair], sigmas=np.array([0.01] * 3 + [1e-6] * 3 + [1.0]))
    np.testing.assert_allclose(step_changes(m, after, np.array([1.1, 1.21, 1.21])), [0.1 / 0.02, 0.0], atol=1e-9)


def test_turns_count_in_the_deviations_of_the_edge() -> None:
    m = hand_map([at(), at(x=1.0)])
    add_landmarks(m, 0, grid(2, 2, 4.0), [1])
    p = gather(m, np.arange(2))
    turned = replace(p, T_cam_world=se3.inverse(np.stack([at(), at(x=1.0, turn=(0.0, np.degrees(0.03), 0.0))])))
    np.testing.assert_allclose(step_changes(m, turned, np.ones(2)), [3.0])


# -- what is reported


def test_moves_are_shares_of_the_depth_and_degrees() -> None:
    p = seen_by_all([at(), at(x=1.0, turn=(0.0, 0.0, 90.0))], np.array([[0.0, 0.0, 4.0], [0.5, 0.0, 4.0]]))
    turned = at(x=1.0, turn=(0.0, 0.0, 90.0)) @ at(turn=(30.0, 0.0, 0.0))
    shift, degrees = moves(p, replace(p, T_cam_world=se3.inverse(np.stack([at(y=2.0), turned]))))
    np.testing.assert_allclose(shift, [0.5, 0.0], atol=1e-12)
    np.testing.assert_allclose(degrees, [0.0, 30.0], atol=1e-6)


def test_reprojection_counts_what_is_active_and_has_an_image() -> None:
    p = seen_by_all([at(), at(x=1.0)], grid(2, 1, 4.0), np.array([1.0, 3.0]))
    assert Reprojection.of(p) == Reprojection(2.0, pytest.approx(3.0), 4)
    assert Reprojection.of(replace(p, in_use=np.zeros(4, bool))) == Reprojection(0.0, 0.0, 0)


def test_reprojection_is_told_in_px_of_the_frames() -> None:
    p = seen_by_all([at(), at(x=1.0)], grid(2, 1, 4.0), np.array([1.0, 3.0]))
    large = replace(p, camera=replace(p.camera, enlarged=2))
    assert Reprojection.of(large) == Reprojection(1.0, pytest.approx(1.5), 4)


def test_two_adjustments_in_a_row_are_told_as_one() -> None:
    said = [Reprojection(x, x, 9) for x in (3.0, 2.0, 1.0)]
    first = ComponentOutcome(0, 9, True, "", 5, said[0], said[1], 7, 0.4, CalibrationChange(100, 110, 1.0, 0.1, 0.01))
    second = ComponentOutcome(0, 9, True, "", 6, said[1], said[2], 2, 0.9, CalibrationChange(110, 120, 2.0, 0.2, 0.02))
    both = first.then(second)
    assert (both.before, both.after, both.n_landmarks, both.n_moved, both.largest_move) == (said[0], said[2], 6, 7, 0.9)
    assert both.calibration == CalibrationChange(100, 120, 2.0, pytest.approx(0.3), 0.02)
    refuted = replace(first, calibration=CalibrationChange(100, 110, 1.0, 0.1, 0.01, refuted_px=99.0)).then(second)
    assert refuted.calibration is not None
    assert refuted.calibration.refuted_px == 99.0, "the first took what was given away, the second found nothing of it"
    assert first.then(replace(second, is_kept=False)) is first
    assert first.then(replace(second, calibration=None)).calibration is None


def test_a_focal_length_that_was_refuted_is_a_warning_where_the_map_was_changed() -> None:
    change = CalibrationChange(105.0, 100.0, 1.0, 0.0, 0.0, refuted_px=110.0)
    kept = ComponentOutcome(0, 9, True, calibration=change)
    assert RefineOutcome([replace(kept, calibration=replace(change, refuted_px=0.0))]).warnings() == []
    assert RefineOutcome([replace(kept, is_kept=False)]).warnings() == []
    (line,) = RefineOutcome([kept]).warnings()
    assert "110.0 px" in line
    assert "100.0 px" in line
