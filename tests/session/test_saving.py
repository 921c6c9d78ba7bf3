"""What works beside a live run: saving from a copy, and a viewer that is slow, stuck or broken."""

import threading
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from random_map import add_random_keyframe, assert_same_map, random_map
from waiting import HANG_S, until

from vgslam.map.slam_map import SlamMap
from vgslam.session.saving import SavingBeside
from vgslam.session.viewing import MOST_FAILURES, ViewerBeside
from vgslam.types import Frame, PoseEstimate, Sim3, Status

FRAME = Frame(0, 0.0, np.zeros((2, 2, 3), np.uint8))
ESTIMATE = PoseEstimate(0, 0.0, Status.LOST)


def test_a_frozen_map_stays_what_it_was() -> None:
    m, wanted = random_map(5, seed=3), random_map(5, seed=3)
    frozen = m.frozen()
    assert_same_map(frozen, wanted)
    m.set_pose(2, Sim3.identity())
    m.set_landmarks_world(np.arange(8), np.zeros((8, 3)))
    m.landmarks.is_triangulated[:] = False
    m.unobserve(1, m.observed[1].ids)
    m.frames[0] = PoseEstimate(0, 0.0, Status.LOST)
    m.keyframes[3].component_id = 77
    m.edges.clear()
    add_random_keyframe(m, np.random.default_rng(9))
    assert_same_map(frozen, wanted)


class Run:
    """Something to be saved, which says how."""

    def __init__(self, save: Any) -> None:
        self.saves_due, self._save, self.failures = (True, False), save, []
        self.steps = cast(Any, SimpleNamespace(failed=lambda name, error: self.failures.append(str(error))))

    def save_frozen(self, frozen: SlamMap, due: tuple[bool, bool]) -> None:
        self._save(frozen, due)


def system(slam_map: SlamMap) -> Any:
    return SimpleNamespace(map=slam_map, between_keyframes=lambda read: read())


def test_a_stuck_disk_is_waited_for_at_the_end_alone() -> None:
    may_end, saved = threading.Event(), []

    def save(frozen: SlamMap, due: tuple[bool, bool]) -> None:
        may_end.wait(HANG_S)
        saved.append((len(frozen.keyframes), due))

    m, run, saving = random_map(3), Run(save), SavingBeside()
    for _ in range(5):
        saving.when_due(system(m), run)
        add_random_keyframe(m, np.random.default_rng(1))
    assert saved == []
    may_end.set()
    saving.rest(run)
    assert saved == [(3, (True, False))]
    saving.rest(run)


def test_a_save_that_fails_is_noted_and_tried_again() -> None:
    n = 0

    def save(frozen: SlamMap, due: tuple[bool, bool]) -> None:
        nonlocal n
        n += 1
        if n == 1:
            raise ValueError("broken")

    run, saving = Run(save), SavingBeside()
    for _ in range(2):
        saving.when_due(system(random_map(2)), run)
        until(lambda: saving._lane.is_done)
    saving.rest(run)
    assert n == 2
    assert run.failures == ["broken"]


def test_nothing_is_begun_where_nothing_is_due() -> None:
    run, saving = Run(lambda *_: pytest.fail("nothing is due")), SavingBeside()
    run.saves_due = (False, False)
    saving.when_due(system(random_map(2)), run)
    assert not saving._lane.is_busy


class Shown:
    """A viewer that shows when it may, and what it is told to raise."""

    where = "somewhere"

    def __init__(self) -> None:
        self.may_show, self.shown, self.errors = threading.Event(), [], []

    def show(self, frame: Frame, estimate: PoseEstimate, slam_map: Any, latency_s: float) -> None:
        self.may_show.wait(HANG_S)
        if self.errors:
            raise self.errors.pop()
        self.shown.append(frame.id)

    def close(self, slam_map: Any) -> None:
        self.shown.append(-1)


def test_a_stuck_viewer_holds_nobody_up_and_the_frames_meanwhile_are_left_out() -> None:
    inner = Shown()
    viewer = ViewerBeside(inner)
    for i in range(10):
        viewer.show(Frame(i, float(i), FRAME.image), ESTIMATE, SlamMap(), 0.0)
    inner.may_show.set()
    viewer.close(SlamMap())
    assert inner.shown == [0, -1]


def test_a_viewer_that_fails_once_goes_on_and_one_that_fails_always_says_so() -> None:
    inner = Shown()
    inner.may_show.set()
    viewer = ViewerBeside(inner)

    def show() -> None:
        viewer.show(FRAME, ESTIMATE, SlamMap(), 0.0)
        until(lambda: viewer._lane.is_done)

    inner.errors = [IndexError("in the middle of a change")]
    for _ in range(3):
        show()
    assert len(inner.shown) == 2
    inner.errors = [IndexError("broken")] * MOST_FAILURES
    for _ in range(MOST_FAILURES):
        show()
    with pytest.raises(IndexError, match="broken"):
        show()
