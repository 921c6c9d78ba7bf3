"""The program: `vgslam`, or `python -m vgslam`."""

import os
import sys


def main() -> int:
    """Sets the number of threads before the libraries are loaded, then runs the command line.

    One thread for linear algebra: the matrices are small, and threads that wait for each other cost more than they
    give.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from vgslam.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
