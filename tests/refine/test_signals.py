"""Loading the solver leaves signals to whom they belong."""

import subprocess
import sys

STATEMENT = """
import os, signal
signal.signal(signal.SIGTERM, lambda *_: print("handled", flush=True))
from vgslam.refine.ceres import _loaded
_loaded()
os.kill(os.getpid(), signal.SIGTERM)
print("alive", flush=True)
"""


def test_sigterm_still_reaches_who_asked_for_it() -> None:
    done = subprocess.run([sys.executable, "-c", STATEMENT], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["handled", "alive"]
    assert done.returncode == 0
