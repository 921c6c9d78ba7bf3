"""`python -m bench adapt-runs`: a row for every run, means of each mode, and failures that are told."""

import json
from pathlib import Path

import pytest

FEW = ("--modes", "off", "sync", "--runs", 1, "--run-options=--max-frames 20 --device cpu")


def test_rows_of_both_modes_and_their_means(demo_folder: Path, bench, tmp_path: Path) -> None:
    out = tmp_path / "bench"
    code, printed, _ = bench("adapt-runs", demo_folder, *FEW, "--out", out)
    assert code == 0
    rows = json.loads((out / "adapt_runs.json").read_text())["rows"]
    assert [(r["number"], r["mode"]) for r in rows] == [(0, "off"), (0, "sync")]
    assert all(r["coverage"] == 1.0 and 0 < r["ate_m"] < 1 for r in rows)
    assert all(0 < r["latency_p50_ms"] <= r["latency_p95_ms"] for r in rows)
    lines = [line for line in printed.splitlines() if line.startswith(f"| {demo_folder.name} |")]
    assert len(lines) == 4
    assert "| 1.00 |" in lines[0]
    assert printed.splitlines()[0] in (out / "adapt_runs.md").read_text()


def test_a_run_that_fails_is_told(demo_folder: Path, bench, tmp_path: Path) -> None:
    words = ("--modes", "off", "--runs", 1, "--run-options=--weights no-such-weights")
    code, printed, err = bench("adapt-runs", demo_folder, *words, "--out", tmp_path / "bench")
    assert code == 1
    assert "no-such-weights" in printed
    assert "exit code" in err


@pytest.mark.parametrize(("words", "told"), [(("--runs", 0), "--runs"), (("--modes",), "mode")])
def test_nothing_to_run(words: tuple[object, ...], told: str, demo_folder: Path, bench, tmp_path: Path) -> None:
    code, _, err = bench("adapt-runs", demo_folder, *FEW, *words, "--out", tmp_path / "bench")
    assert code == 2
    assert told in err


def test_results_are_not_overwritten(demo_folder: Path, bench, tmp_path: Path) -> None:
    (tmp_path / "adapt_runs.json").write_text("{}")
    code, _, err = bench("adapt-runs", demo_folder, *FEW, "--out", tmp_path)
    assert code == 3
    assert "--overwrite" in err
