"""Frames that come while the map is read wait for the component that is to begin, step by step."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hand_lanes import hand_slam, view
from hand_map import at

from vgslam.frontend.tracker import TrackState
from vgslam.system import SlamSystem
from vgslam.two_lanes import TwoLaneSystem, Work, _Job
from vgslam.types import PoseEstimate, Status


@pytest.fixture
def slam() -> TwoLaneSystem:
    return hand_slam()


@pytest.mark.parametrize(
    ("work", "component", "waits"),
    [(Work.READ, -1, True), (Work.KEYFRAME, -1, True), (Work.READ, 0, False), (Work.KEYFRAME, 2, False)],
)
def test_a_frame_that_cannot_be_looked_for_waits_for_the_component_that_is_to_begin(
    work: Work, component: int, waits: bool, slam: TwoLaneSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = list[int]()
    monkeypatch.setattr(slam, "_lose", lambda v: lost.append(v.frame_id))
    slam._frames.append(PoseEstimate(0, 0.0, Status.INITIALIZING))
    slam._job, slam._component = _Job(work), component
    assert slam._look_for(view(0)).frame_id == 0
    assert lost == [0]
    assert [v.frame_id for v in slam._waiting] == [0] * waits


def test_the_last_thirty_wait_and_the_search_begins_with_them(
    slam: TwoLaneSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    slam._frames.append(PoseEstimate(0, 0.0, Status.INITIALIZING))
    monkeypatch.setattr(slam, "_lose", lambda v: None)
    slam._job = _Job(Work.READ)
    for n in range(31):
        slam._look_for(view(n))
    asked = list[tuple[int, list[int]]]()

    def search(_: object, v: Any, waiting: list[Any]) -> None:
        asked.append((v.frame_id, [w.frame_id for w in waiting]))

    monkeypatch.setattr(slam, "_search", search)
    slam._job = _Job()
    slam._look_for(view(31))
    assert slam.load.n_searches == 1
    assert not slam._waiting
    slam._lane.take()
    assert asked == [(31, list(range(1, 31)))]


@pytest.mark.parametrize(
    ("waiting", "can_follow", "said"),
    [
        ([], True, ["recover 9", "guided 9", "lose 9", "begin 9"]),  # a frame is looked for because it was not followed
        ([7, 8], False, ["earlier 7", "earlier 8", "follow 9", "recover 9", "guided 9", "lose 9", "begin 9"]),
        ([7, 8], True, ["earlier 7", "earlier 8", "follow 9"]),
    ],
)
def test_a_search_goes_through_what_waited_first(
    waiting: list[int], can_follow: bool, said: list[str], slam: TwoLaneSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = list[str]()

    def told(what: str, answer: bool = False) -> Callable[[Any], bool]:
        def do(v: Any) -> bool:
            done.append(f"{what} {v.frame_id}")
            return answer

        return do

    for name, what, answer in (
        ("_follow_or_begin", "earlier", False), ("_follow", "follow", can_follow), ("_recover", "recover", False),
        ("_follow_guided", "guided", False), ("_lose", "lose", False), ("_initialize", "begin", False),
    ):  # fmt: skip
        monkeypatch.setattr(slam, name, told(what, answer))
    slam._search(_Job(Work.SEARCH, view(9)), view(9), [view(n) for n in waiting])
    assert done == said


def test_what_waits_at_the_end_is_gone_through_before_the_last_word(
    slam: TwoLaneSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = list[str]()
    monkeypatch.setattr(slam, "_follow_or_begin", lambda v: done.append(f"view {v.frame_id}"))
    monkeypatch.setattr(SlamSystem, "settle", lambda self: done.append("settle"))
    monkeypatch.setattr(slam, "rest", lambda: done.append("rest"))
    slam._waiting.extend([view(3), view(4)])
    slam.settle()
    assert done == ["rest", "view 3", "view 4", "settle"]
    assert not slam._waiting


@pytest.mark.parametrize("fails", [False, True])
def test_the_second_keyframe_of_a_component_is_made_in_the_lane_that_begins_it(
    fails: bool, slam: TwoLaneSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[bool]()

    def begin(self: TwoLaneSystem, start: object) -> None:
        seen.append(self._is_beginning)
        if fails:
            raise ValueError("no")

    monkeypatch.setattr(SlamSystem, "_begin_component", begin)
    if fails:
        with pytest.raises(ValueError, match="no"):
            slam._begin_component(None)  # type: ignore[arg-type]
    else:
        slam._begin_component(None)  # type: ignore[arg-type]
    assert seen == [True]
    assert not slam._is_beginning


@pytest.mark.parametrize(
    ("is_beginning", "work", "in_this_lane"),
    [(True, Work.NOTHING, True), (False, Work.SEARCH, True), (False, Work.NOTHING, False)],
)
def test_keyframes_are_handed_over_unless_a_component_begins(
    is_beginning: bool, work: Work, in_this_lane: bool, slam: TwoLaneSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, begun = list[Any](), list[Work]()
    monkeypatch.setattr(SlamSystem, "_add_keyframe", lambda self, state: made.append(state))
    monkeypatch.setattr(slam, "_begin", lambda work, v, do: begun.append(work))
    slam._is_beginning, slam._job = is_beginning, _Job(work)
    state = TrackState(view(1), np.arange(2), np.zeros((2, 2), np.float32), at())
    slam._add_keyframe(state)
    assert (made, begun) == ([state], []) if in_this_lane else (made, begun) == ([], [Work.KEYFRAME])
    assert slam.load.n_keyframes == int(not in_this_lane)
