"""Frames read, decoded and prepared ahead of the main loop, on a thread of their own."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from vgslam.types import Frame, Image

MOST_FRAMES, MOST_BYTES = 3, 2**24  # frames, and bytes of their images, that wait at most; one may be larger
POLL_S = 0.2  # longest sleep of the main thread, which lets Ctrl-C through
PATIENCE_S = 2.0  # how long the end of a read that is under way is waited for; one that hangs is left to itself


@contextmanager
def read_ahead(frames: Iterable[Frame], prepare: Callable[[Image], None]) -> Iterator[Iterator[Frame]]:
    """The same frames in the same order; an error comes when those before it have been taken. prepare: is called with
    each image on the thread, and what it raises is left to whoever uses the image. Nothing is read any more after the
    block."""
    reader = _Reader(frames, prepare)
    reader.start()
    try:
        yield reader.taken()
    finally:
        reader.end()


class _Reader(threading.Thread):
    """One thread reads all, as some readers of files are bound to the thread that opened them."""

    def __init__(self, frames: Iterable[Frame], prepare: Callable[[Image], None]) -> None:
        super().__init__(name="vgslam-reading", daemon=True)
        self._frames, self._prepare = frames, prepare
        self._changed = threading.Condition()
        self._waiting: deque[Frame] = deque()
        self._error: BaseException | None = None
        self._has_read_all = self._is_ended = False

    def taken(self) -> Iterator[Frame]:
        """The frames, for the other thread."""
        while True:
            with self._changed:
                while not self._waiting and not self._has_read_all:
                    self._changed.wait(POLL_S)
                if not self._waiting:
                    break
                frame = self._waiting.popleft()
                self._changed.notify_all()
            yield frame
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """Read no more."""
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()
        self.join(PATIENCE_S)

    def run(self) -> None:
        try:
            self._read()
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._has_read_all = True
                self._changed.notify_all()

    def _read(self) -> None:
        frames = iter(self._frames)
        try:
            for frame in frames:
                with suppress(Exception):
                    self._prepare(frame.image)
                if not self._put(frame):
                    break
        finally:
            close = getattr(frames, "close", None)
            if close is not None:
                close()  # here, where it was begun

    def _put(self, frame: Frame) -> bool:
        """Hand a frame over once there is room; False when nobody wants it any more."""
        most = max(1, min(MOST_FRAMES, MOST_BYTES // max(1, frame.image.nbytes)))
        with self._changed:
            while len(self._waiting) >= most and not self._is_ended:
                self._changed.wait()
            self._waiting.append(frame)
            self._changed.notify_all()
            return not self._is_ended
