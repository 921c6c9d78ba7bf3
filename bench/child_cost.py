"""The cost of a run of vgslam in a process of its own, over its course. Linux only."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.timed_run import STAGE
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
    stage_at_s: dict[str, Array] = field(default_factory=dict)
    """(N,) for each stage of the system: its CPU seconds when it had worked on the frame."""

    @property
    def frames_cpu_s(self) -> float:
        """CPU seconds from the first frame to the last."""
        return float(self.cpu_at_s[-1] - self.cpu_at_s[0])

    def ms_per_frame(self, begin: int, end: int) -> float:
        """CPU milliseconds a frame of frames `begin` to `end` (exclusive), all between the frames included."""
        return self._ms(self.cpu_at_s, begin, end)

    def _ms(self, seconds_at: Array, begin: int, end: int) -> float:
        last = min(end, len(seconds_at)) - 1
        return float(1000.0 * (seconds_at[last] - seconds_at[begin]) / max(last - begin, 1))

    def table(self, step: int) -> list[dict[str, Any]]:
        """Cost of every `step` frames, what is left at the end included: begin, end, cpu_ms a frame, resident_mib,
        stages (ms a frame of each)."""
        n, rows = len(self.cpu_at_s), []
        for begin in range(0, n - 1, step):
            end = min(begin + step, n)
            stages = {name: round(self._ms(at, begin, end), 2) for name, at in self.stage_at_s.items()}
            cost = {"cpu_ms": round(self.ms_per_frame(begin, end), 2), "stages": stages}
            memory = {"resident_mib": round(float(self.resident_mib[end - 1]), 1)}
            rows.append({"begin": begin, "end": end} | cost | memory)
        return rows


def run_measured(words: Sequence[str], log: Path) -> CostRecord:
    """Run `vgslam` with some words; what it says goes to `log`. Raises InputError if it fails or works on fewer than
    two frames."""
    began_s, notes = time.monotonic(), log.with_suffix(".npz")
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
    wall_s = time.monotonic() - began_s
    noted = _read(notes)
    n = len(noted.get("cpu_s", ()))
    if process.returncode != 0 or n < 2:
        raise InputError(f"vgslam ended with exit code {process.returncode} after {n} frames; see {log}")
    stages = {name.removeprefix(STAGE): x for name, x in noted.items() if name.startswith(STAGE)}
    cpu_s, peak_mib = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    return CostRecord(noted["cpu_s"], noted["resident_mib"], cpu_s, peak_mib, wall_s, stages)


def _read(notes: Path) -> dict[str, Array]:
    """The notes of `bench.timed_run`, whose file is removed; empty without one."""
    if not notes.exists():
        return {}
    with np.load(notes) as data:
        noted = {name: data[name] for name in data.files}
    notes.unlink()
    return noted
