"""Jobs on a second core: each done once, results and errors where they are asked for, and the same on one core."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from waiting import HANG_S, until

from vgslam import beside
from vgslam.beside import Job, Worker
from vgslam.frontend.features import FeatureConfig, detect_corners, track_flow


@pytest.fixture
def one_core_afterwards() -> Iterator[None]:
    yield
    beside.allow(1)


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


@pytest.mark.usefixtures("one_core_afterwards")
def test_opencv_uses_as_many_cores_and_finds_the_same() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (480, 640), np.uint8)
    before = cv2.GaussianBlur(noise, (0, 0), 2.5)
    after = cv2.warpAffine(before, np.array([[1.0, 0.01, 3.3], [-0.01, 1.0, -1.7]]), (640, 480))
    found = []
    for n_cores in (1, 2):
        beside.allow(n_cores, there=2)
        assert cv2.getNumThreads() == n_cores
        corners = detect_corners(before, np.zeros((0, 2), np.float32), 500, FeatureConfig())
        flow = track_flow(before, after, corners, corners, FeatureConfig())
        keypoints, descriptors = cv2.SIFT_create(500).detectAndCompute(before, None)
        found.append([corners, *flow, np.array([(*k.pt, k.angle, k.response) for k in keypoints]), descriptors])
    assert len(found[0][0]) > 300
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_program_lets_threads_of_opencv_sleep() -> None:
    words = "import os, sys; from vgslam.__main__ import main; sys.argv = ['vgslam', '--version']; main(); "
    words += "print(os.environ['OPENCV_THREAD_POOL_ACTIVE_WAIT_WORKER'], 'cv2' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout
    assert said.split()[-2:] == ["0", "False"]


def test_no_more_cores_are_used_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    beside.allow(2)
    assert not beside.is_allowed()
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    beside.allow(2)
    assert beside.is_allowed()
    beside.allow(1)
    assert not beside.is_allowed()
