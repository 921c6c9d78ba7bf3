"""The work of a fleet on a Ray cluster: tasks (`work.do_task`) and calls. Nothing else of the program knows Ray."""

import os
import re
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TypeVar

from vgslam.byte_size import format_size
from vgslam.errors import ConfigError, InputError, MissingDependencyError, VgslamError
from vgslam.fleet.calls import in_one_line
from vgslam.fleet.task import Ending, Task, TaskLimits, TaskResult
from vgslam.fleet.work import do_task
from vgslam.guards.wording import first_line
from vgslam.session.stop_signals import Terminated

T = TypeVar("T")
IN_FLIGHT = 1000  # tasks that are handed to the cluster at a time: waiting for one costs time in proportion
NEW = "local"
"""Ray's word for a cluster that is begun for the time; without it Ray would look for one that runs already."""
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:]+\]|[\w.-]+):\d+")


class RayEngine:
    """Runs tasks on the cluster at an address (HOST:PORT), or on one of this machine that is begun for the time.
    n_jobs: CPUs of a cluster that is begun; None for all. Raises ConfigError for what is no address,
    MissingDependencyError where Ray is not installed."""

    def __init__(self, address: str | None, n_jobs: int | None = None) -> None:
        if address is not None and not _ADDRESS.fullmatch(address):
            raise ConfigError(f"--address {address}: give HOST:PORT of the cluster, as `ray start --head` says it")
        self._address, self._n_jobs, self.ray = address, n_jobs, _imported()

    def run(self, tasks: Sequence[Task]) -> Generator[TaskResult]:
        """The results as they come; closing it ends all tasks. InputError for a cluster that does not answer,
        ConfigError where no machine has the CPUs or memory."""
        if not tasks:
            return
        ray = self.ray
        with self.connected(tasks[0].limits):
            waiting, flying = list(reversed(tasks)), dict[Any, Task]()
            try:
                while waiting or flying:
                    while waiting and len(flying) < IN_FLIGHT:
                        task = waiting.pop()
                        flying[self._sent(task)] = task
                    ready, _ = ray.wait(list(flying), num_returns=1)
                    for ref in ready:
                        yield self._result(ref, flying.pop(ref))
            finally:
                for ref in flying:
                    with suppress(Exception):  # the cluster may have gone
                        ray.cancel(ref, force=True)

    def _sent(self, task: Task) -> Any:
        limits = task.limits
        remote = self.ray.remote(do_task).options(
            num_cpus=limits.cpus, memory=limits.memory_bytes, max_retries=limits.retries, name=task.name
        )
        return remote.remote(task.to_json())

    def _result(self, ref: Any, task: Task) -> TaskResult:
        try:
            return TaskResult.from_json(self.ray.get(ref))
        except Exception as error:  # Ray raises errors of many kinds: a machine or a worker was lost, memory, ...
            lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
            why = f"the cluster lost it ({type(error).__name__}: {lines[0][:200]})"
            return TaskResult(task.key, Ending.FAILED, why, attempts=task.limits.retries + 1)

    @contextmanager
    def connected(self, limits: TaskLimits) -> Iterator[None]:
        """The cluster for the time of a block. Raises as `run`."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        own = {"num_cpus": self._n_jobs, "include_dashboard": False} if self._address is None else {}
        at_sigterm = signal.getsignal(signal.SIGTERM)
        try:
            self.ray.init(address=self._address or NEW, log_to_driver=False, logging_level="error", **own)
        except Exception as error:
            where, why = self._address or "this machine", first_line(error)[:200]
            raise InputError(f"no Ray cluster answers at {where} ({why})") from error
        try:
            with _sigterm_given_back(at_sigterm):
                self._check(limits)
                yield
        finally:
            self.ray.shutdown()

    def _check(self, limits: TaskLimits) -> None:
        """Raises ConfigError where no machine could ever do a task: Ray would wait for one without a word."""
        nodes = [n["Resources"] for n in self.ray.nodes() if n["Alive"]]
        if not any(n.get("CPU", 0) >= limits.cpus and n.get("memory", 0) >= limits.memory_bytes for n in nodes):
            most = max((n.get("memory", 0) for n in nodes), default=0)
            raise ConfigError(
                f"no machine of the cluster has {limits.cpus:g} CPUs and {format_size(limits.memory_bytes)} for a "
                f"recording (most: {format_size(most)}); give less with --cpus and --memory (--piece-memory for pieces)"
            )


@contextmanager
def _sigterm_given_back(handler: Any) -> Iterator[None]:
    """SIGTERM with the handler that it had before Ray took it for good, to end the program with code 15. Where that
    raises while Ray waits, Ray makes a plain KeyboardInterrupt of it: within the block, Terminated again."""
    if handler is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    has_come = False

    def come(number: int, frame: FrameType | None) -> None:
        nonlocal has_come
        has_come = True
        handler(number, frame)

    signal.signal(signal.SIGTERM, come if callable(handler) else handler)
    try:
        yield
    except KeyboardInterrupt as stop:
        if has_come and not isinstance(stop, Terminated):
            raise Terminated from stop
        raise
    finally:
        signal.signal(signal.SIGTERM, handler)


class RayCalls:
    """Implements `Calls` on a Ray cluster; arguments as of `RayEngine`."""

    def __init__(self, address: str | None, n_jobs: int | None, limits: TaskLimits) -> None:
        self._engine, self._limits = RayEngine(address, n_jobs), limits

    def each(self, do: Callable[..., T], given: Sequence[tuple[Any, ...]]) -> Generator[tuple[int, T | VgslamError]]:
        """As in `Calls`; raises as `RayEngine.run`."""
        ray, limits = self._engine.ray, self._limits
        with self._engine.connected(limits):
            options = {"num_cpus": limits.cpus, "memory": limits.memory_bytes, "max_retries": limits.retries}
            remote = ray.remote(do).options(**options)
            left = {remote.remote(*arguments): i for i, arguments in enumerate(given)}
            while left:
                [ref], _ = ray.wait(list(left), num_returns=1)
                try:
                    answer: T | VgslamError = ray.get(ref)
                except Exception as error:
                    answer = in_one_line(getattr(error, "cause", None) or error)
                yield left.pop(ref), answer


def _imported() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError("--engine ray needs Ray: pip install 'vgslam[fleet]'") from error
    return ray
