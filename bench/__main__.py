"""`python -m bench NAME`: one of the project's own measurements."""

import os
import sys


def main() -> int:
    """Sets the number of threads before the libraries are loaded, as the program does, then runs the measurement."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from bench.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
