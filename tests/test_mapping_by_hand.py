"""Which keyframes are made: a view that the map shows often enough becomes none, from both sides of each limit."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hand_map import CAMERA, at, hand_map

from vgslam.frontend.tracker import TrackState
from vgslam.mapping import KeyframeSteps
from vgslam.reloc.locate import Recovered
from vgslam.reloc.nearby import visits
from vgslam.stage_clock import StageClock
from vgslam.types import Ids

N = 120
FIVE = [0, 15, 30, 45, 60]
"""Keyframes of five visits, 15 apart."""


class Made:
    """The steps over a map of 120 keyframes, of which `old` look the same way. n_new: corners that a view would add."""

    def __init__(self, old: list[int], n_new: int, min_gap: int = 15, seen: bool = True, moved: bool = False) -> None:
        self.map = hand_map([at(x=0.1 * k) for k in range(N)])
        self.asked, self.added = list[tuple[int, Ids]](), 0
        self.seen = Recovered(np.eye(4), np.eye(6), np.arange(100, 104), np.full((4, 2), 7.0, np.float32), 42, 1.0)
        m, self.moved = self.map, moved
        tracker = SimpleNamespace(detect=lambda view, pixels: np.zeros((n_new, 2)))
        mapper = SimpleNamespace(map=m, camera=CAMERA, tracker=tracker, add_keyframe=self._add)
        look_back = lambda *_: self.seen if seen else None  # noqa: E731
        nearby = SimpleNamespace(old=self._old(np.array(old, np.int64)), look_back=look_back)
        loops = SimpleNamespace(
            config=SimpleNamespace(min_gap=min_gap, is_on=True), close=self._close,
            search=SimpleNamespace(take=lambda: ["a loop"] if moved else []),
        )  # fmt: skip
        provisional = SimpleNamespace(at_keyframe=lambda k: None)
        self.steps = KeyframeSteps(mapper, provisional, nearby, loops, StageClock())  # type: ignore[arg-type]

    def _old(self, old: Ids) -> Any:
        def asked(T: object, component: int, before: int) -> Ids:
            self.asked.append((component, old))
            return old[old < before]

        return asked

    def _add(self, view: object, T: object, ids: Ids, pixels: Any, component: int) -> tuple[Ids, Any]:
        self.added += 1
        return ids, pixels

    def _close(self, found: list[str]) -> None:
        if self.moved:
            keyframe = self.map.keyframes[N - 1]
            keyframe.S_world_keyframe = keyframe.S_world_keyframe @ keyframe.S_world_keyframe

    def of_view(self, n_seen: int = 16) -> Any:
        state = TrackState(SimpleNamespace(), np.arange(n_seen), np.zeros((n_seen, 2), np.float32), at())  # type: ignore[arg-type]
        return self.steps(state, 0)


@pytest.mark.parametrize(
    ("old", "n_new", "is_new"),
    [
        (FIVE, 5, False),  # of 16 and the four of the old keyframe, 30 % are 6
        (FIVE, 6, True),
        (FIVE[:4], 0, True),  # four visits
        ([*FIVE[:4], 59], 0, True),  # 14 after the fourth
        ([60, 45, 0, 30, 15], 0, False),  # in whatever order
        (list(range(60)), 0, True),  # one long visit
        (FIVE, 0, False),
    ],
)
def test_a_view_that_five_visits_show_becomes_no_keyframe(old: list[int], n_new: int, is_new: bool) -> None:
    made = Made(old, n_new)
    new = made.of_view()
    assert (new.is_new, made.added) == (is_new, int(is_new))
    assert new.ids.tolist() == [*range(16), 100, 101, 102, 103], "with what the old keyframe shows"
    assert new.keyframe_id == (N - 1 if is_new else 42)


def test_a_view_of_which_no_old_keyframe_shows_anything_becomes_one() -> None:
    made = Made(FIVE, 0, seen=False)
    new = made.of_view()
    assert (new.is_new, new.ids.tolist()) == (True, list(range(16)))


def test_a_view_that_a_loop_has_just_moved_becomes_one() -> None:
    """What old keyframes show was found where it was."""
    assert Made(FIVE, 0, moved=True).of_view().is_new


@pytest.mark.parametrize(("min_gap", "before", "asks"), [(119, 1, True), (120, 0, False), (15, 105, True)])
def test_keyframes_of_the_present_visit_are_no_old_ones(min_gap: int, before: int, asks: bool) -> None:
    made = Made([0, 50, 104, 105, 119], 0, min_gap)
    old = made.steps._old_keyframes(TrackState(None, None, None, at()), 0)  # type: ignore[arg-type]
    assert old.tolist() == [k for k in (0, 50, 104, 105, 119) if k < before]
    assert bool(made.asked) == asks


def test_without_loops_nobody_looks_back() -> None:
    made = Made(FIVE, 0)
    made.steps.loops.config.is_on = False  # type: ignore[misc]
    assert not len(made.steps._old_keyframes(TrackState(None, None, None, at()), 0))  # type: ignore[arg-type]
    assert made.of_view().is_new


@pytest.mark.parametrize(
    ("old", "n"), [([], 0), ([7], 1), ([7, 21], 1), ([7, 22], 2), ([22, 7, 37], 3), (list(range(90)), 1)]
)
def test_visits_are_fifteen_keyframes_apart(old: list[int], n: int) -> None:
    assert visits(np.array(old, np.int64), 15) == n
