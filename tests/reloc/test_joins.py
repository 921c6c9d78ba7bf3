"""Joins of components: the map and its graph move alike, all of it or nothing, and a failure is told."""

from types import SimpleNamespace

import numpy as np
import pytest

from vgslam import beside
from vgslam.errors import GraphError
from vgslam.frontend.features import FeatureConfig
from vgslam.frontend.rotation_guess import Thumbnail
from vgslam.frontend.tracker import TrackState, View
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.incremental import IncrementalGraph
from vgslam.graph.map_graph import MapGraph
from vgslam.graph.robust import optimize_map
from vgslam.map.slam_map import SlamMap
from vgslam.mapping import KeyframeSteps
from vgslam.reloc.closing import LoopCloser, solve_graph
from vgslam.reloc.locate import Recovered
from vgslam.reloc.loops import LoopConfig, Meeting
from vgslam.reloc.places import Places
from vgslam.slam import Slam, SlamConfig
from vgslam.stage_clock import StageClock
from vgslam.types import Array, Edge, EdgeKind, Keyframe, PoseEstimate, Status

CAMERA = Camera.from_fov(32, 24, 70.0)
IMAGE = np.zeros((24, 32, 3), np.uint8)
N = 6  # keyframes a component
ODOMETRY = np.array([0.01] * 3 + [0.1] * 3 + [0.05])
LOOP = np.array([0.01] * 3 + [0.05] * 3 + [0.02])
AWAY = Sim3(se3.so3_exp(np.array([0.0, 0.6, 0.1])), np.array([3.0, 1.0, 50.0]), 1.5)


def true_pose(k: int) -> Sim3:
    """Every component walks the same six places."""
    return Sim3(se3.so3_exp(np.array([0.0, 0.1 * (k % N), 0.0])), np.array([1.0 * (k % N), 0.0, 0.0]))


