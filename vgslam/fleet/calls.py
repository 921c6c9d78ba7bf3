"""Pure functions from text to text, called in other processes or on other machines."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Protocol

from vgslam.errors import VgslamError

Do = Callable[[str], str]
"""A function of a module, so that it can be named to another process."""


class Calls(Protocol):
    """Calls a function with many texts."""

    def each(self, do: Do, texts: Sequence[str]) -> Generator[tuple[int, str | VgslamError]]:
        """Index of each text and what came of it, in the order in which they come."""
        ...


class LocalCalls:
    """In processes of this machine; n_jobs side by side."""

    def __init__(self, n_jobs: int) -> None:
        self.n_jobs = n_jobs

    def each(self, do: Do, texts: Sequence[str]) -> Generator[tuple[int, str | VgslamError]]:
        """As in `Calls`. Where a process dies, what it was to do is tried once more, in one of its own."""
        left = list(range(len(texts)))
        with ProcessPoolExecutor(self.n_jobs, mp_context=get_context("spawn")) as pool:
            futures = {pool.submit(do, texts[i]): i for i in left}
            for done in as_completed(futures):
                error = done.exception()
                if not isinstance(error, BrokenProcessPool):
                    left.remove(futures[done])
                    yield futures[done], done.result() if error is None else in_one_line(error)
        for i in left:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                error = (future := pool.submit(do, texts[i])).exception()
                yield i, future.result() if error is None else in_one_line(error)


def in_one_line(error: BaseException) -> VgslamError:
    """An error of another process for people."""
    if isinstance(error, VgslamError):
        return error
    lines = str(error).strip().splitlines()
    return VgslamError(f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__)
