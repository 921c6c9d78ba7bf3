"""What measured positions say of scale, roll and gravity, with values worked out by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hand_map import CAMERA, add_landmarks, at, hand_map

from vgslam.errors import InputError
from vgslam.geometry import se3
from vgslam.geometry.robust_similarity import Fit
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import Session
from vgslam.map.world import World
from vgslam.metric import tags
from vgslam.metric.fulfil import MetricRequest, fulfil
from vgslam.metric.keep import Remembered, remember, restore
from vgslam.metric.measured import Scale, SessionView
from vgslam.metric.positions import (
    Georeferenced,
    MatchedFixes,
    _bent,
    _roll,
    _scale,
    _sigmas,
    georeference,
    gravity_of_positions,
)
from vgslam.metric.spec import Accelerometer, FramesLength, PositionFile, Upright
from vgslam.metric.tags import TagSighting, find_tags, tag_edges
from vgslam.sources.position_file import Accelerations, Fixes, read_fixes
from vgslam.types import Array

SAME = Fit(Sim3.identity(), np.zeros(4), np.ones(4), 0.1, 0.0)
CYCLE = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""Takes x to y, y to z, z to x."""


def along_x(n: int) -> Array:
    """Positions (n,3) with steps of 1."""
    return np.stack([np.arange(n), np.zeros(n), np.zeros(n)], axis=1).astype(float)


def test_the_deviation_of_positions_comes_from_steps_of_what_they_are_off() -> None:
    """All coordinates are off by 0 and 0.1 in turn: steps of 0.1, the difference of two errors."""
    m = hand_map([at(x=x) for x in range(4)])
    off = along_x(4) + np.array([0.0, 0.1, 0.0, 0.1])[:, None]
    ids = np.arange(4)
    np.testing.assert_allclose(_sigmas(MatchedFixes(ids, off, None), SAME, m, None), 1.4826 * 0.1 / 2**0.5)
    np.testing.assert_allclose(_sigmas(MatchedFixes(ids, along_x(4), None), SAME, m, None), 0.003)  # of an extent of 3
    np.testing.assert_allclose(_sigmas(MatchedFixes(ids, off, np.full((4, 3), 0.5)), SAME, m, None), 0.5)
    np.testing.assert_allclose(_sigmas(MatchedFixes(ids, off, np.full((4, 3), 0.5)), SAME, m, 0.2), 0.2)


def test_the_deviation_of_the_scale_is_that_of_a_coordinate_over_the_extent() -> None:
    """0, 1, 2, 3 lie 1.5, 0.5, 0.5, 1.5 off their mean: squares of 5 together; 0, 1, 2 alone 2."""
    found, sigmas = MatchedFixes(np.arange(4), along_x(4), None), np.full((4, 3), 0.05)
    scale = _scale(SAME, found, sigmas)
    assert (scale.n, scale.rel_sigma) == (4, pytest.approx(0.1 / 5**0.5, rel=1e-4))
    assert scale.spread == pytest.approx(0.1 * 2 / 5**0.5)
    without = _scale(replace(SAME, weights=np.array([1.0, 1.0, 1.0, 0.0])), found, np.full((4, 3), 0.2))
    assert (without.n, without.rel_sigma) == (3, pytest.approx(0.2 / 2**0.5, rel=1e-4))


def test_a_position_far_off_the_graph_is_left_out_and_the_rest_is_solved_again() -> None:
    """Nine positions to 0.1; one is 8 deviations aside, which the stiff path does not follow."""
    m = hand_map([at(x=x) for x in range(9)])
    nodes = {k.id: k.S_world_keyframe for k in m.keyframes}
    for off, is_used in ((0.8, False), (0.4, True)):
        positions = along_x(9)
        positions[4, 2] += off
        found = MatchedFixes(np.arange(9), positions, None)
        poses, used, notes = _bent(nodes, list(m.edges.values()), found, np.full((9, 3), 0.1), None)
        assert used.tolist() == [True] * 4 + [is_used] + [True] * 4
        assert bool(notes) != is_used
        if not is_used:
            np.testing.assert_allclose([poses[k].t for k in range(9)], along_x(9), atol=1e-3)
            assert notes == ["1 of 9 positions contradict the rest: left out"]


