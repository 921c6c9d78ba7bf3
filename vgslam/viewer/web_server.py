"""The server of the web viewer: rerun's own program, which can be told to listen on this machine alone."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from pathlib import Path

from vgslam.errors import OutputError

LOOPBACK = "127.0.0.1"
GRPC_PORT, WEB_PORT = 9876, 9090  # rerun's usual ports: of the data, and of the page
START_S, POLL_S = 20.0, 0.05  # how long the program may take to listen, and how often it is asked

UNTIL_THE_PIPE_ENDS = '{ "$@"; kill -TERM 0; } & read -r line; kill -TERM 0'
"""A shell's words that run a program until it ends or standard input does: then its session ends too. A process that is
killed (-9) closes its pipes, so that no server is left to hold the ports."""


class WebServer:
    """Serves a page and takes data on two ports of 127.0.0.1, until the process ends. Others reach it through a tunnel.
    Raises OutputError when the program is not there or does not begin to listen."""

    def __init__(self, grpc_port: int = GRPC_PORT, web_port: int = WEB_PORT) -> None:
        self.uri = f"rerun+http://{LOOPBACK}:{grpc_port}/proxy"
        """Where the data goes."""
        self.page = f"http://{LOOPBACK}:{web_port}/?url=" + self.uri.replace("+", "%2B")
        """What a browser opens."""
        if any(_listens(port) for port in (grpc_port, web_port)):
            raise OutputError(f"no web viewer: port {grpc_port} or {web_port} is in use; is another viewer running?")
        command = ["sh", "-c", UNTIL_THE_PIPE_ENDS, "sh", rerun_beside() or "rerun", "--serve-web", "--bind", LOOPBACK]
        command += ["--port", str(grpc_port), "--web-viewer-port", str(web_port)]
        with tempfile.TemporaryFile() as said:
            try:
                self._program = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=said, stderr=said, start_new_session=True
                )
            except OSError as error:
                raise OutputError(f"no web viewer: rerun's program cannot be started ({error.strerror})") from error
            weakref.finalize(self, _end, self._program)
            until = time.monotonic() + START_S
            while not all(_listens(port) for port in (grpc_port, web_port)):
                if self._program.poll() is not None or time.monotonic() > until:
                    _end(self._program)
                    said.seek(0)
                    last = said.read().decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
                    raise OutputError(f"no web viewer: rerun's program does not listen ({last[0]})")
                time.sleep(POLL_S)


def rerun_beside() -> str | None:
    """rerun's program beside Python's: a virtual environment need not be on the PATH. None where it is not there."""
    beside = Path(sys.executable).parent / "rerun"
    return str(beside) if beside.is_file() else None


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1.0):
        return True
    return False


def _end(program: "subprocess.Popen[bytes]") -> None:
    """Ends the program and those that it has started: the command may be a script around it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(2.0)
