"""Packages of other people, installed for one test: into a folder of its own, which a child process is told of."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_with_plugins(words: list[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A program run in a folder, in whose `installed` are the packages that it finds, and that `pip install` there
    adds to. Fails the test where the program fails, with what it said."""
    installed = folder / "installed"
    bin_folder = Path(sys.executable).parent
    settings = {
        "PIP_TARGET": str(installed), "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1", "COLUMNS": "200",
        "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)]),
        "PATH": os.pathsep.join([str(bin_folder), os.environ["PATH"]]),
    }  # fmt: skip
    done = subprocess.run(
        words, cwd=folder, env=os.environ | settings | more, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done
