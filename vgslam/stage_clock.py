"""CPU seconds by the stage of the work that they were spent on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class StageClock:
    """Adds up the CPU seconds of stages; `cpu_s` has them by name.

    is_shared: other threads work beside the stages, so only the calling thread's time is counted.
    """

    def __init__(self, is_shared: bool) -> None:
        self._now = time.thread_time if is_shared else time.process_time
        self.cpu_s: dict[str, float] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Counts the block as part of the stage."""
        began = self._now()
        try:
            yield
        finally:
            self.add(name, self._now() - began)

    def add(self, name: str, cpu_s: float) -> None:
        """Time that was spent on the stage elsewhere."""
        self.cpu_s[name] = self.cpu_s.get(name, 0.0) + cpu_s
