"""`python -m bench starts`: networks are compared at the same questions, and far-off starts are counted."""

from pathlib import Path

import pytest

from bench.adapt_starts import StartError
from bench.starts import BenchStartsArgs, Row, page, run_bench_starts
from vgslam.errors import ConfigError

GOOD, BAD = StartError(1.0, 10.0, 0.2, 0.1), StartError(3.0, 40.0, 0.8, 0.3)
ROWS = [
    Row("room", "walk", "plain", 1, "a", 6, {"0+1": GOOD, "0+2": BAD, "3+1": BAD}, 0.6),
    Row("room", "walk", "plain", 1, "b", 6, {"0+1": BAD}, 3.0),
    Row("street", "drive", "plain", 1, "a", 4, {}, 0.4),
    Row("street", "drive", "plain", 1, "b", 4, {"0+1": GOOD, "6+1": GOOD}, 2.0),
]


def test_sums_medians_and_what_all_believed_by_hand() -> None:
    lines = page({}, ROWS).splitlines()
    a, b = (next(x for x in lines if x.startswith(f"| {name} |")) for name in "ab")
    assert a.startswith("| a | 10 | 3 | 2 | 3.000 (1.000) | 40.000 (10.000) | 0.800 (0.200) | 0.300 (0.100) | 0.100 |")
    assert b.startswith("| b | 10 | 3 | 1 | 1.000 (3.000) | 10.000 (40.000) | 0.200 (0.800) | 0.100 (0.300) | 0.500 |")
    assert "| room | plain | 6 | 3 | 1 |" in lines
    assert "| street | plain | 4 | 0 | 2 |" in lines


def test_a_start_of_another_motion_in_the_same_world_is_another() -> None:
    loops = [
        Row("room", "loop", "plain", 1, "a", 6, {"3+1": BAD}, 0.6),
        Row("room", "loop", "plain", 1, "b", 6, {"3+1": BAD}, 0.6),
    ]
    a = next(x for x in page({}, [*ROWS[:2], *loops]).splitlines() if x.startswith("| a |"))
    assert "(2.000)" in a, "0+1 of the walk and 3+1 of the loop, which both believe"


def test_a_network_that_was_never_believed_has_no_errors() -> None:
    lines = page({}, ROWS[2:3]).splitlines()
    assert "| a | 4 | 0 | 0 | - (-) | - (-) | - (-) | - (-) | 0.100 |" in lines


@pytest.mark.parametrize("args", [BenchStartsArgs(weights=()), BenchStartsArgs(frames=3), BenchStartsArgs(every=0)])
def test_nothing_to_ask_is_refused(args: BenchStartsArgs, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        run_bench_starts(args)
