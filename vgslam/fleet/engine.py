"""Where tasks are done, chosen by name."""

from collections.abc import Generator, Sequence
from typing import Protocol

from vgslam.errors import ConfigError
from vgslam.fleet.local_engine import LocalEngine, jobs_that_fit
from vgslam.fleet.task import Limits, Task, TaskResult

LOCAL, RAY = "local", "ray"


class Engine(Protocol):
    """Does tasks, in whatever order. Whatever becomes of a task is a result: none stops the others."""

    def run(self, tasks: Sequence[Task]) -> Generator[TaskResult]:
        """One result for each task, in the order in which they come. Closing it ends what is still running."""
        ...


def open_engine(name: str, address: str | None, n_jobs: int | None, limits: Limits) -> Engine:
    """The engine of a name. Raises ConfigError for an unknown one, MissingDependencyError where Ray is not installed,
    InputError for a cluster that does not answer."""
    if name == LOCAL:
        return LocalEngine(n_jobs or jobs_that_fit(limits))
    if name == RAY:
        from vgslam.fleet.ray_engine import RayEngine

        return RayEngine(address, n_jobs)
    raise ConfigError(f"no engine '{name}'; there are {LOCAL}, {RAY}")
