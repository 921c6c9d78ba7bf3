"""`--poses`: where the poses go."""

import io
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path

from vgslam.errors import ConfigError
from vgslam.poses_out.ros2 import Ros2Sink
from vgslam.poses_out.sink import PoseSink
from vgslam.poses_out.sockets import SocketSink, listen_tcp, listen_unix
from vgslam.poses_out.stream import StreamSink, Writable

STDOUT = "-"


def open_sink(target: str) -> PoseSink:
    """`-`: lines on standard output; tcp:HOST:PORT or unix:PATH: lines to whoever connects; ros2: or ros2:/NAME.

    Raises ConfigError for another word, OutputError where nothing can listen, MissingDependencyError without rclpy.
    """
    kind, _, rest = target.partition(":")
    if target == STDOUT:
        return StreamSink(_stdout())
    if kind == "tcp":
        host, _, port = rest.rpartition(":")
        if not port.isdigit() or not host or int(port) > 65535:
            raise ConfigError(f"--poses {target}: expected tcp:HOST:PORT, as in tcp:127.0.0.1:5555")
        return SocketSink(listen_tcp(host.strip("[]"), int(port)))
    if kind == "unix" and rest:
        return SocketSink(listen_unix(Path(rest)))
    if kind == "ros2":
        return Ros2Sink(rest or "/vgslam")
    raise ConfigError(f"--poses {target}: expected -, tcp:HOST:PORT, unix:PATH or ros2:/NAME")


@contextmanager
def opened_sinks(targets: Iterable[str]) -> Iterator[list[PoseSink]]:
    """All sinks, closed at the end. While standard output belongs to poses, everything else that is printed goes to
    standard error. Errors as `open_sink`."""
    targets = tuple(dict.fromkeys(targets))
    with ExitStack() as stack:
        sinks = []
        for target in targets:
            sink = open_sink(target)
            stack.callback(sink.close)
            sinks.append(sink)
        if STDOUT in targets:
            stack.enter_context(redirect_stdout(sys.stderr))
        yield sinks


def _stdout() -> Writable:
    """Standard output without a buffer, so that no lock is held while a reader is slow."""
    sys.stdout.flush()
    try:
        return open(sys.stdout.fileno(), "wb", buffering=0, closefd=False)
    except (io.UnsupportedOperation, AttributeError):  # replaced by something that is no file
        return sys.stdout.buffer
