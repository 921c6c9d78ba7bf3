"""A lane does one job at a time, and whatever ends a job comes back to who asked for it."""

import threading

import pytest
from waiting import HANG_S, until

from vgslam.beside import ThreadLane


def test_a_job_runs_beside_and_its_result_is_taken_once() -> None:
    lane: ThreadLane[int] = ThreadLane("test")
    may_end = threading.Event()

    def job() -> int:
        may_end.wait(HANG_S)
        return threading.get_ident()

    lane.start(job)
    assert lane.is_busy
    assert not lane.is_done
    with pytest.raises(RuntimeError, match="busy"):
        lane.start(job)
    may_end.set()
    until(lambda: lane.is_done)
    assert lane.is_busy
    assert lane.take() != threading.get_ident()
    assert not lane.is_busy
    with pytest.raises(RuntimeError, match="nothing to do"):
        lane.take()


@pytest.mark.parametrize("error", [ValueError("wrong"), MemoryError(), SystemExit(3), KeyboardInterrupt()])
def test_whatever_ends_a_job_is_raised_where_it_is_taken_and_the_lane_goes_on(error: BaseException) -> None:
    lane: ThreadLane[int] = ThreadLane("test")

    def fail() -> int:
        raise error

    lane.start(fail)
    with pytest.raises(type(error)):
        lane.take()
    lane.start(lambda: 7)
    assert lane.take() == 7


def test_a_lane_ends_with_the_program_and_hands_on_what_ends_a_job() -> None:
    lane: ThreadLane[int] = ThreadLane("test")

    def leave() -> int:
        raise SystemExit(3)

    lane.start(leave)
    with pytest.raises(SystemExit):
        lane.take()
    assert lane._thread is not None
    assert lane._thread.daemon
    lane.start(lambda: 5)
    assert lane.take() == 5
