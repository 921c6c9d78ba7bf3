"""The frames of a live source that wait for their turn: a few, so that a short stall loses none."""

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

Item = TypeVar("Item")
MOST_WAITING = 8
"""Frames that wait at most: a quarter of a second at 30 Hz, and 200 MB where a stream is decoded to 4K images."""
LONGEST_WAIT_S = 0.25
"""A reader that finds a frame to have waited longer is too slow, and goes on with the newest: a pose of now is worth
more."""
LOOK_S = 0.2
"""How often a reader that waits lets Ctrl-C through."""


class Drop(StrEnum):
    """Why a frame was never worked on."""

    OPENING = "opening"
    """The frame came while the camera and the map were made ready."""
    LATE = "late"
    """The frames before it took so long that it was no longer new."""
    FULL = "full"
    """More frames came at once than the queue holds."""


@dataclass(frozen=True)
class Waiting(Generic[Item]):
    """A frame in the queue, and when it came (monotonic, s)."""

    item: Item
    arrival_s: float


class FrameQueue(Generic[Item]):
    """Between one thread that puts frames in and one that takes them out. `dropped` counts by reason. keep_all: the
    writer waits while a frame waits, and none is dropped. `now`: the monotonic clock."""

    def __init__(self, keep_all: bool, now: Callable[[], float]) -> None:
        self._keep_all, self._now = keep_all, now
        self._changed = threading.Condition()
        self._waiting: deque[Waiting[Item]] = deque()
        self._is_opening = self._is_over = False
        self.n_put = 0
        self.dropped: Counter[Drop] = Counter()

    def put(self, item: Item, arrival_s: float) -> None:
        """Add the newest frame; one that finds the queue full takes the place of the oldest."""
        with self._changed:
            while self._keep_all and self._waiting and not self._is_over:
                self._changed.wait(LOOK_S)
            self.n_put += 1
            if len(self._waiting) >= MOST_WAITING:
                self._drop(1, Drop.FULL)
            self._waiting.append(Waiting(item, arrival_s))
            self._changed.notify_all()

    def take(self) -> Waiting[Item] | None:
        """The oldest frame, as soon as there is one, or the newest where that has waited too long; None at the end."""
        with self._changed:
            while not self._waiting and not self._is_over:
                self._changed.wait(LOOK_S)
            if not self._waiting:
                return None
            if not self._keep_all:
                self._skip()
            taken = self._waiting.popleft()
            self._changed.notify_all()
            return taken

    def give_back(self, taken: Waiting[Item]) -> None:
        """Put the first frame, taken to open the source, back to the front. Until the next `take` frames are kept as
        long as there is room, and those but the newest dropped then."""
        with self._changed:
            self._waiting.appendleft(taken)
            self._is_opening = True

    def end(self) -> None:
        """No more frames come: readers get those that wait, and then None."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _skip(self) -> None:
        if self._is_opening:
            self._is_opening = False
            self._drop(len(self._waiting) - 1, Drop.OPENING)
        elif self._now() - self._waiting[0].arrival_s > LONGEST_WAIT_S:
            self._drop(len(self._waiting) - 1, Drop.LATE)

    def _drop(self, n: int, why: Drop) -> None:
        for _ in range(n):
            self._waiting.popleft()
        if n:
            self.dropped[Drop.OPENING if self._is_opening else why] += n
