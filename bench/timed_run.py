"""`python -m bench.timed_run NOTES run ...`: vgslam, with its CPU time and memory noted after every frame.

The notes, a row (CPU seconds of all threads, MiB held) a frame, are written to the file NOTES at the end. Taken in the
process itself: a reader of its poses would need a thread there, which waits and makes it wait on a busy machine.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

from vgslam.system import SlamSystem
from vgslam.types import Frame, PoseEstimate

MIB_PER_PAGE = os.sysconf("SC_PAGE_SIZE") / 2**20


def noting(rows: list[tuple[float, float]]) -> None:
    """Let every system of this process add a row to `rows` after each frame. Linux only."""
    process = SlamSystem.process

    def noted(self: SlamSystem, frame: Frame) -> PoseEstimate:
        estimate = process(self, frame)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        rows.append((time.process_time(), pages * MIB_PER_PAGE))
        return estimate

    SlamSystem.process = noted  # type: ignore[method-assign]


def main() -> int:
    """Runs vgslam with the words after NOTES; returns its exit code."""
    from vgslam.cli import main as vgslam

    rows: list[tuple[float, float]] = []
    noting(rows)
    try:
        return vgslam(sys.argv[2:])
    finally:
        np.save(sys.argv[1], np.array(rows, np.float64).reshape(-1, 2))


if __name__ == "__main__":
    sys.exit(main())
