"""A worker ends when the process that started it was killed."""

import subprocess
import sys
from pathlib import Path

import pytest

WORKS_FOREVER = """
import multiprocessing, sys, time
from concurrent.futures import ProcessPoolExecutor
from vgslam.orphans import end_with_parent

def work():
    print("at work", flush=True)
    time.sleep(3600)

if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, multiprocessing.get_context(sys.argv[1]), end_with_parent)
    pool.submit(work).result()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no forkserver")
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_worker_does_not_outlive_a_killed_parent(method: str, tmp_path: Path) -> None:
    """All that hold the pipe have ended when it does."""
    script = tmp_path / "works_forever.py"
    script.write_text(WORKS_FOREVER)
    process = subprocess.Popen([sys.executable, str(script), method], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    process.kill()
    assert process.communicate(timeout=300)[0] == ""
