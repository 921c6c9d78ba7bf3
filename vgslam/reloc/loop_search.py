"""The search for loops beside the tracking, for a camera that does not wait."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from vgslam.reloc.loops import Meeting


class LoopSearch:
    """Runs `find` (`LoopFinder.find`) on its own thread, for one keyframe at a time: the newest when the search
    before has ended, so that those in between are left out where it cannot keep up.

    The thread reads the map while its newest keyframes are being adjusted, which moves them by far less than what loops
    are measured to; whoever moves the rest of the map does so between `take` and `start`. cpu_s: CPU seconds of the
    searches that have ended.
    """

    def __init__(self, find: Callable[[int], list[Meeting]]) -> None:
        self._find = find
        self._pool = ThreadPoolExecutor(1, "vgslam-loops")
        self._search: Future[list[Meeting]] | None = None
        self.cpu_s = 0.0

    @property
    def is_busy(self) -> bool:
        return self._search is not None and not self._search.done()

    def take(self) -> list[Meeting]:
        """The results of the search that has ended; empty while one runs. An error in the search is raised here."""
        return [] if self.is_busy else self.wait()

    def start(self, k: int) -> None:
        """Look for loops at keyframe k, if the search before has ended; call `take` first."""
        if self._search is None:
            self._search = self._pool.submit(self._timed, k)

    def wait(self) -> list[Meeting]:
        """The results of the running search, once it has ended; empty without one."""
        search, self._search = self._search, None
        return search.result() if search is not None else []

    def _timed(self, k: int) -> list[Meeting]:
        began = time.thread_time()
        try:
            return self._find(k)
        finally:
            self.cpu_s += time.thread_time() - began
