"""Cost of relocalization (R13): arithmetic grows in proportion to the frames, for one query even less."""

import json
from pathlib import Path

import pytest
import torch
from reloc_cases import TINY

from bench.global_block_cost import CostCase, CostRow, Variant, cost_table, count_flops, log_slope, summarise
from bench.reloc_cost import BenchRelocCostArgs, run_bench_reloc_cost
from vgslam.errors import ConfigError, OutputError
from vgslam.network.config import VGGT_1B, VggtConfig
from vgslam_train.presets import VGGT_S

SIZES = (10, 20, 40, 80)


@pytest.mark.parametrize(
    ("config", "size", "dense_slope"), [(VGGT_S, (48, 64), 1.6), (VGGT_1B, (392, 518), 1.8)], ids=["vggt-s", "vggt-1b"]
)
def test_growth_with_the_frames(config: VggtConfig, size: tuple[int, int], dense_slope: float) -> None:
    case = CostCase(config, *size, torch.device("cpu"))
    found = {s.variant: s for s in summarise(cost_table(case, SIZES, is_timed=False))}
    assert found[Variant.DENSE].flops_slope > dense_slope
    assert found[Variant.STAR].flops_slope <= 1.2
    assert found[Variant.STAR].flops_ratio <= 0.25
    assert found[Variant.CACHED].flops_ratio <= 0.1
    assert found[Variant.DENSE].flops_ratio == 1
    assert found[Variant.STAR].time_ratio is None


def test_counts_by_hand() -> None:
    """Linear layers: 24 width^2 per token; attention: 4 width for each pair of tokens in the allowed cells."""
    size, n = (32, 40), 9
    tokens, width, depth = TINY.tokens_per_frame(*size), TINY.width, TINY.aggregator.depth
    linear = 24 * n * tokens * width**2
    for variant, cells in ((Variant.DENSE, n * n), (Variant.STAR, 5 * n - 6)):
        expected = depth * (linear + 4 * cells * tokens**2 * width)
        assert count_flops(TINY, size, n, variant) == expected
    expected = depth * (linear // n + 4 * n * tokens**2 * width)
    assert count_flops(TINY, size, n, Variant.CACHED) == expected


def test_summary() -> None:
    rows = []
    for v in Variant:
        last = 16 if v is Variant.DENSE else 8
        rows += [CostRow(v, n, flops, float(flops)) for n, flops in ((2, 4), (4, last))]
    dense, star, _ = summarise(rows)
    assert (dense.flops_slope, star.flops_slope) == (pytest.approx(2), pytest.approx(1))
    assert star.flops_ratio == star.time_ratio == 0.5
    assert log_slope([1, 10, 100], [5, 50, 500]) == pytest.approx(1)


def test_bench_writes_every_row(tmp_path: Path, capsys) -> None:
    args = BenchRelocCostArgs(sizes=(3, 6), device="cpu", precision="fp32", repeats=1, out=tmp_path / "bench")
    assert run_bench_reloc_cost(args) == 0
    data = json.loads((tmp_path / "bench" / "bench_reloc_cost.json").read_text())
    assert {(r["variant"], r["frames"]) for r in data["rows"]} == {(str(v), n) for v in Variant for n in (3, 6)}
    assert all(r["time_s"] > 0 and r["flops"] > 0 for r in data["rows"])
    assert {s["variant"] for s in data["summary"]} == set(Variant)
    text = (tmp_path / "bench" / "bench_reloc_cost.md").read_text()
    assert text.count("| star |") == 3
    assert "cached" in capsys.readouterr().out
    with pytest.raises(OutputError, match="--overwrite"):
        run_bench_reloc_cost(args)


def test_bench_counts_without_running(tmp_path: Path, capsys) -> None:
    args = BenchRelocCostArgs(sizes=(3, 6), model="vggt-1b", device="cpu", time=False, out=tmp_path)
    assert run_bench_reloc_cost(args) == 0
    assert "–" in capsys.readouterr().out


def test_bench_refuses_what_cannot_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two or more different"):
        run_bench_reloc_cost(BenchRelocCostArgs(sizes=(8, 8), out=tmp_path))
    with pytest.raises(ConfigError, match="multiples of 8"):
        run_bench_reloc_cost(BenchRelocCostArgs(width_px=63, out=tmp_path))
