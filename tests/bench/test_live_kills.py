"""`python -m bench live-kills`: a killed run's map opens, and the table counts what it lost."""

import json
from pathlib import Path

from bench.live_kills import BenchLiveKillsArgs, Kill, markdown


def test_the_whole_of_it(demo_folder: Path, bench, tmp_path: Path) -> None:
    code, _, err = bench("live-kills", demo_folder, "--n", 2, "--rate-hz", 10, "--out", tmp_path / "b")
    assert code == 0, err
    first, second = json.loads((tmp_path / "b" / "live_kills.json").read_text())["kills"]
    assert first["failure"] == second["failure"] == ""
    assert first["n_before"] == 0
    assert second["n_before"] == first["n_saved"]
    assert second["n_saved"] >= second["n_before"]


def test_what_counts_as_kept() -> None:
    """A save is due after 20 keyframes, or a tenth of the map if that is more."""
    few, many = Kill(100, 70, 0, 50, 90), Kill(900, 300, 0, 269, 900)
    assert (few.n_lost, few.interval) == (20, 20)
    assert (many.n_lost, many.interval) == (31, 30)
    shrunk, broken = Kill(10, 60, 60, 59, 0), Kill(10, 5, 0, 0, 0, "damaged")
    page = markdown(BenchLiveKillsArgs(Path("walk"), n=4), [few, many, shrunk, broken])
    assert "3 of 4 maps open; 1 of 4 lost at most" in page
