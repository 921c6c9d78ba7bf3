"""What tracking does while another lane works on the map, step by step, with values worked out by hand."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hand_lanes import hand_slam, view
from hand_map import at, hand_map

from vgslam.frontend.tracker import TrackState
from vgslam.geometry import se3
from vgslam.mapping import Mapped
from vgslam.system import SlamSystem
from vgslam.two_lanes import TwoLaneSystem, Work, _Handed, _Job, _Passed
from vgslam.types import Array, PoseEstimate, Status


@pytest.fixture
def slam() -> TwoLaneSystem:
    return hand_slam()


# -- what is asked while the map is changed


@pytest.mark.parametrize(("work", "is_due", "is_made", "n_waited"), [
    (Work.NOTHING, True, True, 0), (Work.NOTHING, False, False, 0), (Work.KEYFRAME, True, False, 1),
    (Work.KEYFRAME, False, False, 0), (Work.READ, True, False, 1),
])  # fmt: skip
def test_a_keyframe_waits_for_the_one_before(
    work: Work, is_due: bool, is_made: bool, n_waited: int, slam: TwoLaneSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SlamSystem, "_is_keyframe", lambda self, result: is_due)
    slam._job = _Job(work)
    assert slam._is_keyframe(SimpleNamespace()) == is_made  # type: ignore[arg-type]
    assert slam.load.n_waited == n_waited


@pytest.mark.parametrize(("work", "is_asked"), [
    (Work.NOTHING, True), (Work.SEARCH, True), (Work.KEYFRAME, False), (Work.READ, False),
])  # fmt: skip
def test_the_map_is_not_asked_while_another_lane_has_it(
    work: Work, is_asked: bool, slam: TwoLaneSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SlamSystem, "_confirmed", lambda self, view, result: result)
    monkeypatch.setattr(SlamSystem, "_is_contradicted", lambda self, view, found: True)
    slam._job = _Job(work)
    result: Any = SimpleNamespace()
    assert (slam._confirmed(view(0), result) is result) == is_asked
    assert slam._is_contradicted(view(0), result) == is_asked


def test_views_that_pass_meanwhile_are_kept_but_not_the_one_that_is_worked_on(
    slam: TwoLaneSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SlamSystem, "_accept", lambda self, state, view, result: None)
    first, second = view(1), view(2)
    result: Any = SimpleNamespace(T_world_cam=at(x=1.0), covariance=np.eye(6))
    for work, n in ((Work.KEYFRAME, 1), (Work.READ, 1), (Work.NOTHING, 0), (Work.SEARCH, 0)):
        slam._job = _Job(work, first)
        slam._accept(SimpleNamespace(), first, result)  # type: ignore[arg-type]
        slam._accept(SimpleNamespace(), second, result)  # type: ignore[arg-type]
        assert [x.view for x in slam._job.passed] == [second] * n


@pytest.mark.parametrize("work", list(Work))
def test_static_parts_are_taken_out_of_the_map_by_whoever_has_it(
    work: Work, slam: TwoLaneSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    monkeypatch.setattr(slam.watches.static, "see", lambda view, may_change_map: told.append(may_change_map))
    monkeypatch.setattr(slam.tracker, "view", lambda *_: view(5))
    monkeypatch.setattr(slam, "_follow", lambda view: True)
    slam._frames = SimpleNamespace(newest="said", append=lambda _: None)  # type: ignore[assignment]
    slam._job = _Job(work, view(2))
    frame = SimpleNamespace(id=5, timestamp_s=0.5, image=None)
    assert slam.process(frame) == "said"  # type: ignore[arg-type, comparison-overlap]
    assert told == [work is Work.NOTHING]
    assert (slam.load.lag_frames, slam.load.most_lag_frames) == (3, 3)
    slam._job = _Job()
    slam.process(frame)  # type: ignore[arg-type]
    assert (slam.load.lag_frames, slam.load.most_lag_frames) == (0, 3)


# -- handing over and taking back


def test_a_result_is_taken_when_it_is_there_and_the_map_comes_back(
    slam: TwoLaneSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[int] = []
    monkeypatch.setattr(slam.watches.static, "forget", lambda: forgotten.append(1))
    monkeypatch.setattr(slam, "_begin_frame", lambda frame: view(5))
    monkeypatch.setattr(slam, "_follow", lambda view: True)
    slam._frames = SimpleNamespace(newest="said")  # type: ignore[assignment]
    slam._begin(Work.KEYFRAME, view(2), lambda job: None)
    assert slam.posed is slam.tracker.map is not slam.map
    assert slam.mapper.tracker is not slam.tracker
    assert slam.mapper.tracker.moving is not slam.tracker.moving
    slam.process(SimpleNamespace())  # type: ignore[arg-type]
    assert (slam._job.work, forgotten) == (Work.KEYFRAME, [])
    slam._lane.is_done = True  # type: ignore[misc]
    slam.process(SimpleNamespace())  # type: ignore[arg-type]
    assert (slam._job.work, forgotten) == (Work.NOTHING, [1])
    assert slam.posed is slam.tracker.map is slam.map
    assert slam.mapper.tracker is slam.tracker


def test_a_copy_of_the_map_is_read_between_two_keyframes_alone(slam: TwoLaneSystem) -> None:
    read: list[int] = []
    assert slam.between_keyframes(lambda: read.append(1))
    assert not slam.between_keyframes(lambda: read.append(2))
    assert read == []
    slam.rest()
    assert read == [1]
    assert slam._job.work is Work.NOTHING


def handed(slam: TwoLaneSystem, is_keyframe: bool) -> _Handed:
    """Keyframe 1 was due at x = 1 with landmarks 0 to 3; it was moved to where S lies, and has 0, 1 and the new 7."""
    slam.map = hand_map([at(), at(x=5.0, turn=(0.0, 90.0, 0.0))], scales=[1.0, 2.0])
    due = TrackState(view(10), np.arange(4), np.zeros((4, 2), np.float32), at(x=1.0))
    new = Mapped(1, np.array([0, 1, 7]), np.zeros((3, 2), np.float32), 0)
    return _Handed(due, new, is_keyframe, np.array([7]), np.array([[50.0, 60.0]], np.float32), 0)


def following(motion: Array | None = None) -> TrackState:
    """Tracking is at x = 1.5 by now, and still follows landmarks 1, 2 and 3."""
    pixels = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]], np.float32)
    return TrackState(view(12), np.array([1, 2, 3]), pixels, at(x=1.5), motion)


def test_tracking_goes_on_from_where_the_keyframe_was_moved(
    slam: TwoLaneSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a unit before the keyframe is a whole one now, along -z of the world, as it was turned."""
    what = handed(slam, True)
    monkeypatch.setattr(slam, "_take_keyframe", lambda frame_id, new: None)
    monkeypatch.setattr(slam, "_hang_on_keyframe", lambda passed, due, new: None)
    slam._state = following(at(x=0.1))
    slam._swap(_Job(Work.KEYFRAME, view(10)), what)
    assert slam._state is not None
    np.testing.assert_allclose(slam._state.T_world_cam, at(x=5.0, z=-1.0, turn=(0.0, 90.0, 0.0)), atol=1e-12)
    assert slam._state.motion is not None
    np.testing.assert_allclose(slam._state.motion, at(x=0.2), atol=1e-12)
    assert slam._state.ids.tolist() == [1, 7], "2 and 3 were thrown out, 7 is new"
    assert slam._state.pixels.tolist() == [[1.0, 1.0], [50.0, 60.0]]


