"""`python -m bench.timed_run NOTES run ...`: vgslam, with its CPU time and memory noted after every frame.

The notes are written to the file NOTES (.npz) at the end: arrays with a number a frame, `cpu_s` (CPU seconds of all
threads until then), `resident_mib`, and `stage NAME` (CPU seconds of that stage of the system). Taken in the process
itself: a reader of its poses would need a thread there, which waits and makes it wait on a busy machine.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from vgslam.system import SlamSystem
from vgslam.types import Frame, PoseEstimate

MIB_PER_PAGE = os.sysconf("SC_PAGE_SIZE") / 2**20
STAGE = "stage "


class Notes:
    """What has been noted of the systems of this process."""

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []

    def begin(self) -> None:
        """Let every system note each of its frames from now on. Linux only."""
        process = SlamSystem.process

        def noted(system: SlamSystem, frame: Frame) -> PoseEstimate:
            estimate = process(system, frame)
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            stages = {STAGE + name: seconds for name, seconds in system.stage_cpu_s.items()}
            self._rows.append({"cpu_s": time.process_time(), "resident_mib": pages * MIB_PER_PAGE} | stages)
            return estimate

        setattr(SlamSystem, "process", noted)  # noqa: B010 (another function with the same name)

    def write(self, path: str) -> None:
        """Write them; a stage that has not run yet took 0 s."""
        names = dict.fromkeys(["cpu_s", "resident_mib", *(name for row in self._rows[-1:] for name in row)])
        columns: dict[str, Any] = {name: np.array([row.get(name, 0.0) for row in self._rows]) for name in names}
        np.savez(path, **columns)


def main() -> int:
    """Runs vgslam with the words after NOTES; returns its exit code."""
    from vgslam.cli import main as vgslam

    notes = Notes()
    notes.begin()
    try:
        return vgslam(sys.argv[2:])
    finally:
        notes.write(sys.argv[1])


if __name__ == "__main__":
    sys.exit(main())
