"""The program: `vgslam`, or `python -m vgslam`."""

import gc
import os
import sys
import threading
from contextlib import suppress
from io import TextIOWrapper
from typing import NoReturn

GARBAGE_EVERY = 10_000
"""Objects after which Python looks for cycles among the newest. Its own 700 come about with every frame, and what is
large here, arrays, is in none."""


def main() -> int:
    """Sets the number of threads before the libraries are loaded, then runs the command line. One thread for linear
    algebra: the matrices are small, and threads that wait for each other cost more than they give."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if isinstance(sys.stdout, TextIOWrapper):  # names of files may hold what the terminal's encoding does not have
        sys.stdout.reconfigure(errors="backslashreplace")
    gc.set_threshold(GARBAGE_EVERY)
    from vgslam.cli import main as run

    code = run()
    gc.freeze()  # or else Python goes through all objects twice more before it ends, which takes 0.4 s
    if any(thread.daemon for thread in threading.enumerate()):
        _leave(code)
    return code


def _leave(code: int) -> NoReturn:
    """Ends the process at once: a thread that waits inside ffmpeg for a stream would wake up in an interpreter that is
    being taken down, and crash it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any longer
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
