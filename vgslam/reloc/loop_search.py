"""The search for loops beside the tracking."""

import time
from collections.abc import Callable

from vgslam import beside
from vgslam.reloc.loops import Meeting


class LoopSearch:
    """Runs `find` (`LoopFinder.find`) for one keyframe at a time, on a second core if there is one.

    is_waited_for: `take` waits, so that what is found comes at the same keyframe however fast the machine is; nobody
    changes the map from `start` to `take` then. Else it belongs to a camera that does not wait: it looks at the newest
    keyframe when the search before has ended, so that those in between are left out where it cannot keep up, and reads
    the map while its newest keyframes are being adjusted, which moves them by far less than what loops are measured to;
    whoever moves the rest of the map does so between `take` and `start`. cpu_s: CPU seconds of
    the searches that have ended.
    """

    def __init__(self, find: Callable[[int], list[Meeting]], is_waited_for: bool) -> None:
        self._find, self._is_waited_for = find, is_waited_for
        self._worker = beside.Worker("vgslam-loops")
        self._search: beside.Job[list[Meeting]] | None = None
        self.cpu_s = 0.0

    @property
    def is_under_way(self) -> bool:
        """Whether a search was started whose results were not taken."""
        return self._search is not None

    @property
    def is_busy(self) -> bool:
        return self._search is not None and not self._search.is_done

    def take(self) -> list[Meeting]:
        """The results of the search; empty without one, and while one runs that is not waited for. An error in the
        search is raised here."""
        return [] if self.is_busy and not self._is_waited_for else self.wait()

    def start(self, k: int) -> None:
        """Look for loops at keyframe k, if the search before has ended; call `take` first."""
        if self._search is None:
            self._search = beside.Job(lambda: self._timed(k))
            if beside.is_allowed() or not self._is_waited_for:
                self._worker.put(self._search)

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
