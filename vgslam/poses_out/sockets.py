"""Poses as lines to any number of readers of a TCP or Unix socket; readers come and go as they like."""

import contextlib
import errno
import logging
import os
import selectors
import socket
import stat
import threading
import time
from collections import deque
from pathlib import Path

from vgslam.errors import OutputError
from vgslam.poses_out.frame_pose import FramePose

MAX_PENDING_BYTES = 512 * 1024
"""Most bytes that wait for one slow reader; further lines are left out for that reader until it has caught up."""
SEND_BUFFER_BYTES = 64 * 1024
"""The system's send buffer for each reader. It is small because what lies there is old when a slow reader gets it."""
MOST_READERS = 32  # readers at a time; whoever connects beyond them is disconnected at once
MOST_HEARD_BYTES = 64 * 1024  # bytes that a reader may send, which nobody looks at; one that sends more is disconnected
PAUSE_S = 0.5  # how long no connections are accepted after that has failed, as without a free file descriptor
CLOSING_S = 1.0
NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_LOG = logging.getLogger(__name__)


def listen_tcp(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one. Raises OutputError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"tcp:{host}:{port}: cannot listen there ({reason}); choose another port") from error


def listen_unix(path: Path) -> socket.socket:
    """A listening Unix socket; a socket that nobody serves any more is replaced. Raises OutputError."""
    if "\0" in str(path):  # the system would end the name there
        raise OutputError(f"unix:{path}: cannot listen there (the path holds a zero); choose another path")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _is_served(path):
            path.unlink()
        server.bind(str(path))
        server.listen()
    except (OSError, ValueError) as error:
        server.close()
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"unix:{path}: cannot listen there ({reason}); choose another path") from error
    return server


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Device and number of the file at a path, None where there is none."""
    try:
        about = None if path is None else os.lstat(path)
    except OSError:
        return None
    return None if about is None else (about.st_dev, about.st_ino)


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(str(path)) == 0


class SocketSink:
    """A PoseSink that listens. Each reader gets whole lines from when it connects; a slow one misses lines without
    affecting the others."""

    def __init__(self, listener: socket.socket, max_pending_bytes: int = MAX_PENDING_BYTES) -> None:
        """Takes over the listening socket."""
        self.n_dropped = 0
        """Lines that a reader missed, all readers together."""
        self.n_readers = 0
        """Readers that are connected now."""
        self.failure: str | None = None
        """Why nothing is sent any more, None while all is well. It is logged as an error at once, and the readers are
        disconnected."""
        self._listener, self._max_pending = listener, max_pending_bytes
        self._lines: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._pending: dict[socket.socket, bytearray] = {}
        self._heard: dict[socket.socket, int] = {}
        self._listens_again_s: float | None = None
        self._closes_at_s: float | None = None
        listener.setblocking(False)
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector = selectors.DefaultSelector()
        for s in (listener, self._wake_out):
            self._selector.register(s, selectors.EVENT_READ)
        address = listener.getsockname()
        self._path = Path(address) if listener.family == socket.AF_UNIX else None
        self._identity = _identity(self._path)
        self.where = f"poses: unix:{address}" if self._path else f"poses: tcp:{address[0]}:{address[1]}"
        self._thread = threading.Thread(target=self._serve, name="poses", daemon=True)
        self._thread.start()

    def send(self, pose: FramePose) -> None:
        """Queue the line of a pose for all connected readers."""
        with self._lock:
            if self.failure is not None:
                self.n_dropped += 1
                return
            if self._closes_at_s is not None:
                return
            self._lines.append(pose.to_json().encode() + b"\n")
        self._wake()

    def close(self) -> None:
        """Give the readers a moment for what is left, then close the connections."""
        with self._lock:
            if self._closes_at_s is None:
                self._closes_at_s = time.monotonic() + CLOSING_S
        self._wake()
        self._thread.join(2 * CLOSING_S)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it is awake already; closed: it has ended
            self._wake_in.send(b"x")

    def _serve(self) -> None:
        """The thread: the only one that touches the readers."""
        try:
            while not self._is_done():
                self._serve_once()
        except Exception as error:
            self._fail(error)
        finally:
            self._hang_up()

    def _serve_once(self) -> None:
        """Wait for events, and handle all. A reader dropped on the way may have another in the batch, which does not
        count."""
        if self._listens_again_s is not None and time.monotonic() >= self._listens_again_s:
            self._listens_again_s = None
            self._selector.register(self._listener, selectors.EVENT_READ)
        for key, events in self._selector.select(0.2):
            peer = key.fileobj
            assert isinstance(peer, socket.socket)
            if peer is self._listener:
                self._accept()
            elif peer is self._wake_out:
                with contextlib.suppress(BlockingIOError):
                    peer.recv(4096)
                self._distribute()
            elif peer in self._pending:
                self._serve_reader(peer, events)

    def _fail(self, error: Exception) -> None:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        with self._lock:
            self.failure = f"{self.where.removeprefix('poses: ')}: no more poses are sent there ({reason})"
            self.n_dropped += len(self._lines)
            self._lines.clear()
        _LOG.error(self.failure, exc_info=error)

    def _hang_up(self) -> None:
        """Close everything, whatever the state of the selector."""
        self._selector.close()
        for s in (*self._pending, self._listener, self._wake_in, self._wake_out):
            s.close()
        self._pending.clear()
        self.n_readers = 0
        if self._path is not None and _identity(self._path) == self._identity:
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _is_done(self) -> bool:
        with self._lock:
            closes_at_s, is_empty = self._closes_at_s, not self._lines
        if closes_at_s is None:
            return False
        return (is_empty and not any(self._pending.values())) or time.monotonic() > closes_at_s

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError as error:  # it has gone again, or there is no room for it
            if error.errno in NO_ROOM:
                self._selector.unregister(self._listener)
                self._listens_again_s = time.monotonic() + PAUSE_S
            return
        if len(self._pending) >= MOST_READERS:
            peer.close()
            return
        try:
            peer.setblocking(False)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            self._selector.register(peer, selectors.EVENT_READ)
        except OSError:
            peer.close()
            return
        self._pending[peer], self._heard[peer] = bytearray(), 0
        self.n_readers = len(self._pending)

    def _distribute(self) -> None:
        with self._lock:
            lines, self._lines = self._lines, deque()
        for peer, pending in list(self._pending.items()):
            for line in lines:
                if len(pending) + len(line) > self._max_pending:
                    self.n_dropped += 1
                else:
                    pending += line
            self._push(peer)

    def _serve_reader(self, peer: socket.socket, events: int) -> None:
        if events & selectors.EVENT_READ:  # what readers send is ignored; only their hanging up matters
            try:
                n = len(peer.recv(4096))
                self._heard[peer] += n
                has_gone = not n or self._heard[peer] > MOST_HEARD_BYTES
            except BlockingIOError:
                has_gone = False
            except OSError:
                has_gone = True
            if has_gone:
                self._drop(peer)
                return
        self._push(peer)

    def _push(self, peer: socket.socket) -> None:
        pending = self._pending[peer]
        try:
            if pending:
                del pending[: peer.send(pending)]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(peer)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if pending else 0)
        self._selector.modify(peer, wanted)

    def _drop(self, peer: socket.socket) -> None:
        self._selector.unregister(peer)
        del self._pending[peer], self._heard[peer]
        peer.close()
        self.n_readers = len(self._pending)
