"""Jobs that wait behind one that is held: their order, what they keep, and how they may end."""

import gc
import threading
import weakref

import pytest
from waiting import HANG_S, until

from vgslam.beside import Job, Worker


class StoppedError(BaseException):
    """As Ctrl-C is."""


def held_worker() -> tuple[Worker, threading.Event]:
    """A worker that is busy until the event is set."""
    worker, may_end = Worker("vgslam-test"), threading.Event()
    first = Job(lambda: may_end.wait(HANG_S))
    worker.put(first)
    until(first._turn.locked)
    return worker, may_end


def test_what_waits_is_done_in_the_order_in_which_it_came() -> None:
    worker, may_end = held_worker()
    done: list[int] = []
    for i in range(5):
        worker.put(Job(lambda i=i: done.append(i)))  # type: ignore[misc]
    may_end.set()
    until(lambda: len(done) == 5)
    assert done == [0, 1, 2, 3, 4]


def test_whatever_ends_a_job_is_raised_where_it_is_asked_for() -> None:
    def stop() -> None:
        raise StoppedError

    worker, may_end = held_worker()
    job = Job(stop)
    worker.put(job)
    may_end.set()
    until(job._is_done.is_set)
    with pytest.raises(StoppedError):
        job.result()


def test_a_job_that_is_done_keeps_nothing_of_what_it_worked_on() -> None:
    class Large:
        """Something that a job works on."""

    large = Large()
    kept = weakref.ref(large)
    job = Job(lambda large=large: type(large).__name__)  # type: ignore[misc]
    del large
    assert kept() is not None
    assert job.result() == "Large"
    gc.collect()
    assert kept() is None