def test_the_roll_about_a_straight_path_comes_from_the_cameras_and_moves_nothing_else() -> None:
    """The map's cameras are upright: up is -y. The fit has rolled it by 30 degrees, as a line leaves open."""
    m = hand_map([at(x=x, y=5.0, z=2.0) for x in range(4)])
    rolled = Sim3(se3.so3_exp(np.array([np.radians(30.0), 0.0, 0.0])), np.array([1.0, 2.0, 3.0]), 2.0)
    fit = replace(SAME, S=rolled)
    found = MatchedFixes(np.arange(4), rolled.apply(m.centres(np.arange(4))), None)
    S, held, sigma_deg = _roll(m, 0, found, fit, np.full((4, 3), 0.05))
    np.testing.assert_allclose(S.R @ [0.0, -1.0, 0.0], [0.0, 0.0, 1.0], atol=1e-9)
    np.testing.assert_allclose(S.R @ [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], atol=1e-9)
    middle = np.array([[1.5, 5.0, 2.0]])
    np.testing.assert_allclose(S.apply(middle), rolled.apply(middle), atol=1e-9)
    assert S.s == 2.0
    assert held is not None
    assert sigma_deg is not None


@pytest.mark.parametrize("width", [0.2, 3.0])
def test_positions_give_the_roll_where_they_spread_across_far_enough(width: float) -> None:
    """Four positions at width and 0 across: width / 2 from their mean, a second singular value of about width. Where
    the deviation is 10 degrees of that, the cameras know the roll better."""
    m = hand_map([at(x=x) for x in range(4)])
    positions = 10.0 * along_x(4) + np.array([0.0, 1.0, 1.0, 0.0])[:, None] * [0.0, width, 0.0]
    for sigma, is_left in ((0.98 * np.radians(10.0) * width, False), (1.02 * np.radians(10.0) * width, True)):
        _, held, _ = _roll(m, 0, MatchedFixes(np.arange(4), positions, None), SAME, np.full((4, 3), sigma))
        assert (held is not None) == is_left


def test_the_tilt_that_positions_leave_is_what_they_are_off_over_the_width_of_the_path() -> None:
    """Centres 1 and 0.5 from the middle, in two directions: across, a root of 0.5 units, two metres each. Positions off
    by 0.03 m in each coordinate let it tilt by 0.03 / 1.414 rad."""
    m = hand_map([at(x=1.0), at(x=-1.0), at(y=0.5), at(y=-0.5)])
    S = Sim3(CYCLE, np.zeros(3), 2.0)
    found = Georeferenced(S, {}, Scale(2.0, 0.01, 4, 0.01, "x"), 0.03 * 3**0.5, None)
    gravity = gravity_of_positions(found, m, np.arange(4))
    np.testing.assert_allclose(gravity.up_world, [0.0, 1.0, 0.0], atol=1e-12)  # z of the file is y of the map
    assert gravity.sigma_deg == pytest.approx(np.degrees(0.03 / 2**0.5))
    assert gravity_of_positions(replace(found, roll_sigma_deg=7.0), m, np.arange(4)).sigma_deg == 7.0


# -- markers


def marker_views(wrong_px: float) -> tuple[SessionView, list[TagSighting]]:
    """A marker of 1 x 1, 4 ahead, seen by four cameras; the last sees its first corner elsewhere."""
    m = hand_map([at(), at(x=0.5), at(y=0.5), at(x=-0.5)])
    corners = np.array([[-0.5, -0.5, 4.0], [0.5, -0.5, 4.0], [0.5, 0.5, 4.0], [-0.5, 0.5, 4.0]])
    add_landmarks(m, 0, corners, range(4))
    seen = [TagSighting(1, k, m.observed[k.id].pixels) for k in m.keyframes]
    moved = seen[3].corners.copy()
    moved[0] += wrong_px
    return SessionView(m), [*seen[:3], replace(seen[3], corners=moved)]


