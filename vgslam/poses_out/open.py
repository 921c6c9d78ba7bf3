"""`--poses`: where the poses go."""

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path

from vgslam.errors import ConfigError
from vgslam.interfaces import PoseSink
from vgslam.plugins import Registry
from vgslam.poses_out.ros2 import Ros2Options, Ros2Sink
from vgslam.poses_out.sockets import SocketSink, listen_tcp, listen_unix
from vgslam.poses_out.stream import StreamSink, Writable

STDOUT = "-"


def open_sink(target: str) -> PoseSink:
    """`-`: lines on standard output; tcp:HOST:PORT or unix:PATH: lines to whoever connects; ros2: or ros2:/NAME; or
    NAME:... for what another package has added to POSE_SINKS. Raises ConfigError for another word, OutputError if
    nothing can listen, MissingDependencyError without rclpy, PluginError for a sink of another package that cannot be
    used."""
    check_target(target)
    kind, _, rest = target.partition(":")
    return POSE_SINKS.checked(kind, POSE_SINKS.get(kind)(rest), PoseSink)


def check_target(target: str) -> None:
    """Raises ConfigError for an unknown kind and options of ros2 that are not understood; opens nothing."""
    kind, _, rest = target.partition(":")
    if kind not in POSE_SINKS.own and kind not in POSE_SINKS.plugged_in():
        forms = ["-", "tcp:HOST:PORT", "unix:PATH", "ros2:/NAME", *(f"{name}:..." for name in POSE_SINKS.plugged_in())]
        raise ConfigError(f"--poses {target}: expected one of {', '.join(forms)}")
    if kind == "ros2":
        Ros2Options.parse(rest)


def _open_stdout(rest: str) -> PoseSink:
    if rest:
        raise ConfigError(f"--poses -:{rest}: expected - alone, for lines on standard output")
    return StreamSink(_stdout())


def _open_tcp(rest: str) -> PoseSink:
    host, _, port = rest.rpartition(":")
    if not port.isdigit() or not host or int(port) > 65535:
        raise ConfigError(f"--poses tcp:{rest}: expected tcp:HOST:PORT, as in tcp:127.0.0.1:5555")
    return SocketSink(listen_tcp(host.strip("[]"), int(port)))


def _open_unix(rest: str) -> PoseSink:
    if not rest:
        raise ConfigError("--poses unix: expected unix:PATH, as in unix:/tmp/poses")
    return SocketSink(listen_unix(Path(rest)))


POSE_SINKS: Registry[Callable[[str], PoseSink]] = Registry(
    "vgslam.pose_sinks", "pose sink",
    {STDOUT: _open_stdout, "tcp": _open_tcp, "unix": _open_unix,
     "ros2": lambda rest: Ros2Sink(Ros2Options.parse(rest))}, takes=("REST",),
)  # fmt: skip
"""How `--poses NAME:REST` opens its sink: each entry takes REST, '' if there is none, and returns a `PoseSink`."""


@contextmanager
def opened_sinks(targets: Iterable[str]) -> Iterator[list[PoseSink]]:
    """All sinks; those still in the list are closed at the end. While standard output belongs to poses, everything else
    that is printed goes to standard error. Errors as `open_sink`."""
    targets = tuple(dict.fromkeys(targets))
    with ExitStack() as stack:
        sinks: list[PoseSink] = []
        for target in targets:
            sink = open_sink(target)
            stack.callback(_close, sink, sinks)
            sinks.append(sink)
        if STDOUT in targets:
            stack.enter_context(redirect_stdout(sys.stderr))
        yield sinks


def _close(sink: PoseSink, still_open: list[PoseSink]) -> None:
    if sink in still_open:
        sink.close()


def _stdout() -> Writable:
    """Standard output without a buffer, so that no lock is held while a reader is slow."""
    sys.stdout.flush()
    try:
        return open(sys.stdout.fileno(), "wb", buffering=0, closefd=False)
    except (io.UnsupportedOperation, AttributeError):  # replaced by something that is no file
        return sys.stdout.buffer
