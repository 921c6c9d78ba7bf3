"""A process beside the program for what is pure Python, which threads cannot share: scores and plots.

It loads their libraries while the map is finished, and works on them while the results are saved. Whatever goes wrong
there is done again here, so that an error is the same with and without it.
"""

import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from vgslam.beside import Job, Worker

T = TypeVar("T")


class SecondProcess:
    """Does one thing after another, once `start` was called; before, and after `close`, all is done by the caller.
    Leaving a `with` block closes it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False
        self._turn, self._worker = threading.Lock(), Worker("vgslam-second-process")

    def __enter__(self) -> "SecondProcess":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def start(self, first: Sequence[Callable[[], None]] = ()) -> None:
        """Begin the process, out of reach of the terminal's Ctrl-C; it does `first` before all else, if it can."""
        with suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        for do in first:
            self._worker.put(Job(partial(self._asked, do)))

    def begin(self, do: Callable[[], T]) -> Job[T]:
        """Begin something that can be pickled, as what it returns can."""
        if self._process is None:
            return Job(do)
        job = Job(partial(self._done, do))
        self._worker.put(job)
        return job

    def close(self) -> None:
        """End the process, whatever it does. Safe to call twice."""
        self._is_closed = True
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _done(self, do: Callable[[], T]) -> T:
        is_done, result = self._asked(do)
        if not is_done and self._is_closed:
            raise RuntimeError("nobody waits for this any more")
        return result if is_done else do()

    def _asked(self, do: Callable[[], Any]) -> tuple[bool, Any]:
        """Whether the process did it, and what it returned."""
        with self._turn:
            process = self._process
            if process is None or process.stdin is None or process.stdout is None:
                return False, None
            try:
                pickle.dump(do, process.stdin, pickle.HIGHEST_PROTOCOL)
                process.stdin.flush()
                answer: tuple[bool, Any] = pickle.load(process.stdout)
            except (OSError, EOFError, ValueError, TypeError, AttributeError, pickle.PickleError):
                return False, None
            return answer


def _serve() -> None:
    """What the process does: reads functions, writes what they return, until nobody asks any more."""
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    while True:
        try:
            do = pickle.load(asked)
        except EOFError:
            return
        try:
            answer = pickle.dumps((True, do()), pickle.HIGHEST_PROTOCOL)
        except Exception:
            answer = pickle.dumps((False, None))
        answers.write(answer)
        answers.flush()


if __name__ == "__main__":
    _serve()
