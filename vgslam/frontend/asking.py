"""A network that is asked where geometry is weak: opened at the first question, in line or beside the frames.

Whoever asks says why, and says afterwards whether the answer was believed; both are counted for the report.
"""

import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from vgslam.errors import VgslamError
from vgslam.frontend.guide import Guide, VggtUse
from vgslam.types import WindowInput, WindowPrediction

A = TypeVar("A")


class Reason(StrEnum):
    """Why a network is asked."""

    START = "start"
    LOST = "lost"
    DEPTH = "depth"


@dataclass
class Count:
    """Questions of one kind."""

    asked: int = 0
    believed: int = 0
    """Answers that were used, as what the network had not seen agreed with them."""
    late: int = 0
    """Answers that came when they were of no use any more."""


@dataclass(frozen=True)
class Answer(Generic[A]):
    """An answer, and what it was asked about."""

    about: Hashable
    value: A


@dataclass
class Desk:
    """Passes questions on, one after another, and keeps count."""

    is_beside: bool = False
    """Whether questions are answered on a thread: an answer is there when somebody asks for the same reason again, and
    nobody waits. Otherwise they are answered in line, so that a run is determined by its frames."""
    notes: list[str] = field(default_factory=list)
    """A line for what the user of the poses should know."""
    counts: dict[Reason, Count] = field(default_factory=lambda: {reason: Count() for reason in Reason})
    cpu_s: float = 0.0
    """CPU seconds of opening and asking."""
    trouble: str | None = None
    """Why the network cannot be asked any more."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _one_caller: threading.Lock = field(default_factory=threading.Lock)
    _pool: ThreadPoolExecutor | None = None
    _pending: tuple[Reason, Hashable, "Future[Any]"] | None = None

    def go_beside(self) -> None:
        """Answer on a thread from now on."""
        self.is_beside = True

    def ask(self, reason: Reason, about: Hashable, work: Callable[[], A | None]) -> Answer[A] | None:
        """The answer of `work`, or, beside the frames, that of an earlier question for the same reason; None if there
        is none (yet). What `work` raises as a VgslamError is noted, and nothing is asked from then on."""
        if self.trouble is not None:
            return None
        if not self.is_beside:
            return self._in_line(reason, about, work)
        with self._lock:
            found: Answer[A] | None = self._taken(reason)
            if found is None and self._pending is None:
                self._pool = self._pool or ThreadPoolExecutor(1, "network")
                self.counts[reason].asked += 1
                self._pending = reason, about, self._pool.submit(self._timed, work, time.thread_time)
            return found

    def ask_now(self, reason: Reason, about: Hashable, work: Callable[[], A | None]) -> Answer[A] | None:
        """The same, answered in line in any case: for what is asked when the frames are through."""
        return None if self.trouble is not None else self._in_line(reason, about, work)

    def believe(self, reason: Reason) -> None:
        """An answer was used."""
        self.counts[reason].believed += 1

    def too_late(self, reason: Reason) -> None:
        """An answer came when it was of no use any more."""
        self.counts[reason].late += 1

    @contextmanager
    def asking_later(self) -> Iterator[bool]:
        """A block in which no question is passed on to the thread; it is told whether none is being answered there, so
        that the network may be changed. Whoever asks meanwhile waits."""
        with self._lock:
            yield self._pending is None or self._pending[2].done()

    @property
    def n_asked(self) -> int:
        return sum(count.asked for count in self.counts.values())

    def close(self) -> None:
        """Begin nothing more; whatever is being answered is forgotten."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _in_line(self, reason: Reason, about: Hashable, work: Callable[[], A | None]) -> Answer[A] | None:
        self.counts[reason].asked += 1
        value = self._timed(work, time.process_time)
        return None if value is None else Answer(about, value)

    def _taken(self, reason: Reason) -> Answer[Any] | None:
        """The answer that has come, if it is to a question for this reason; one to another is dropped."""
        if self._pending is None or not self._pending[2].done():
            return None
        asked, about, future = self._pending
        self._pending = None
        value = future.result()
        if value is None:
            return None
        if asked is reason:
            return Answer(about, value)
        self.too_late(asked)
        return None

    def _timed(self, work: Callable[[], A | None], clock: Callable[[], float]) -> A | None:
        began = clock()
        try:
            with self._one_caller:
                return work()
        except VgslamError as error:
            self.trouble = str(error)
            self.notes.append(f"the network could not be asked ({error}): the run went on without it")
            return None
        finally:
            self.cpu_s += clock() - began

    def report(self) -> dict[str, Any]:
        """For the report of a run: what was asked for which reason, and the same in a line for people."""
        counts = {str(reason): asdict(count) for reason, count in self.counts.items() if count.asked}
        return {
            "asked": counts, "n_asked": self.n_asked, "n_believed": sum(c.believed for c in self.counts.values()),
            "cpu_s": round(self.cpu_s, 3), "is_torch_loaded": "torch" in sys.modules, "trouble": self.trouble,
            "line": self.line(),
        }  # fmt: skip

    def line(self) -> str:
        """What became of the network, for people."""
        if not self.n_asked:
            return "network: not asked" + ("" if "torch" in sys.modules else ": torch was not loaded")
        why = ", ".join(f"{reason} {count.asked}" for reason, count in self.counts.items() if count.asked)
        n_believed = sum(count.believed for count in self.counts.values())
        return f"network: asked {self.n_asked} times ({why}), believed {n_believed} times; {self.cpu_s:.1f} CPU s"


class AskedGuide:
    """A guide behind a desk, opened when it is needed first. `use` says what for."""

    def __init__(self, open_guide: Callable[[], Guide], use: VggtUse, desk: Desk | None = None) -> None:
        self._open = open_guide
        self._guide: Guide | None = None
        self.use, self.desk = use, desk or Desk()

    @staticmethod
    def of(guide: "Guide | AskedGuide") -> "AskedGuide":
        """The guide itself, or one that was opened already with a desk of its own."""
        if isinstance(guide, AskedGuide):
            return guide
        return AskedGuide(lambda: guide, guide.use, Desk(notes=list(guide.notes)))

    @property
    def notes(self) -> list[str]:
        """What a user of its answers should know, a line each."""
        return self.desk.notes

    @property
    def guide(self) -> Guide:
        """The guide itself, opened."""
        if self._guide is None:
            self._guide = self._open()
        return self._guide

    def predict(self, reason: Reason, about: Hashable, window: WindowInput) -> Answer[WindowPrediction] | None:
        """Poses and depth of a window, or of an earlier one that was asked about for the same reason; see `Desk`."""
        return self.desk.ask(reason, about, lambda: self.guide.predict(window))

    def predict_now(self, reason: Reason, about: Hashable, window: WindowInput) -> WindowPrediction | None:
        """The same, in line in any case."""
        answer = self.desk.ask_now(reason, about, lambda: self.guide.predict(window))
        return None if answer is None else answer.value
