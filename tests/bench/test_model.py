"""`python -m bench model`: a row for every stage of every case, in the table and in the JSON."""

import json
from pathlib import Path

import pytest

SMALL = ("--width-px", 56, "--height-px", 42, "--repeats", 1, "--device", "cpu")


def test_rows_and_their_provenance(bench, tmp_path: Path) -> None:
    out = tmp_path / "bench"
    code, printed, _ = bench("model", "--sizes", 2, 6, "--precision", "fp32", "bf16", "--out", out, *SMALL)
    assert code == 0
    data = json.loads((out / "bench_model.json").read_text())
    rows = data["rows"]
    cases = {(r["precision"], r["mask"], r["frames"], r["stage"]) for r in rows}
    assert len(rows) == len(cases) == 2 * 2 * 2 * 3
    assert {r["stage"] for r in rows} == {"aggregator", "pose", "depth"}
    assert data["machine"]["cores"] >= 1
    assert data["command"].startswith("python -m bench")
    assert {"commit", "version", "config", "n_parameters"} <= set(data)
    assert all(r["time_s"] > 0 and r["peak_bytes"] > 0 and r["flops"] > 0 for r in rows)
    flops = {(r["mask"], r["frames"]): r["flops"] for r in rows if r["stage"] == "aggregator"}
    assert flops["star", 2] == flops["dense", 2]
    assert flops["star", 6] < flops["dense", 6]
    weights = {r["precision"]: r["peak_bytes"] for r in rows if (r["stage"], r["frames"]) == ("pose", 2)}
    assert weights["bfloat16"] < weights["float32"]
    assert "aggregator" in printed
    assert "random weights" in printed
    assert data["process_peak_bytes"] is None or data["process_peak_bytes"] > data["rows"][0]["peak_bytes"]


def test_the_record_holds_every_row_and_how_to_make_it_again(bench, tmp_path: Path) -> None:
    out = tmp_path / "bench"
    code, _, _ = bench(
        "model", "--sizes", 2, "--masks", "dense", "--out", out, "--no-warm-up", "--threads", 1, *SMALL
    )
    assert code == 0
    data = json.loads((out / "bench_model.json").read_text())
    record = (out / "bench_model.md").read_text()
    lines = [line for line in record.splitlines() if line.startswith("| cpu")]
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    assert [c[3] for c in cells] == ["aggregator", "depth", "pose", "all"]
    assert float(cells[3][9]) == pytest.approx(sum(r["flops"] for r in data["rows"]) / 1e9, abs=0.01)
    assert data["threads"] == 1
    assert f"Command: `{data['command']}`" in record
    assert data["aggregator_memory"] == []


def test_memory_at_more_frames_than_measured(bench, tmp_path: Path) -> None:
    """The line goes through the measured points; what is counted grows evenly once a chunk is full."""
    words = ("--masks", "dense", "--repeats", 1, "--device", "cpu", "--width-px", 448, "--height-px", 336)
    code, printed, _ = bench(
        "model", "--sizes", 2, 4, "--memory-at", 4, 12, "--chunk-tokens", 800, "--out", tmp_path / "b", *words
    )
    assert code == 0
    data = json.loads((tmp_path / "b" / "bench_model.json").read_text())
    points = {p["frames"]: p for p in data["aggregator_memory"]}
    assert list(points) == [2, 4, 12]
    counted = [points[n]["counted_bytes"] for n in (2, 4, 12)]
    assert (counted[2] - counted[1]) / 8 == pytest.approx((counted[1] - counted[0]) / 2, rel=0.02)
    assert points[12]["measured_bytes"] is None
    assert points[12]["original_bytes"] is None, "another network than the original's"
    assert "line" in printed
    if points[2]["measured_bytes"] is not None:
        two, four = (points[n]["measured_bytes"] for n in (2, 4))
        assert points[12]["extrapolated_bytes"] == pytest.approx(four + 4 * (four - two), rel=1e-6)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--sizes", 0), 2, "at least 1"),
        (("--width-px", 57), 2, "multiples of 14"),
        (("--device", "cpu", "--precision", "fp16"), 2, "fp16"),
        (("--full", "--sizes", 100000), 2, "are free"),
        (("--repeats", 0), 2, "--repeats"),
        (("--threads", 0), 2, "--threads"),
        (("--memory-at", 0), 2, "--memory-at"),
    ],
)
def test_what_cannot_work_is_one_line(words, code: int, says: str, bench, tmp_path: Path) -> None:
    found, _, err = bench("model", "--out", tmp_path / "b", *words)
    assert found == code
    assert says in err
    assert len(err.strip().splitlines()) == 1


def test_earlier_results_are_kept(bench, tmp_path: Path) -> None:
    (tmp_path / "bench_model.json").write_text("{}")
    code, _, err = bench("model", "--sizes", 2, "--out", tmp_path, *SMALL)
    assert code == 3
    assert "--overwrite" in err
    assert (tmp_path / "bench_model.json").read_text() == "{}"


def test_any_backbone_is_measured_through_its_protocol(bench, tmp_path: Path) -> None:
    out = tmp_path / "bench"
    code, printed, _ = bench("model", "--network", "da3-small", "--sizes", 1, 2, "--out", out, *SMALL)
    assert code == 0
    data = json.loads((out / "bench_model.json").read_text())
    rows = {(r["frames"], r["stage"]): r for r in data["rows"]}
    assert set(rows) == {(n, stage) for n in (1, 2) for stage in ("encode", "decode")}
    assert {(r["height_px"], r["width_px"]) for r in rows.values()} == {(42, 56)}
    # one view: patches, local and global blocks of 13 tokens
    c, t, patches = 384, 13, 12
    expected = 1176 * c * patches + 12 * (24 * c**2 * t + 4 * t**2 * c)
    assert rows[1, "encode"]["flops"] == expected
    assert data["n_parameters"] == 33_358_315  # without the rays' branch
    assert "random weights" in printed
