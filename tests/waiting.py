"""Waiting for other threads and processes: for an event, never for a time."""

import time
from collections.abc import Callable
from typing import Any

from vgslam.beside import ThreadLane

HANG_S = 300.0
"""What takes so long has hung. No test is about this time, on however busy a machine."""


def until(is_so: Callable[[], object]) -> None:
    """Returns as soon as another thread or process has brought it about."""
    end_s = time.monotonic() + HANG_S
    while not is_so():
        assert time.monotonic() < end_s, "it did not come to that"
        time.sleep(0.005)


class WaitedForLane(ThreadLane[Any]):
    """A thread that has always ended its job when somebody looks."""

    @property
    def is_done(self) -> bool:
        until(lambda: not self.is_busy or self._outcome is not None)
        return super().is_done
