"""What is left to do when the frames are through: steps that fail one by one, each alone."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from vgslam.errors import OutputError, VgslamError
from vgslam.results.run_folder import FAILURES
from vgslam.session.outcome import Stop
from vgslam.session.stop_signals import StopSignals, exit_code

T = TypeVar("T")


class LateSteps:
    """The only place that decides what becomes of a failure after tracking: the step ends, it is noted in one line,
    and the steps after it are done.

    An error that nobody expected leaves its traceback in `failures.log` in the folder. Ctrl-C waits for a step that
    keeps results, ends one that can be left out, and has all others of those left out; a second one ends any step.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []
        """What failed, a line each."""
        self.notes: list[str] = []
        """What failed once and may be made good by a later try."""
        self._interrupt: Stop | None = None

    @contextmanager
    def keeping(self, name: str, signals: StopSignals | None = None) -> Iterator[None]:
        """A step that must be tried whatever came before; the first signal waits for its end."""
        try:
            with nullcontext() if signals is None else signals.held():
                yield
        except KeyboardInterrupt as error:
            reason = f"interrupted while the run was finished ({name})"
            self._interrupt = self._interrupt or Stop(reason, exit_code(error))
        except Exception as error:
            self.failed(name, error)

    def failed(self, name: str, error: Exception) -> None:
        """Notes the failure of a step."""
        self._note(self.lines, name, error)

    def extra(self, name: str, do: Callable[[], T]) -> T | None:
        """A step that can be left out: a signal ends it, and after one it is not begun. Returns what `do` returns, None
        where it did not come to its end."""
        if self._interrupt is not None:
            return None
        with self.keeping(name):
            return do()
        return None

    @contextmanager
    def tried(self, name: str) -> Iterator[None]:
        """A step that is done again later: a file that cannot be written now is a warning only."""
        try:
            yield
        except OutputError as error:
            self._note(self.notes, name, error)

    def stop(self, stop: Stop | None) -> Stop | None:
        """What stopped the run: `stop`, a signal, what failed, or all of them. A failure alone has the exit code of an
        OutputError."""
        found = stop or self._interrupt
        if not self.lines:
            return found
        reason = f"not everything could be written: {'; '.join(self.lines)}"
        if found is None:
            return Stop(reason, OutputError.exit_code)
        return replace(found, reason=f"{found.reason}; {reason}")

    def _note(self, lines: list[str], name: str, error: Exception) -> None:
        line = self._line(name, error)
        if line not in lines:
            lines.append(line)

    def _line(self, name: str, error: Exception) -> str:
        if isinstance(error, VgslamError):
            is_wrapped = isinstance(error, OutputError) and isinstance(error.__cause__, OutputError)
            return str(error.__cause__ if is_wrapped else error)
        return failure_line(self.folder, name, error)


def failure_line(folder: Path, name: str, error: Exception) -> str:
    """One line on an error that nobody expected; its traceback goes into failures.log in the folder, if that can be
    written."""
    is_logged = write_traceback(folder, name, error)
    return f"{name} failed ({in_one_line(error)}{f'; see {folder / FAILURES}' if is_logged else ''})"


def in_one_line(error: Exception) -> str:
    """Type and first line of an error that nobody expected."""
    words = str(error).strip().splitlines()
    return f"{type(error).__name__}: {words[0]}" if words else type(error).__name__


def write_traceback(folder: Path, name: str, error: Exception) -> bool:
    """Appends the traceback of a step to failures.log in the folder; whether that was possible."""
    text = f"{name}:\n{''.join(traceback.format_exception(error))}\n"
    with suppress(OSError), (folder / FAILURES).open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        return True
    return False
