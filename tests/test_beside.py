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


@pytest.mark.parametrize("n_cores", [1, 2])
def test_results_are_in_the_order_of_the_items(n_cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "_n_cores", n_cores)
    assert beside.results(lambda i: i * i, range(30)) == [i * i for i in range(30)]
    assert beside.results(lambda i: i, []) == []


def test_the_second_core_takes_the_last_item_while_the_first_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2)

    def meet(i: int) -> threading.Thread:
        both.wait(HANG_S)
        return threading.current_thread()

    monkeypatch.setattr(beside, "_n_cores", 2)
    mine, other = beside.results(meet, [0, 1])
    assert mine is threading.main_thread()
    assert other is not mine


def test_an_error_ends_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def fail(i: int) -> None:
        begun.append(i)
        raise ValueError(f"broken {i}")

    monkeypatch.setattr(beside, "_n_cores", 1)
    with pytest.raises(ValueError, match="broken 0"):
        beside.results(fail, range(9))
    assert begun == [0]
    monkeypatch.setattr(beside, "_n_cores", 2)
    with pytest.raises(ValueError, match="broken 0"):
        beside.results(fail, range(9))
    until(lambda: "vgslam-beside" not in {t.name for t in threading.enumerate()})


def test_no_more_cores_are_used_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    beside.allow(2)
    assert not beside.is_allowed()
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    beside.allow(2)
    assert beside.is_allowed()
    beside.allow(1)
    assert not beside.is_allowed()
