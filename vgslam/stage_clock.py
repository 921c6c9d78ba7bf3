"""CPU seconds by the stage of the work that they were spent on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class StageClock:
    """Adds up the CPU seconds of stages, those of the calling thread; `cpu_s` has them by name."""

    def __init__(self) -> None:
        self.cpu_s: dict[str, float] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Counts the block as part of the stage."""
        began = time.thread_time()
        try:
            yield
        finally:
            self.add(name, time.thread_time() - began)

    def add(self, name: str, cpu_s: float) -> None:
        """Time that was spent on the stage elsewhere."""
        self.cpu_s[name] = self.cpu_s.get(name, 0.0) + cpu_s
