"""`python -m bench`: which measurements there are, and what is said of one that is not."""

import subprocess
import sys
from pathlib import Path

from waiting import HANG_S

from bench.cli import MEASUREMENTS

ROOT = Path(__file__).parents[2]


def test_every_measurement_is_listed(bench) -> None:
    code, out, _ = bench("--help")
    assert code == 0
    assert all(f"  {name} " in out for name in MEASUREMENTS)
    assert bench()[1] == out


def test_an_unknown_measurement_is_one_line(bench) -> None:
    code, _, err = bench("modle")
    assert code == 2
    assert "'modle'" in err
    assert "reloc-cost" in err
    assert err.count("\n") == 1


def test_it_runs_from_the_repository() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "worlds", "--seeds", "0"],
        cwd=ROOT, capture_output=True, text=True, timeout=HANG_S,
    )
    assert done.returncode == 2
    assert "must be positive" in done.stderr
