"""Pure functions called many times, in other processes or on other machines, which pickle what goes there and back."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, Protocol, TypeVar

from vgslam.errors import VgslamError
from vgslam.orphans import end_with_parent

T = TypeVar("T")


class Calls(Protocol):
    """Calls a function of a module, so that it can be named to another process."""

    def each(self, do: Callable[..., T], given: Sequence[tuple[Any, ...]]) -> Generator[tuple[int, T | VgslamError]]:
        """Index of each call, with the arguments `given[index]`, and what came of it, in the order in which they
        come."""
        ...


class LocalCalls:
    """In processes of this machine; n_jobs side by side."""

    def __init__(self, n_jobs: int) -> None:
        self.n_jobs = n_jobs

    def each(self, do: Callable[..., T], given: Sequence[tuple[Any, ...]]) -> Generator[tuple[int, T | VgslamError]]:
        """As in `Calls`. Where a process dies, what it was to do is tried once more, in one of its own."""
        left = list(range(len(given)))
        with ProcessPoolExecutor(self.n_jobs, get_context("spawn"), end_with_parent) as pool:
            futures = {pool.submit(do, *given[i]): i for i in left}
            for done in as_completed(futures):
                error = done.exception()
                if not isinstance(error, BrokenProcessPool):
                    left.remove(futures[done])
                    yield futures[done], done.result() if error is None else in_one_line(error)
        for i in left:
            with ProcessPoolExecutor(1, get_context("spawn"), end_with_parent) as pool:
                error = (future := pool.submit(do, *given[i])).exception()
                yield i, future.result() if error is None else in_one_line(error)


def in_one_line(error: BaseException) -> VgslamError:
    """An error of another process for people."""
    if isinstance(error, VgslamError):
        return error
    lines = str(error).strip().splitlines()
    return VgslamError(f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__)
