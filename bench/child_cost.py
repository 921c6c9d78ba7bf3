"""The cost of a run of vgslam in a process of its own, over its course. Linux only."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vgslam.errors import InputError
from vgslam.types import Array


@dataclass(frozen=True)
class CostRecord:
    """A run over N frames."""

    cpu_at_s: Array
    """(N,): CPU seconds of all its threads when it had worked on the frame."""
    resident_mib: Array
    """(N,): memory held then."""
    cpu_s: float
    """CPU seconds in all, its children's included."""
    peak_mib: float
    """The most memory that it held."""
    wall_s: float

    @property
    def frames_cpu_s(self) -> float:
        """CPU seconds from the first frame to the last."""
        return float(self.cpu_at_s[-1] - self.cpu_at_s[0])

    def ms_per_frame(self, begin: int, end: int) -> float:
        """CPU milliseconds a frame of frames `begin` to `end` (exclusive), all between the frames included."""
        last = min(end, len(self.cpu_at_s)) - 1
        return float(1000.0 * (self.cpu_at_s[last] - self.cpu_at_s[begin]) / max(last - begin, 1))

    def table(self, step: int) -> list[dict[str, float]]:
        """Cost of every `step` frames, what is left at the end included: begin, end, cpu_ms a frame, resident_mib."""
        n, rows = len(self.cpu_at_s), []
        for begin in range(0, n - 1, step):
            end = min(begin + step, n)
            cost = {"cpu_ms": round(self.ms_per_frame(begin, end), 2)}
            memory = {"resident_mib": round(float(self.resident_mib[end - 1]), 1)}
            rows.append({"begin": begin, "end": end} | cost | memory)
        return rows


def run_measured(words: Sequence[str], log: Path) -> CostRecord:
    """Run `vgslam` with some words; what it says goes to `log`. Raises InputError if it fails or works on fewer than
    two frames."""
    began_s, notes = time.monotonic(), log.with_suffix(".npy")
    notes.unlink(missing_ok=True)
    command = [sys.executable, "-m", "bench.timed_run", str(notes), *words]
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
        try:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
    rows = np.load(notes) if notes.exists() else np.zeros((0, 2))
    notes.unlink(missing_ok=True)
    if process.returncode != 0 or len(rows) < 2:
        raise InputError(f"vgslam ended with exit code {process.returncode} after {len(rows)} frames; see {log}")
    wall_s = time.monotonic() - began_s
    return CostRecord(rows[:, 0], rows[:, 1], usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, wall_s)
