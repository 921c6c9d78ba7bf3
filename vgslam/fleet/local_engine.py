"""Tasks on this machine: as many processes side by side as its CPUs and its memory allow."""

import os
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from vgslam import beside
from vgslam.fleet.task import Limits, Task, TaskResult
from vgslam.fleet.work import work_on


class LocalEngine:
    """Runs tasks side by side. n_jobs: how many; work: does one task."""

    def __init__(self, n_jobs: int, work: Callable[[Task, threading.Event], TaskResult] = work_on) -> None:
        self.n_jobs, self._work = n_jobs, work

    def run(self, tasks: Sequence[Task]) -> Generator[TaskResult]:
        """The results, in the order in which they come. Closing it ends all of them."""
        stop = threading.Event()
        pool = ThreadPoolExecutor(max_workers=self.n_jobs)
        try:
            for done in as_completed([pool.submit(self._work, task, stop) for task in tasks]):
                yield done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # first, or else a free thread would begin another
            stop.set()
            pool.shutdown(wait=True)


def jobs_that_fit(limits: Limits, cores: int | None = None, free_bytes: int | None = None) -> int:
    """Tasks for which this machine has the CPUs and the memory; at least one."""
    cores = beside.cores() if cores is None else cores
    free_bytes = _free_bytes() if free_bytes is None else free_bytes
    return max(1, min(int(cores / limits.cpus), free_bytes // limits.memory_bytes))


def _free_bytes() -> int:
    """Memory that programs can still have; without /proc all there is."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 2**10
    except OSError:
        pass
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
