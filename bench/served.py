"""A sequence that is served as a stream on loopback, and `vgslam live` on it, each in a process of its own."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.stream_server import Protocol, address, wait_for_listener
from vgslam.atomic import write_text
from vgslam.errors import InputError
from vgslam.results.run_folder import camera_json
from vgslam.types import Camera

PATIENCE_S = 300.0
SAME_FRAME_S = 1e-4


@dataclass(frozen=True)
class Served:
    """What is served, and how."""

    sequence: Path
    protocol: Protocol = "mjpeg"
    rate_hz: float = 30.0
    ffmpeg: str = "ffmpeg"  # the ffmpeg program


def write_calibration(path: Path, camera: Camera) -> None:
    """The calibration of the images that are served, which are undistorted. Raises OutputError."""
    write_text(path, camera_json(camera.undistorted()))


@contextmanager
def server(served: Served, port: int, first: int = 0) -> Iterator["subprocess.Popen[str]"]:
    """A server that is ready; with all its children gone at the end."""
    words = ["--sequence", str(served.sequence), "--port", str(port), "--protocol", served.protocol,
             "--first", str(first), "--rate-hz", str(served.rate_hz), "--ffmpeg", served.ffmpeg]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.stream_server", *words], stdout=subprocess.PIPE, text=True,
        start_new_session=True, bufsize=1,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise InputError(f"the server of {served.protocol} did not start")
        yield process
    finally:
        kill_group(process)


@contextmanager
def live_run(
    served: Served, port: int, calib: Path, run_dir: Path, options: Sequence[str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """`vgslam live` with its results in run_dir, its words in run_dir.log and its poses on standard output; gone at
    the end."""
    command = [sys.executable, "-m", "vgslam", "live", address(served.protocol, port), "--calib", str(calib),
               "--out", str(run_dir), "--overwrite", "--poses", "-", *options]  # fmt: skip
    if served.protocol == "ffmpeg-mjpeg":
        wait_for_listener(port)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job; children inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with run_dir.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


class PoseLines(threading.Thread):
    """Reads the poses that `vgslam live --poses -` hands out."""

    def __init__(self, live: "subprocess.Popen[bytes]") -> None:
        super().__init__(daemon=True)
        self._live = live
        self._changed = threading.Condition()
        self._last_s, self._is_over, self._n_placed = -math.inf, False, 0
        self.start()

    def run(self) -> None:
        assert self._live.stdout is not None
        for line in self._live.stdout:
            said = json.loads(line)
            with self._changed:
                self._last_s = said["timestamp_s"]
                self._n_placed += said["status"] in ("TRACKED", "RELOCALIZED")
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    @property
    def n_placed(self) -> int:
        """Frames that had a pose so far."""
        with self._changed:
            return self._n_placed

    def await_time(self, timestamp_s: float | None) -> None:
        """Wait until the frame of that time, which is never dropped if it is the last one, has been worked on; None,
        for a stream with its own clock: a second. Raises InputError if it does not come."""
        if timestamp_s is None:
            time.sleep(1.0)
            return
        with self._changed:
            is_there = self._changed.wait_for(
                lambda: self._is_over or self._last_s > timestamp_s - SAME_FRAME_S, PATIENCE_S
            )
        if not is_there:
            raise InputError(f"the last frame has no line among the poses {PATIENCE_S:.0f} s after it was sent")


def kill_group(process: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def follow(server: "subprocess.Popen[str]", live: "subprocess.Popen[bytes]", until: int) -> int:
    """Read what the server says it has sent, until image `until` or its end; the number of images."""
    assert server.stdout is not None
    n = 0
    for line in server.stdout:
        n += 1
        if int(line.split()[0]) >= until - 1:
            break
        if live.poll() is not None:
            raise InputError("vgslam live ended before the stream; its log is beside its folder")
    return n


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