def test_a_view_whose_corner_is_2_px_off_is_left_out() -> None:
    exact = tag_edges(*marker_views(6.0))
    assert exact is not None
    np.testing.assert_allclose(exact, 1.0, rtol=1e-6)
    a_little = tag_edges(*marker_views(1.0))
    assert a_little is not None
    assert np.abs(a_little - 1.0).max() > 1e-3, "it counts"


class FoundMarker:
    """A detector that always finds one square marker."""

    def __init__(self, edge_px: float) -> None:
        self.corners = np.array([[[0.0, 0.0], [edge_px, 0.0], [edge_px, edge_px], [0.0, edge_px]]])

    def detectMarkers(self, gray: Array) -> tuple[list[Array], Array, None]:
        return [self.corners], np.array([[3]]), None


@pytest.mark.parametrize(("edge_px", "n"), [(12.1, 1), (11.9, 0)])
def test_a_marker_has_to_be_12_px_large(edge_px: float, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tags, "detector", lambda dictionary: FoundMarker(edge_px))
    assert len(find_tags(hand_map([at()], CAMERA).keyframes, "x")) == n


def test_four_edges_of_a_marker_are_one_measurement() -> None:
    """Eight edges, half of them e^0.1 longer: 0.05 off the middle. Two markers count."""
    found = tags._scale(np.exp([0.0, 0.1] * 4), "x", 0.02)
    assert found.rel_sigma == pytest.approx(np.hypot(1.4826 * 0.05 / 2**0.5, 0.02))


# -- what is remembered


def anchor(world: World, ids: list[int]) -> Remembered:
    n = len(ids)
    return Remembered(world, np.array(ids), np.tile(np.eye(3), (n, 1, 1)), np.zeros((n, 3)), np.ones(n))


def test_metric_frames_of_reference_come_first_then_large_ones() -> None:
    m = hand_map([at()] * 9)
    for k, component in enumerate([0, 1, 1, 1, 2, 2, 3, 3, 3]):
        m.keyframes[k].component_id = component
    upright, metric = World(False, 0.0, True, 1.0), World(True, 0.01)
    m.worlds = {0: metric, 1: upright, 2: metric, 3: metric}
    assert [len(a.ids) for a in remember(m)] == [3, 2, 1, 3]
    assert [a.world for a in remember(m)] == [metric, metric, metric, upright]


def test_a_component_goes_back_to_where_most_of_its_anchors_were() -> None:
    """Two of three anchors are in component 1 now, which was moved; component 0 stays."""
    m = hand_map([at(x=float(k)) for k in range(3)])
    m.worlds = {0: World(True, 0.01)}
    anchors = remember(m)
    S = Sim3(CYCLE, np.array([1.0, 2.0, 3.0]), 3.0)
    for k in (1, 2):
        m.keyframes[k].component_id = 1
        m.set_pose(k, S @ m.keyframes[k].S_world_keyframe)
    restore(m, anchors)
    assert set(m.worlds) == {1}
    np.testing.assert_allclose(m.centres(np.arange(3))[:, 0], [0.0, 1.0, 2.0], atol=1e-9)
    np.testing.assert_allclose(m.keyframes[2].S_world_keyframe.matrix(), Sim3.from_T(at(x=2.0)).matrix(), atol=1e-9)


def test_axes_that_positions_give_point_up_only_if_they_say_so() -> None:
    """A map that was upright is turned into the axes of a file of which nobody knows whether z is up; a length that is
    known leaves them."""
    for request, is_upright in ((MetricRequest(FramesLength(0, 10, 1.0)), True), (read_positions(False), False),
                                (read_positions(True), True)):  # fmt: skip
        m = hand_map([at(x=0.0), at(x=1.0), at(x=2.0, y=1.0), at(x=3.0, z=1.0)])
        m.worlds = {0: World(False, 0.0, True, 1.5)}
        [found] = fulfil(m, request)
        assert (found.is_metric, m.world_of(0).is_upright) == (True, is_upright)
        assert found.scale_sigma_percent == pytest.approx(100.0 * m.world_of(0).scale_rel_sigma)
        assert m.world_of(0).tilt_sigma_deg == (0.0 if not is_upright else pytest.approx(1.5, abs=1.5))