def test_where_no_keyframe_was_made_the_pose_stays(slam: TwoLaneSystem) -> None:
    what = handed(slam, False)
    slam._state = following(at(x=0.1))
    slam._swap(_Job(Work.KEYFRAME, view(10), [_Passed(view(13, 10.7))]), replace(what, n_passed=1))
    assert slam._state is not None
    np.testing.assert_array_equal(slam._state.T_world_cam, at(x=1.5))
    np.testing.assert_array_equal(slam._state.motion, at(x=0.1))
    assert slam._reference.keyframe_id == 1
    assert slam.load.most_lag_s == pytest.approx(0.7), "from the view that was due to the newest"
    slam._swap(_Job(Work.KEYFRAME, view(10)), replace(what, n_passed=0))
    assert slam.load.most_lag_s == pytest.approx(0.7)


def test_frames_since_a_keyframe_hang_on_it_where_they_have_a_pose(slam: TwoLaneSystem) -> None:
    what = handed(slam, True)
    rows = {n: PoseEstimate(n, float(n), Status.TRACKED, 0, np.eye(4), None, 1, 1.0, 0) for n in (11, 12)}
    slam._frames = Rows(rows)  # type: ignore[assignment]
    passed = [_Passed(view(11), at(x=1.25), np.eye(6)), _Passed(view(12))]
    slam._hang_on_keyframe(passed, what.due, what.new)
    assert (rows[11].ref_id, rows[12].ref_id) == (1, 0)
    np.testing.assert_allclose(rows[11].T_ref_cam, at(x=0.25), atol=1e-12)
    np.testing.assert_array_equal(rows[11].covariance, np.eye(6))


class Rows:
    """The rows of frames."""

    def __init__(self, rows: dict[int, PoseEstimate]) -> None:
        self.rows = rows

    def __getitem__(self, n: int) -> PoseEstimate:
        return self.rows[n]

    def set(self, row: PoseEstimate) -> None:
        self.rows[row.frame_id] = row


# -- catching up


