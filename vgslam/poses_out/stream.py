"""Poses as lines into an open file, such as standard output, written by a thread that may wait for its reader."""

import threading
from collections import deque
from typing import Protocol

from vgslam.poses_out.frame_pose import FramePose

MAX_WAITING = 600  # lines that wait for a slow reader; then the oldest are left out
CLOSING_S = 2.0


class Writable(Protocol):
    def write(self, data: bytes, /) -> int | None: ...

    def flush(self) -> object: ...


class StreamSink:
    """A PoseSink over a binary stream, which it does not close. A reader that has gone ends the writing, not the run.
    max_waiting: lines kept for a slow reader."""

    where = ""

    def __init__(self, stream: Writable, max_waiting: int = MAX_WAITING) -> None:
        self.failure: str | None = None
        self.n_dropped = 0
        self._stream = stream
        self._lines: deque[bytes] = deque()
        self._max_waiting = max_waiting
        self._changed = threading.Condition()
        self._is_closing = self._is_gone = False
        self._thread = threading.Thread(target=self._write_all, name="poses", daemon=True)
        self._thread.start()

    def send(self, pose: FramePose) -> None:
        """Queue the line of a pose."""
        line = pose.to_json().encode() + b"\n"
        with self._changed:
            if self._is_gone or self._is_closing:
                self.n_dropped += 1
                return
            if len(self._lines) >= self._max_waiting:
                self._lines.popleft()
                self.n_dropped += 1
            self._lines.append(line)
            self._changed.notify()

    def close(self) -> None:
        """Give the reader a moment for what is left."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(CLOSING_S)

    def _write_all(self) -> None:
        while True:
            with self._changed:
                while not self._lines and not self._is_closing:
                    self._changed.wait()
                if not self._lines:
                    return
                line = self._lines.popleft()
            try:
                self._write(line)
            except (OSError, ValueError) as error:  # the reader has gone, the stream is closed, or its disk is full
                if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
                    self.failure = f"no more lines can be written ({error.strerror or error})"
                with self._changed:
                    self.n_dropped += 1 + len(self._lines)
                    self._lines.clear()
                    self._is_gone = True
                return

    def _write(self, line: bytes) -> None:
        """All of it: an unbuffered file may take a part."""
        rest = memoryview(line)
        while rest:
            rest = rest[self._stream.write(bytes(rest)) or 0 :]
        self._stream.flush()
