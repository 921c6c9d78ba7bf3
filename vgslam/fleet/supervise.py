"""One process for one recording, watched: its memory, how far it has come, how long it takes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from vgslam.byte_size import format_size
from vgslam.fleet.task import TaskLimits
from vgslam.session.isolated import end_group, last_line

POLL_S = 0.1
PATIENCE_S = 5.0  # time in which a process that is to end may write what it has
PROGRESS = "progress"  # the file in which a process says how many seconds of its recording it has come through
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""One thread for linear algebra, on whatever node: their number can change the last digits of results."""


class CutShort(StrEnum):
    """Why a process was ended from outside."""

    MEMORY = "memory"
    TIME = "time"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Watched:
    """How a process ended."""

    exit_code: int  # negative for a signal, as in `subprocess`
    cut: CutShort | None  # none if it ended by itself
    wall_s: float
    peak_bytes: int
    last_line: str

    def failure(self, limits: TaskLimits) -> str:
        """One line on what went wrong; empty where nothing did."""
        if self.cut is CutShort.MEMORY:
            most = format_size(limits.memory_bytes)
            return f"took more memory than {most} (--memory, for pieces --piece-memory) and was ended"
        if self.cut is CutShort.TIME:
            return f"not finished after {self.wall_s:.0f} s (--timeout-factor, --timeout-least) and was ended"
        if self.cut is CutShort.STOPPED:
            return "interrupted"
        if self.exit_code == 0:
            return ""
        if self.exit_code < 0:
            return f"its process died ({_signal_name(-self.exit_code)}); {self.last_line}".rstrip("; ")
        return self.last_line or f"exit code {self.exit_code}"


def watch(
    words: Sequence[str], folder: Path, limits: TaskLimits, stop: threading.Event | None = None,
    now: Callable[[], float] = time.monotonic,
) -> Watched:  # fmt: skip
    """Runs the Python interpreter with `words` in a process group until it ends or has to be ended. folder: where its
    log and PROGRESS are. stop: ends it from another thread. now: clock of the time-out. Raises OSError."""
    env = dict(os.environ) | dict.fromkeys(THREADS, "1")
    log, began_s = folder / "log", now()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *words], stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True, env=env,
        )  # fmt: skip
    cut, peak = None, 0
    try:
        while process.poll() is None and cut is None:
            used = memory_of(process.pid)
            peak = max(peak, used)
            if used > limits.memory_bytes:
                cut = CutShort.MEMORY
            elif now() - began_s > limits.allowed_s(_seen_s(folder / PROGRESS)):
                cut = CutShort.TIME
            elif stop is not None and stop.is_set():
                cut = CutShort.STOPPED
            else:
                _wait_a_little(process)
    finally:
        end_group(process, 0.0 if cut is CutShort.MEMORY else PATIENCE_S)
    line = last_line(log).removeprefix("vgslam: ")
    return Watched(process.returncode, cut, now() - began_s, peak, line)


def _wait_a_little(process: "subprocess.Popen[bytes]") -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(POLL_S)


def memory_of(pid: int) -> int:
    """Resident memory of a process and of those that it has started, in bytes; 0 where the system does not say."""
    total, left = 0, [pid]
    while left:
        folder = Path(f"/proc/{left.pop()}")
        with suppress(OSError, ValueError, IndexError):
            pages = int((folder / "statm").read_text().split()[1])
            total += pages * os.sysconf("SC_PAGE_SIZE")
            for children in (folder / "task").glob("*/children"):
                left += map(int, children.read_text().split())
    return total


def _seen_s(file: Path) -> float:
    """Seconds of the recording that the process has come through; 0 while it has said nothing."""
    try:
        return float(file.read_text())
    except (OSError, ValueError):
        return 0.0


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def end_with_parent(parent: int) -> None:
    """Lets this process be killed when its parent dies, and first when the machine has no memory left. Linux alone."""
    if sys.platform != "linux":
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:  # it died before that
        os._exit(1)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