def components(n: int = 2) -> SlamMap:
    """n walks, each a component in a frame of its own, with a landmark seen by each keyframe."""
    m = SlamMap()
    for k in range(n * N):
        S = AWAY @ true_pose(k) if k >= N else true_pose(k)
        ids = np.zeros(0, np.int64)
        m.add_keyframe(Keyframe(k, k, 0.1 * k, IMAGE, CAMERA, S, k // N), ids, np.zeros((0, 2)))
        ids = m.landmarks.add(k, np.array([[0.0, 0.0, 4.0]]), np.array([0.1]), IMAGE[0, :1])
        m.observe(k, ids, np.array([[16.0, 12.0]]))
        m.frames.append(PoseEstimate(k, 0.1 * k, Status.TRACKED, k, np.eye(4), component_id=k // N))
        if k % N:
            step = m.keyframes[k - 1].S_world_keyframe.inverse() @ S
            m.edges[k - 1, k] = Edge(k - 1, k, step, ODOMETRY, EdgeKind.ODOMETRY)
    return m


def meeting(m: SlamMap, a: int, b: int, error: Sim3 | None = None) -> Meeting:
    """Keyframe b met from keyframe a; without an error, where it truly is."""
    S_a_b = true_pose(a).inverse() @ true_pose(b) @ (error or Sim3.identity())
    found = Recovered(np.eye(4), np.eye(6), m.observed[a].ids, np.array([[5.0, 6.0]], np.float32), a, 1.0)
    return Meeting(Edge(a, b, S_a_b, LOOP, EdgeKind.LOOP), m.keyframes[a].S_world_keyframe @ S_a_b, 30, 5.0, found)


def shifted(y: float) -> Sim3:
    return Sim3(np.eye(3), np.array([0.0, y, 0.0]))


class Desk:
    """A map with a loop closer whose finder finds what it is told."""

    def __init__(self, m: SlamMap, monkeypatch: pytest.MonkeyPatch, is_metric: bool = False) -> None:
        self.map, self._found = m, list[Meeting]()
        self.closer = LoopCloser(m, Places(m), FeatureConfig(), LoopConfig(is_metric=is_metric))
        monkeypatch.setattr(self.closer.finder, "find", lambda k, other_components=False: self._found)
        monkeypatch.setattr(self.closer.search, "_find", lambda k: self._found)

    def find(self, *meetings: Meeting) -> None:
        """Have the finder find these from now on."""
        self._found = list(meetings)

    def offer(self, *meetings: Meeting) -> bool:
        """Whether something was closed."""
        self.find(*meetings)
        return self.closer.at_keyframe(meetings[-1].edge.id_b) is not None


def poses(m: SlamMap) -> Array:
    return np.stack([k.S_world_keyframe.matrix() for k in m.keyframes])


def state(m: SlamMap) -> tuple[list[int], list[int], list[tuple[int, int]], list[list[int]]]:
    """Component of each keyframe and frame, edges, and what is observed."""
    return (
        [k.component_id for k in m.keyframes], [f.component_id for f in m.frames], sorted(m.edges),
        [seen.ids.tolist() for seen in m.observed],
    )  # fmt: skip


def distance_from_truth(m: SlamMap) -> float:
    return max(float(np.linalg.norm(k.S_world_keyframe.t - true_pose(k.id).t)) for k in m.keyframes)


def test_poses_after_a_join_are_those_that_the_final_solve_confirms(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meetings differ by twice their deviation."""
    desk = Desk(components(), monkeypatch)
    m = desk.map
    assert desk.offer(meeting(m, 3, 9, shifted(0.1)), meeting(m, 4, 10, shifted(0.05)), meeting(m, 5, 11))
    assert {k.component_id for k in m.keyframes} == {f.component_id for f in m.frames} == {0}
    published = m.trajectory().T_world_cam.copy()
    optimize_map(m)
    np.testing.assert_allclose(m.trajectory().T_world_cam, published, atol=2e-3)


@pytest.mark.parametrize("n_cores", [1, 2])
def test_the_view_of_the_next_keyframe_goes_along_when_a_join_moves_the_map(
    n_cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second walk is joined to the first: its last keyframe comes from AWAY, where all is 1.5 times as large."""
    monkeypatch.setattr(beside, "_n_cores", n_cores)
    desk = Desk(components(), monkeypatch)
    m, last = desk.map, 2 * N - 1
    desk.find(*(meeting(m, a, a + N) for a in (3, 4, 5)))
    ahead = se3.from_rt(np.eye(3), np.array([0.0, 0.0, 3.0]))
    view = View(last + 1, 2.0, IMAGE, IMAGE[:, :, 0], Thumbnail(IMAGE[:, :, 0], CAMERA))
    nothing = np.zeros(0, np.int64), np.zeros((0, 2), np.float32)
    at = TrackState(view, *nothing, m.keyframes[last].S_world_keyframe.compose_pose(ahead))
    steps = KeyframeSteps(SimpleNamespace(map=m), None, None, desk.closer, StageClock())  # type: ignore[arg-type]
    assert steps._after_loop(at, 1) == (at, 1), "no search was begun"
    desk.closer.begin(last)
    moved, component = steps._after_loop(at, 1)
    assert component == 0
    np.testing.assert_allclose(m.keyframes[last].S_world_keyframe.t, true_pose(last).t, atol=1e-3)
    np.testing.assert_allclose(moved.T_world_cam, true_pose(last).compose_pose(ahead), atol=1e-2)


def test_a_keyframe_adjusted_since_it_was_taken_in_meets_its_place_in_the_map() -> None:
    """The graph has older poses than the map; the join holds where the map shows it."""
    m = components()
    graph = MapGraph(m)
    graph.take_in()
    for k in range(N):  # the older walk was adjusted after that
        m.set_pose(k, shifted(2.0) @ m.keyframes[k].S_world_keyframe)
    met = [meeting(m, a, a + N) for a in (3, 4, 5)]
    assert graph.close([x.edge for x in met]).joined == 1
    for x in met:
        S = m.keyframes[x.edge.id_a].S_world_keyframe.inverse() @ m.keyframes[x.edge.id_b].S_world_keyframe
        np.testing.assert_allclose(S.matrix(), x.edge.S_a_b.matrix(), atol=1e-3)


def fails(*_: object, **__: object) -> dict[int, Sim3]:
    raise GraphError("the solve has diverged")


@pytest.mark.parametrize("failure", ["the solve", "a scale in a metric map"])
def test_a_join_that_fails_changes_nothing_and_is_told(failure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(components(), monkeypatch, is_metric=failure != "the solve")
    m = desk.map
    wrong = Sim3(np.eye(3), np.zeros(3), 1.3) if failure != "the solve" else None
    if failure != "the solve":
        for k in range(N, 2 * N):
            m.set_pose(k, Sim3(AWAY.R, AWAY.t) @ true_pose(k))
            if k % N:
                S = true_pose(k - 1).inverse() @ true_pose(k)
                m.edges[k - 1, k] = Edge(k - 1, k, S, ODOMETRY, EdgeKind.ODOMETRY)
    before, where = state(m), poses(m)
    with monkeypatch.context() as patched:
        if failure == "the solve":
            patched.setattr(IncrementalGraph, "update", fails)
        for _ in range(2):
            assert not desk.offer(meeting(m, 3, 9), meeting(m, 4, 10, wrong), meeting(m, 5, 11))
    assert state(m) == before
    np.testing.assert_array_equal(poses(m), where)
    reason = "the solve has diverged" if failure == "the solve" else "scale 1.3 in a metric pose graph"
    assert len(desk.closer.notes) == 1
    assert "2 loops were not closed, the first between frames 5 and 11" in desk.closer.notes[0]
    assert reason in desk.closer.notes[0]
    assert not desk.closer.refused
    assert optimize_map(m, failure != "the solve").error < 1e-6, "the map is whole"
    assert desk.offer(meeting(m, 3, 9), meeting(m, 4, 10), meeting(m, 5, 11)), "the graph has begun anew"
    assert distance_from_truth(m) < 1e-2


def test_keyframes_that_the_graph_cannot_take_in_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(components(), monkeypatch)
    desk.map.edges[3, 99] = Edge(3, 99, Sim3.identity(), LOOP, EdgeKind.LOOP)
    assert not desk.offer(meeting(desk.map, 3, 9))
    assert "1 loop was not closed, between frames 3 and 9: edge 3-99 names keyframe 99" in desk.closer.notes[0]


def test_true_joins_undo_a_false_one_that_came_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The false meetings put the second walk elsewhere, far beyond drift; true ones come later, two at a time."""
    desk = Desk(components(), monkeypatch)
    m = desk.map
    wrong = Sim3(se3.so3_exp(np.array([0.0, 2.0, 0.0])), np.array([9.0, 4.0, 30.0]), 0.6)
    false = [meeting(m, a, b, true_pose(b).inverse() @ wrong @ true_pose(b)) for a, b in ((1, 7), (2, 8), (3, 9))]
    assert desk.offer(*false)
    assert distance_from_truth(m) > 20.0
    seen = m.observed[9].ids.tolist()
    assert len(seen) == 2
    assert not desk.offer(meeting(m, 0, 6), meeting(m, 2, 9)), "two against three"
    assert len(desk.closer.refused) == 2
    assert desk.offer(meeting(m, 4, 10), meeting(m, 5, 11))
    assert distance_from_truth(m) < 1e-2
    assert sorted(desk.closer.refused) == [(1, 7), (2, 8), (3, 9)]
    assert m.observed[9].ids.tolist() == seen[:1], "the landmarks of the false place are not seen any longer"
    assert any("taken back" in note and "frames 3 and 9" in note for note in desk.closer.notes)
    solution = optimize_map(m)
    assert {(x.edge.id_a, x.edge.id_b) for x in solution.switched_off} == {(1, 7), (2, 8), (3, 9)}
    assert distance_from_truth(m) < 1e-2


@pytest.mark.parametrize("may_drift", [True, False])
def test_within_a_component_a_loop_is_closed_only_if_drift_can_be_so_large(
    may_drift: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(components(1), monkeypatch)
    m = desk.map
    before, where = state(m), poses(m)
    monkeypatch.setattr(desk.closer.finder, "is_drift", lambda _: may_drift)
    assert desk.offer(meeting(m, 0, 5, shifted(0.2))) == may_drift
    assert ((0, 5) in m.edges) == may_drift
    if not may_drift:
        assert state(m) == before
        np.testing.assert_array_equal(poses(m), where)
    assert not desk.closer.refused


def test_what_goes_wrong_with_joins_is_among_the_notes_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    m = components()
    slam = Slam(CAMERA, SlamConfig(), slam_map=m)
    found: list[Meeting] = []
    monkeypatch.setattr(slam.loops.finder, "find", lambda k, other_components=False: found)
    found[:] = [meeting(m, 1, 7, shifted(30.0))]
    with monkeypatch.context() as patched:
        patched.setattr(IncrementalGraph, "update", fails)
        assert slam.loops.at_keyframe(7) is None
    assert slam.loops.at_keyframe(7) is not None
    found[:] = [meeting(m, 3, 9), meeting(m, 4, 10)]
    assert slam.loops.at_keyframe(10) is not None
    slam.finish()
    assert slam.notes[0] == "1 loop was not closed, between frames 1 and 7: the solve has diverged"
    assert slam.notes[1] == "the place seen in frames 1 and 7 was taken back: others contradict it"
    assert slam.notes[2].startswith("1 loop(s) that would join parts of the map contradict the others")
    assert "frames 1 and 7, by" in slam.notes[2]
    told = list(slam.notes)
    solve_graph(m, False, slam.notes, else_of="odometry")
    assert slam.notes == told, "what is left out again is not told again"
    assert distance_from_truth(m) < 1e-2


def test_a_graph_that_begins_anew_decides_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was refused between joined walks stays in the map: the next run weighs it again, with the same result."""
    desk = Desk(components(3), monkeypatch)
    m = desk.map
    wrong = Sim3(np.eye(3), np.array([9.0, 4.0, 30.0]), 0.6)
    assert desk.offer(meeting(m, 1, 7, true_pose(7).inverse() @ wrong @ true_pose(7)))
    assert desk.offer(meeting(m, 2, 8), meeting(m, 3, 9))
    again = Desk(m, monkeypatch)
    where = poses(m)
    assert again.offer(meeting(m, 3, 14), meeting(m, 4, 15), meeting(m, 5, 16))
    np.testing.assert_allclose(poses(m)[: 2 * N], where[: 2 * N], atol=1e-3)
    assert distance_from_truth(m) < 1e-2