def test_landmarks_are_followed_through_what_has_passed_by_the_turn_between_the_views(
    slam: TwoLaneSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second landmark is lost at the second step; of 35 views 30 are gone through. In views without a pose they are
    looked for where they were."""
    turned = se3.so3_exp(np.array([0.0, 0.3, 0.0]))
    asked: list[Array] = []
    monkeypatch.setattr(slam.tracker, "rotate_pixels", lambda pixels, R: asked.append(R) or pixels + 100.0)
    steps: list[tuple[int, int, float]] = []

    def follow(before: Array, now: Array, pixels: Array, guess: Array) -> tuple[Array, Array]:
        steps.append((int(before[0, 0]), int(now[0, 0]), float(guess[0, 0] - pixels[0, 0])))
        ok = np.ones(len(pixels), bool)
        if len(steps) == 2:
            ok[1] = False
        return pixels + 1.0, ok

    monkeypatch.setattr(slam.tracker, "follow", follow)
    passed = [_Passed(view(1), se3.from_rt(turned, np.zeros(3))), *[_Passed(view(n)) for n in range(2, 36)]]
    n, ids, pixels = slam._through(passed, _Passed(view(0), at()), np.array([4, 5, 6]), np.zeros((3, 2), np.float32))
    assert (n, ids.tolist(), pixels[:, 0].tolist()) == (30, [4, 6], [30.0, 30.0])
    assert steps[:3] == [(0, 1, 100.0), (1, 2, 0.0), (2, 3, 0.0)]
    [R] = asked
    np.testing.assert_allclose(R, turned.T)


def test_only_new_landmarks_are_followed_into_the_present(slam: TwoLaneSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    what = handed(slam, True)
    monkeypatch.setattr(slam, "_through", lambda passed, last, ids, pixels: (0, ids, pixels))
    found = slam._caught_up(_Job(), what.due, what.new, True)
    assert found.ids.tolist() == [7]


def test_what_the_map_shows_besides_is_added(slam: TwoLaneSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    what = handed(slam, False)
    seen = SimpleNamespace(ids=np.array([3, 8]), pixels=np.array([[7.0, 7.0], [8.0, 8.0]], np.float32), keyframe_id=1)
    monkeypatch.setattr(slam.nearby, "look_again", lambda *_: seen)
    monkeypatch.setattr(slam, "_caught_up", lambda job, due, new, is_keyframe: (new, is_keyframe))
    same = Mapped(0, what.due.ids, what.due.pixels, 0)
    new, is_keyframe = slam._see_again(_Job(), what.due, same)  # type: ignore[misc]
    assert (new.keyframe_id, new.ids.tolist(), is_keyframe) == (1, [0, 1, 2, 3, 8], False)
    assert new.pixels[-1].tolist() == [8.0, 8.0]
    monkeypatch.setattr(slam.nearby, "look_again", lambda *_: None)
    new, _ = slam._see_again(_Job(), what.due, same)  # type: ignore[misc]
    assert (new.keyframe_id, new.ids.tolist()) == (0, [0, 1, 2, 3])


@pytest.mark.parametrize(("n_passed", "followed"), [
    (3, [1, 2, 3]), (8, [1, 2, 3, 4, 5, 6, 7, 8]), (20, [3, 6, 8, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20]), (0, []),
])  # fmt: skip
def test_a_search_that_is_behind_leaves_views_out_until_it_has_caught_up(
    n_passed: int, followed: list[int], slam: TwoLaneSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An eighth of what is left at each step, rounded up."""
    seen: list[int] = []
    monkeypatch.setattr(slam, "_recover", lambda view: True)
    monkeypatch.setattr(slam, "_follow", lambda view, **_: seen.append(view.frame_id) or True)
    slam._state = following()
    job = _Job(Work.SEARCH, view(0), [_Passed(view(n)) for n in range(1, n_passed + 1)])
    slam._search(job, view(0))
    assert seen == followed


def test_a_camera_that_is_not_found_ends_the_search(slam: TwoLaneSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    for name in ("_lose", "_initialize"):
        monkeypatch.setattr(slam, name, lambda view, name=name: said.append(f"{name} {view.frame_id}"))
    monkeypatch.setattr(slam, "_recover", lambda view: False)
    monkeypatch.setattr(slam, "_follow", lambda view, **_: False)
    job = _Job(Work.SEARCH, view(0), [_Passed(view(n)) for n in (1, 2)])
    slam._component = 0
    slam._search(job, view(0))
    assert said == ["_lose 0", "_initialize 0"], "there is a map, and nothing to follow"
    said.clear()
    slam._component = -1
    slam._search(_Job(Work.SEARCH, view(0), job.passed), view(0))
    assert said == [f"{name} {n}" for n in range(3) for name in ("_lose", "_initialize")], "a component may begin"
