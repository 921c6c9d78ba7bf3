"""A thread that does one job at a time beside the thread that gives it."""

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

Result = TypeVar("Result")


class Lane(Protocol[Result]):
    """Does one job at a time. `is_busy`: from `start` until its result was taken. `is_done`: the job has ended, and its
    result waits."""

    @property
    def is_busy(self) -> bool: ...

    @property
    def is_done(self) -> bool: ...

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
