"""Where the work of a fleet is done: in processes of this machine, or on a Ray cluster."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from vgslam import beside
from vgslam.errors import ConfigError
from vgslam.fleet.calls import Calls, LocalCalls
from vgslam.fleet.local_engine import LocalEngine, jobs_that_fit
from vgslam.fleet.task import Limits, Task, TaskResult


class Engine(Protocol):
    """Does tasks, in whatever order. Whatever becomes of a task is a result: none stops the others."""

    def run(self, tasks: Sequence[Task]) -> Generator[TaskResult]:
        """One result for each task, in the order in which they come. Closing it ends what is still running."""
        ...


@dataclass(frozen=True)
class Workplace:
    """What --engine, --address and --jobs say. Raises ConfigError where they contradict one another."""

    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    """HOST:PORT of a Ray cluster; None for one that is begun on this machine for the time."""
    n_jobs: int | None = None
    """Processes side by side on this machine; None for as many as it can bear."""

    def __post_init__(self) -> None:
        if self.n_jobs is not None and self.n_jobs < 1:
            raise ConfigError("--jobs must be at least 1")
        if self.address is not None and self.engine != "ray":
            raise ConfigError("--address is that of a Ray cluster: add --engine ray")


def open_engine(at: Workplace, limits: Limits) -> Engine:
    """The engine for tasks with these limits. Raises MissingDependencyError without Ray, ConfigError for a wrong
    address."""
    if at.engine == "local":
        return LocalEngine(at.n_jobs or jobs_that_fit(limits))
    from vgslam.fleet.ray_engine import RayEngine

    return RayEngine(at.address, at.n_jobs)


def open_calls(at: Workplace, limits: Limits) -> Calls:
    """As `open_engine`, for functions from text to text."""
    if at.engine == "local":
        return LocalCalls(at.n_jobs or beside.cores())
    from vgslam.fleet.ray_engine import RayCalls

    return RayCalls(at.address, at.n_jobs, limits)
