"""Jobs on a second core: each done once, results and errors where they are asked for, and the same on one core."""

import os
import threading
from collections.abc import Iterator

import pytest
from waiting import HANG_S, until

from vgslam import beside


@pytest.fixture(params=[1, 2])
def cores(request: pytest.FixtureRequest) -> Iterator[int]:
    beside.allow(request.param, there=2)
    yield request.param
    beside.allow(1)


def test_results_come_in_the_order_of_the_items(cores: int) -> None:
    assert list(beside.ahead(range(30), lambda i: i * i)) == [i * i for i in range(30)]


def test_a_job_is_done_once_and_its_error_raised_where_it_is_asked_for(cores: int) -> None:
    done: list[int] = []

    def fail() -> None:
        done.append(1)
        raise ValueError("broken")

    job = beside.start(fail)
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            job.result()
    assert done == [1]


def test_items_are_begun_before_they_are_asked_for_by_so_many_at_most() -> None:
    beside.allow(2, there=2)
    begun: list[int] = []
    results = beside.ahead(range(9), begun.append, 3)
    next(results)
    until(lambda: len(begun) >= 4)
    beside.allow(1)
    assert sorted(begun) == [0, 1, 2, 3]


def test_a_job_that_waits_behind_another_is_done_by_who_asks_for_it() -> None:
    beside.allow(2, there=2)
    may_end = threading.Event()
    first = beside.start(lambda: may_end.wait(HANG_S))
    second = beside.start(threading.current_thread)
    assert second.result() is threading.main_thread()
    may_end.set()
    assert first.result()
    beside.allow(1)


def test_a_job_that_is_dropped_is_not_begun_or_waited_for() -> None:
    beside.allow(2, there=2)
    may_end, begun, done = threading.Event(), threading.Event(), list[int]()

    def work() -> None:
        begun.set()
        may_end.wait(HANG_S)
        done.append(1)

    running, waiting = beside.start(work), beside.start(lambda: done.append(2))
    assert begun.wait(HANG_S)
    waiting.drop()
    may_end.set()
    running.drop()
    assert done == [1]
    assert beside.start(lambda: 3).result() == 3  # after those
    assert done == [1]
    beside.allow(1)


def test_both_share_the_items_and_keep_their_order(cores: int) -> None:
    threads: list[str] = []

    def square(i: int) -> int:
        threads.append(threading.current_thread().name)
        return i * i

    assert beside.both(range(30), square) == [i * i for i in range(30)]
    assert len(threads) == 30
    assert cores == 2 or set(threads) == {threading.main_thread().name}


def test_on_one_core_no_thread_is_begun() -> None:
    beside.allow(1)
    assert beside.start(threading.current_thread).result() is threading.main_thread()
    until(lambda: "vgslam-beside" not in {t.name for t in threading.enumerate()})


def test_no_thread_stays_when_all_is_done() -> None:
    beside.allow(2, there=2)
    assert beside.start(lambda: 7).result() == 7
    until(lambda: "vgslam-beside" not in {t.name for t in threading.enumerate()})
    beside.allow(1)


def test_no_more_cores_are_used_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    beside.allow(2)
    assert not beside.is_allowed()
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    beside.allow(2)
    assert beside.is_allowed()
    beside.allow(1)
    assert not beside.is_allowed()
