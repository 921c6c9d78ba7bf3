"""Ctrl-C and SIGTERM during a run."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends services and background jobs."""


def exit_code(stop: KeyboardInterrupt) -> int:
    """Exit code of a program that the signal ends: 128 plus the signal's number, as in shells."""
    return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)


def came_of_interrupt(error: BaseException) -> bool:
    """Whether Ctrl-C is what made a library fail that was just being loaded: an ImportError with that behind it."""
    cause: BaseException | None = error if isinstance(error, ImportError) else None
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


class StopSignals:
    """Within the `with` block Ctrl-C raises KeyboardInterrupt in the main thread, and SIGTERM Terminated. The first one
    of all waits for the end of a `held` block that it comes in; those after it do not, but within `anew`.

    A signal that is ignored stays ignored (a background job of a script ignores SIGINT), one that other code handles is
    left to that. Does nothing off the main thread. first: the first signal that came, None before.
    """

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        self._is_held = self._is_anew = False
        self._due: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
            for sign, handler in usual.items():
                if signal.getsignal(sign) == handler:
                    self._before[sign] = signal.signal(sign, self._came)
        return self

    def __exit__(self, *_: object) -> None:
        for sign, handler in self._before.items():
            signal.signal(sign, handler)
        self._before.clear()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within the block, a first signal waits until its end; a second one does not."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held, due, self._due = False, self._due, None
        if due is not None:
            self._raise(due)

    @contextmanager
    def anew(self) -> Iterator[None]:
        """Within `held`, for work that asks `is_due` and ends soon: one signal waits, though another came before."""
        self._is_anew = True
        try:
            yield
        finally:
            self._is_anew = False

    @property
    def name(self) -> str | None:
        """What the first signal is called, `Ctrl-C` or `SIGTERM`; None before it."""
        return {None: None, signal.SIGTERM: "SIGTERM"}.get(self.first, "Ctrl-C")

    @property
    def is_due(self) -> bool:
        """Whether a signal waits for the end of `held`."""
        return self._due is not None

    def describe(self) -> str:
        """What stopped the run, in words."""
        return f"interrupted ({self.name})"

    def _came(self, number: int, frame: FrameType | None) -> None:
        is_first, sign = self.first is None, signal.Signals(number)
        self.first = self.first or sign
        if self._is_held and self._due is None and (is_first or self._is_anew):
            self._due = sign
            return
        self._raise(sign)

    def _raise(self, sign: signal.Signals) -> None:
        raise Terminated if sign is signal.SIGTERM else KeyboardInterrupt