def read_positions(is_up_known: bool) -> MetricRequest:
    """The positions of that map, twice as large."""
    positions = 2.0 * np.array([[0.0, 0, 0], [1, 0, 0], [2, 1, 0], [3, 0, 1]])
    return MetricRequest(PositionFile(Path(), 0.01), fixes=Fixes(np.arange(4.0), positions, None, is_up_known))


def test_frames_of_a_later_session_are_numbered_from_its_own_first() -> None:
    m = hand_map([at(x=float(k)) for k in range(3)])
    m.sessions = [Session("a", "", 0), Session("b", "", 20)]
    assert [k.id for k in SessionView(m, 0).keyframes()] == [0, 1]
    assert [k.id for k in SessionView(m).keyframes()] == [2]
    frame, T = SessionView(m).posed_frame(0)
    assert (frame.frame_id, T[0, 3]) == (20, 2.0)
    with pytest.raises(InputError, match="no frame 20; the session has 1"):
        SessionView(m).posed_frame(20)
    assert SessionView(m, 0).posed_frame(10)[0].frame_id == 10


def test_axes_of_positions_are_set_upright_with_all_that_they_bent() -> None:
    """The file calls up what is -y of the map; upright cameras say that it is z."""
    m = hand_map([at(x=0.0), at(x=1.0), at(x=2.0, y=1.0), at(x=3.0, z=1.0)])
    before = m.centres(np.arange(4)).copy()
    [found] = fulfil(m, replace(read_positions(False), gravity=Upright()))
    assert found.is_upright
    up_old = np.array([0.0, -1.0, 0.0])
    heights = (before - before[0]) @ up_old
    now = m.centres(np.arange(4))
    np.testing.assert_allclose(now[:, 2] - now[0, 2], 2.0 * heights, atol=0.2)
    assert np.ptp(now[:, 2]) == pytest.approx(2.0, abs=0.2)


def test_accelerations_count_at_the_times_that_the_file_spans() -> None:
    """Keyframes at 0, 1, 2, 3 s; the file goes from 0.5 to 2.5 s, and from 0.5 to 3.5 s."""
    for end, is_told in ((2.5, False), (3.5, True)):
        m = hand_map([at(x=float(k)) for k in range(4)])
        held = Accelerations(np.array([0.5, end]), np.tile([0.0, -9.8, 0.0], (2, 1)))
        request = MetricRequest(gravity=Accelerometer(Path()), accelerations=held)
        if is_told:
            assert fulfil(m, request)[0].is_upright
        else:
            with pytest.raises(InputError, match="2 keyframes have an acceleration"):
                fulfil(m, request)


@pytest.mark.parametrize(("extent_m", "is_a_path"), [(0.0, False), (0.9e-6, False), (1.1e-6, True), (3.0, True)])
def test_positions_that_are_one_place_determine_no_scale(extent_m: float, is_a_path: bool) -> None:
    """A receiver at rest says the same place again and again, to rounding far from the origin or not."""
    m = hand_map([at(x=x, y=0.1 * x * x) for x in range(8)])
    path = np.stack([k.S_world_keyframe.t for k in m.keyframes])
    found = MatchedFixes(np.arange(8), extent_m * path / 7.0 + [1.0, 2.0, 3.0] * np.array(extent_m == 0.0), None)
    if is_a_path:
        assert georeference(m, 0, found, None).scale.metres_per_unit == pytest.approx(extent_m / 7.0, rel=1e-3)
    else:
        with pytest.raises(InputError, match="its positions are one place, which determines no scale"):
            georeference(m, 0, found, None)


def test_rows_of_what_is_no_place_on_earth_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("time,x,y,z\n1700000000000,1,2,3\n1700000001000,1,1.1e9,3\n1700000002000,-1e300,2,3\n"
                    "1700000003000,-9e8,2,3\n")  # fmt: skip
    assert read_fixes(path).positions_m.tolist() == [[1.0, 2.0, 3.0], [-9e8, 2.0, 3.0]]
    path.write_text("time,x,y,z\n0,1e200,2,3\n1,1,nan,3\n")
    with pytest.raises(InputError, match="holds no row of numbers"):
        read_fixes(path)
