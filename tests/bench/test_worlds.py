"""`python -m bench worlds`: a rate for every world of every kind, and what cannot be measured."""

import json
from pathlib import Path

import pytest

FEW = ("--seeds", 2, "--frames", 2, "--size", 32, 24, "--repeats", 1, "--device", "cpu")


def test_every_kind_and_seed_has_a_rate(bench, tmp_path: Path) -> None:
    out = tmp_path / "bench"
    code, printed, _ = bench("worlds", *FEW, "--out", out)
    assert code == 0
    data = json.loads((out / "worlds.json").read_text())
    assert set(data["frames_per_s"]) == {"room", "corridor", "clutter", "street", "hills"}
    assert all(len(rates) == 2 and min(rates) > 0 for rates in data["frames_per_s"].values())
    page = (out / "worlds.md").read_text()
    assert data["command"] in page
    assert "32 x 24" in page
    assert all(row in page for row in printed.splitlines() if row.startswith("|"))


@pytest.mark.parametrize("words", [("--seeds", 0), ("--size", 0, 24), ("--repeats", -1)])
def test_nothing_to_measure(words: tuple[object, ...], bench, tmp_path: Path) -> None:
    code, _, err = bench("worlds", *FEW, *words, "--out", tmp_path / "bench")
    assert code == 2
    assert "must be positive" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "bench").exists()
