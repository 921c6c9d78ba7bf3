"""The figures of the README's table are those of the committed measurement."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = {
    "KITTI 00": "kitti00_f000-199", "7-Scenes redkitchen": "7scenes_redkitchen_seq01",
    "EuRoC V1_01": "euroc_V101_kf100", "TUM fr1 rpy": "tum_fr1_rpy_f000-149",
}  # fmt: skip


def summaries() -> dict[str, dict[str, dict[str, float]]]:
    runs = json.loads((ROOT / "docs" / "bench" / "accuracy.json").read_text())["runs"]
    return {s["name"]: s["summary"] for run in runs for s in run["sequences"]}


def cells_of(name: str) -> list[str]:
    row = next(line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| {name}"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def number(cell: str) -> float:
    return float(re.match(r"[\d.]+", cell)[0])  # type: ignore[index]


@pytest.mark.parametrize(("name", "sequence"), NAMES.items())
def test_the_table_of_the_readme_is_the_measured_one(name: str, sequence: str) -> None:
    measured = summaries()[sequence]
    _, median, worst, coverage, cpu_ms, memory = cells_of(name)
    assert number(median) == pytest.approx(measured["ate_m"]["median"], rel=0.05)
    assert number(worst) == pytest.approx(measured["ate_m"]["worst"], rel=0.05)
    assert number(coverage) == pytest.approx(measured["coverage"]["worst"], abs=0.006)
    assert number(cpu_ms) == pytest.approx(measured["cpu_ms"]["median"], rel=0.03)
    assert number(memory) == pytest.approx(measured["peak_mib"]["median"], rel=0.03)
