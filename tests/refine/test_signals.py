"""Loading the solver leaves signals to whom they belong."""

import subprocess
import sys

from waiting import HANG_S

STATEMENT = """
import os, signal
signal.signal(signal.SIGTERM, lambda *_: print("handled", flush=True))
from vgslam.refine.ceres import load_pycolmap
load_pycolmap()
os.kill(os.getpid(), signal.SIGTERM)
print("alive", flush=True)
"""


def test_sigterm_still_reaches_who_asked_for_it() -> None:
    done = subprocess.run([sys.executable, "-c", STATEMENT], capture_output=True, text=True, timeout=HANG_S)
    assert done.stdout.split() == ["handled", "alive"]
    assert done.returncode == 0


def test_the_solver_says_nothing_of_steps_that_it_tried() -> None:
    load = "from vgslam.refine.ceres import load_pycolmap; log = load_pycolmap().logging"
    words = f'{load}; log.warning("a step"); log.error("an end")'
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=HANG_S)
    assert "a step" not in done.stderr
    assert "an end" in done.stderr
