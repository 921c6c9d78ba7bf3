"""The program: `vgslam`, or `python -m vgslam`."""

import gc
import os
import sys
import threading
from contextlib import suppress
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Any, NoReturn

GARBAGE_EVERY = 10_000
"""Objects after which Python looks for cycles among the newest. Its own 700 come about with every frame, and what is
large here, arrays, is in none."""


class _Standard(FileIO):
    """Standard output or error on a disk that may be full: what cannot be written is dropped, as a run must not end by
    a message. That nobody reads a pipe is told once."""

    why_lost = ""

    def write(self, data: Any) -> int:
        """The number of bytes, whether they were written or dropped. Raises BrokenPipeError the first time."""
        try:
            return super().write(data)
        except OSError as error:
            is_new, self.why_lost = not self.why_lost, error.strerror or str(error)
            if is_new and isinstance(error, BrokenPipeError):
                raise
            return memoryview(data).nbytes


def _kept(name: str) -> _Standard | None:
    """`sys.stdout` or `sys.stderr` put on a `_Standard`; names of files in it may hold what its encoding lacks. None
    where it is closed or no file."""
    stream = getattr(sys, name)
    if not isinstance(stream, TextIOWrapper):
        return None
    raw = _Standard(stream.fileno(), "wb", closefd=False)
    setattr(sys, name, TextIOWrapper(BufferedWriter(raw), stream.encoding, "backslashreplace", None,
                                     stream.line_buffering))  # fmt: skip
    return raw


def main() -> int:
    """Sets how libraries use threads before they are loaded, then runs the command line. One thread for linear algebra:
    the matrices are small, and threads that wait for each other cost more than they give. OpenCV's threads sleep where
    they wait for work."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    for who in ("WORKER", "MAIN"):  # rounds of waiting awake
        os.environ.setdefault(f"OPENCV_THREAD_POOL_ACTIVE_WAIT_{who}", "0")
    out, _ = _kept("stdout"), _kept("stderr")
    gc.set_threshold(GARBAGE_EVERY)
    from vgslam.cli import CLOSED_PIPE
    from vgslam.cli import main as run
    from vgslam.errors import OutputError
    from vgslam.guards.wording import say

    code = run()
    if out is not None:
        with suppress(BrokenPipeError):
            sys.stdout.flush()
    if out is not None and out.why_lost and code != CLOSED_PIPE:
        say(f"vgslam: standard output cannot be written ({out.why_lost}): what was said is not complete", is_error=True)
        code = code or OutputError.exit_code
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
