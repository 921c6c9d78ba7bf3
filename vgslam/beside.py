"""A second core put to use: jobs on a thread beside the caller, who takes their results where it needs them; and lanes,
threads that do one job at a time.

What is computed, and which results are used where, is the same whichever thread is faster, and on one core too. Threads
share the work because OpenCV, ffmpeg and the large steps of numpy leave Python's lock to others; work of many small
steps takes longer on two threads than on one.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Generic, Protocol, TypeVar

from vgslam.heap import keep_one_heap

T = TypeVar("T")
Item = TypeVar("Item")
Result = TypeVar("Result")

_n_cores = 1  # cores that this process uses


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def allow(n_cores: int, there: int | None = None) -> None:
    """Use this many cores, of those that this process may run on (`there`); 1 means that nothing is done beside. OpenCV
    uses as many: it gives each thread rows or points of its own, so that the result is the same."""
    import cv2

    global _n_cores
    _n_cores = max(1, min(n_cores, cores() if there is None else there))
    cv2.setNumThreads(_n_cores)
    keep_one_heap()


def is_allowed() -> bool:
    """Whether there is a second core to use."""
    return _n_cores > 1


class Job(Generic[T]):
    """Something that is done once, by the thread beside or by whoever asks for the result first."""

    def __init__(self, do: Callable[[], T]) -> None:
        self._do: Callable[[], T] | None = do
        self._turn, self._is_done = threading.Lock(), threading.Event()
        self._result: T | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """Do it, unless somebody has begun to."""
        if self._do is None or not self._turn.acquire(blocking=False):
            return
        try:
            self._result = self._do()
        except BaseException as error:
            self._error = error
        finally:
            self._do = None
            self._is_done.set()

    @property
    def is_done(self) -> bool:
        """Whether the result, or the error, is there."""
        return self._is_done.is_set()

    def result(self) -> T:
        """The result, once it is there; what the job raised is raised here."""
        self.run()
        self._is_done.wait()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


class Worker:
    """Does jobs in the order in which they came, on a thread that ends when there are none left."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: deque[Job[object]] = deque()
        self._lock = threading.Lock()
        self._is_working = False

    def put(self, job: Job[T]) -> None:
        """Do a job after those before it."""
        with self._lock:
            self._jobs.append(job)  # type: ignore[arg-type]
            if self._is_working:
                return
            self._is_working = True
        threading.Thread(target=self._work, name=self._name).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._is_working = False
                    return
                job = self._jobs.popleft()
            job.run()
            del job


_worker = Worker("vgslam-beside")


def begun(do: Callable[[], T]) -> Job[T]:
    """A job that the second core does after those before it; without one it is done when its result is asked for."""
    job = Job(do)
    if is_allowed():
        _worker.put(job)
    return job


def results(do: Callable[[Item], T], items: Iterable[Item]) -> list[T]:
    """What `do` makes of each item, in the items' order; the second core begins with the last. `do` is called on two
    threads at once, and what it changes has to be another thing for each item."""
    jobs = [Job(partial(do, item)) for item in items]
    wanted = threading.Event()
    wanted.set()

    def from_the_end() -> None:
        for job in reversed(jobs):
            if wanted.is_set():
                job.run()

    helper = begun(from_the_end)
    try:
        return [job.result() for job in jobs]
    finally:
        wanted.clear()
        helper.result()


class Lane(Protocol[Result]):
    """Does one job at a time."""

    @property
    def is_busy(self) -> bool:
        """Whether there is a job: from `start` until its result was taken."""
        ...

    @property
    def is_done(self) -> bool:
        """Whether the job has ended, so that its result waits."""
        ...

    def start(self, job: Callable[[], Result]) -> None:
        """Begin a job. Raises RuntimeError while busy."""
        ...

    def take(self) -> Result:
        """The job's result, once it has ended; what it raised is raised here. RuntimeError without a job."""
        ...


class ThreadLane(Generic[Result]):
    """A `Lane` on a thread that ends with the program. Whatever ends a job, SystemExit too, is raised by `take`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._job: Callable[[], Result] | None = None
        self._outcome: tuple[Result | None, BaseException | None] | None = None
        self._is_busy = False
        self._thread: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        return self._is_busy

    @property
    def is_done(self) -> bool:
        return self._outcome is not None

    def start(self, job: Callable[[], Result]) -> None:
        with self._changed:
            if self._is_busy:
                raise RuntimeError(f"{self._name} is busy")
            self._job, self._is_busy = job, True
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def take(self) -> Result:
        with self._changed:
            if not self._is_busy:
                raise RuntimeError(f"{self._name} has nothing to do")
            while self._outcome is None:
                self._changed.wait(0.2)  # lets Ctrl-C through
            (result, error), self._outcome, self._is_busy = self._outcome, None, False
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def _work(self) -> None:
        while True:
            with self._changed:
                while self._job is None:
                    self._changed.wait()
                job, self._job = self._job, None
            outcome = _outcome(job)
            with self._changed:
                self._outcome = outcome
                self._changed.notify_all()
            del job, outcome


def _outcome(job: Callable[[], Result]) -> tuple[Result | None, BaseException | None]:
    try:
        return job(), None
    except BaseException as error:
        return None, error
