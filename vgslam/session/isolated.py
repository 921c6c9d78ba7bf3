"""Runs a command in its own process, so that its time can be measured, and ends the whole process group."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

POLL_S = 0.05
PATIENCE_S = 10.0  # time in which a process that is to end may write what it has
LONGEST_LINE = 400


@dataclass(frozen=True)
class ProcessOutcome:
    """How a process ended."""

    exit_code: int | None
    """None if it was ended after timeout_s."""
    cpu_s: float
    """User and system time of the process and of the children it waited for."""
    wall_s: float
    last_line: str
    peak_mib: float | None = None
    """Peak resident memory of the process or of a child that it waited for, the larger, in MiB; None if it was ended
    after timeout_s. It is at least that of the process which started it (the kernel counts the memory before exec)."""

    def failure(self) -> str | None:
        """One line when it did not succeed."""
        if self.exit_code == 0:
            return None
        if self.exit_code is None:
            return f"not finished after {self.wall_s:.0f} s"
        return f"exit code {self.exit_code}: {self.last_line}" if self.last_line else f"exit code {self.exit_code}"


def run_isolated(
    command: Sequence[str], log: Path, timeout_s: float, now: Callable[[], float] = time.monotonic
) -> ProcessOutcome:
    """Runs `command` in its own process group, output into `log`; ends the whole group on Ctrl-C, or after
    timeout_s by the clock `now`."""
    started = now()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            exit_code, usage = _wait(process, started + timeout_s, now)
        except BaseException:
            end_group(process)
            raise
    cpu_s = 0.0 if usage is None else usage.ru_utime + usage.ru_stime
    peak_mib = None if usage is None else usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return ProcessOutcome(exit_code, cpu_s, now() - started, last_line(log), peak_mib)


def _wait(
    process: "subprocess.Popen[bytes]", deadline: float, now: Callable[[], float]
) -> tuple[int | None, resource.struct_rusage | None]:  # fmt: skip
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)  # reaped here, not by Popen
            return process.returncode, usage
        if now() > deadline:
            end_group(process)
            return None, None
        time.sleep(POLL_S)


def end_group(process: "subprocess.Popen[bytes]", patience_s: float = PATIENCE_S) -> None:
    """Ends a process and whatever it has started: first so that it can write what it has, if there is time. SIGTERM, as
    SIGINT is ignored in a background job."""
    if process.returncode is None and patience_s > 0:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    with suppress(ProcessLookupError, PermissionError):  # the group outlives its first process while others are in it
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def last_line(log: Path) -> str:
    """The last line that a process has printed; empty if it has printed none."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:LONGEST_LINE] if lines else ""
