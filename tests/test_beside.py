"""Jobs on a second core: each done once, results and errors where they are asked for, and the same on one core."""

import os
import threading

import pytest
from waiting import HANG_S, until

from vgslam import beside
from vgslam.beside import Job, Worker


def test_a_job_is_done_once_and_its_error_raised_where_it_is_asked_for() -> None:
    done: list[int] = []

    def fail() -> None:
        done.append(1)
        raise ValueError("broken")

    job = Job(fail)
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            job.result()
    assert done == [1]


def test_jobs_are_done_in_their_order() -> None:
    worker, done = Worker("vgslam-test"), list[int]()
    jobs = [Job(lambda i=i: done.append(i)) for i in range(30)]  # type: ignore[misc]
    for job in jobs:
        worker.put(job)
    until(lambda: len(done) == 30)
    assert done == list(range(30))


def test_a_job_that_waits_behind_another_is_done_by_who_asks_for_it() -> None:
    worker, may_end = Worker("vgslam-test"), threading.Event()
    first, second = Job(lambda: may_end.wait(HANG_S)), Job(threading.current_thread)
    worker.put(first)
    worker.put(second)
    until(lambda: first._turn.locked())
    assert second.result() is threading.main_thread()
    may_end.set()
    assert first.result()


def test_no_thread_stays_when_all_is_done() -> None:
    worker, job = Worker("vgslam-test"), Job(lambda: 7)
    worker.put(job)
    assert job.result() == 7
    until(lambda: "vgslam-test" not in {t.name for t in threading.enumerate()})


def test_no_more_cores_are_used_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    beside.allow(2)
    assert not beside.is_allowed()
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    beside.allow(2)
    assert beside.is_allowed()
    beside.allow(1)
    assert not beside.is_allowed()
