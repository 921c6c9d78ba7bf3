"""Where the work of a fleet is done: in processes of this machine, or on a Ray cluster."""

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Literal, Protocol

from vgslam import beside, byte_size
from vgslam.errors import ConfigError
from vgslam.fleet.calls import Calls, LocalCalls
from vgslam.fleet.task import Task, TaskLimits, TaskResult
from vgslam.fleet.work import work_on


class Engine(Protocol):
    """Does tasks, in whatever order. Whatever becomes of a task is a result: none stops the others."""

    def run(self, tasks: Sequence[Task]) -> Generator[TaskResult]:
        """One result for each task, in the order in which they come. Closing it ends what is still running."""
        ...


@dataclass(frozen=True)
class Workplace:
    """What --engine, --address and --jobs say. Raises ConfigError where they contradict one another."""

    engine: Literal["local", "ray"] = "local"
    address: str | None = None  # HOST:PORT of a Ray cluster; None for one that is begun on this machine for the time
    n_jobs: int | None = None  # processes side by side on this machine; None for as many as it can bear

    def __post_init__(self) -> None:
        if self.n_jobs is not None and self.n_jobs < 1:
            raise ConfigError("--jobs must be at least 1")
        if self.address is not None and self.engine != "ray":
            raise ConfigError("--address is that of a Ray cluster: add --engine ray")


def open_engine(at: Workplace, limits: TaskLimits) -> Engine:
    """The engine for tasks with these limits. Raises MissingDependencyError without Ray, ConfigError for a wrong
    address."""
    if at.engine == "local":
        return LocalEngine(at.n_jobs or jobs_that_fit(limits))
    from vgslam.fleet.ray_engine import RayEngine

    return RayEngine(at.address, at.n_jobs)


def open_calls(at: Workplace, limits: TaskLimits) -> Calls:
    """As `open_engine`, for functions from text to text."""
    if at.engine == "local":
        return LocalCalls(at.n_jobs or beside.cores())
    from vgslam.fleet.ray_engine import RayCalls

    return RayCalls(at.address, at.n_jobs, limits)


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


def jobs_that_fit(limits: TaskLimits, cores: int | None = None, free_bytes: int | None = None) -> int:
    """Tasks for which this machine has the CPUs and the memory; at least one."""
    cores = beside.cores() if cores is None else cores
    free_bytes = byte_size.free_bytes() if free_bytes is None else free_bytes
    return max(1, min(int(cores / limits.cpus), (free_bytes or 0) // limits.memory_bytes))
