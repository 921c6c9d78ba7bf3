"""What the measurements of docs/bench say, as the documents quote it."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "docs" / "bench"


@cache
def record(name: str) -> Any:
    """docs/bench/NAME.json."""
    return json.loads((BENCH / f"{name}.json").read_text())


def accuracy(name: str) -> dict[str, dict[str, Any]]:
    """The sequences of a record of `bench accuracy`, by name."""
    found = record(name)
    return {s["name"]: s for run in found.get("runs", [found]) for s in run["sequences"]}


def over_starts(name: str, sequence: str) -> Iterator[float]:
    """Median and worst ATE over the starts."""
    ate = accuracy(name)[sequence]["summary"]["ate_m"]
    yield from (ate["median"], ate["worst"])


def pairs() -> list[dict[str, Any]]:
    """Every run with and without the network."""
    return [pair for measurement in record("roles")["measurements"] for pair in measurement["pairs"]]


def pairs_the_same() -> int:
    return sum(p["alone"]["trajectory_sha256"] == p["asked"]["trajectory_sha256"] for p in pairs())


def asked(figure: str) -> list[tuple[float, float]]:
    """A figure without and with the network, of the pairs in which it was asked."""
    return [(p["alone"][figure], p["asked"][figure]) for p in pairs() if p["said"]["n_asked"]]


def more_cpu() -> tuple[float, float]:
    """Least and most CPU that a run takes which asks, beyond that which does not, in percent."""
    more = [100 * (b / a - 1) for a, b in asked("cpu_ms")]
    return min(more), max(more)


def more_memory_mib() -> float:
    return max(b - a for a, b in asked("peak_mib"))


def survival(network: str, figure: str) -> float:
    """Mean over the rendered sequences of a network as its column is named; those without the figure left out."""
    values = [r[figure] for r in record("survival")["rows"] if r["network"] == network]
    known = [v for v in values if v is not None]
    return sum(known) / len(known)


def survival_ate(network: str, with_more: bool = False) -> tuple[float, float, float]:
    """Mean, median and worst ATE of a network in % of the path; with_more: those of the second measurement too."""
    values = [v for v in _survived(network, "ate_percent", with_more) if v is not None]
    return sum(values) / len(values), median(values), max(values)


def survival_coverage(network: str, with_more: bool = False) -> float:
    """Mean coverage."""
    values = _survived(network, "coverage", with_more)
    return sum(values) / len(values)


def _survived(network: str, figure: str, with_more: bool) -> list[float]:
    rows = [*record("survival")["rows"], *(record("survival")["more"]["rows"] if with_more else [])]
    return [r[figure] for r in rows if r["network"] == network]


def _starts(network: str) -> list[dict[str, Any]]:
    return [r for r in record("starts")["rows"] if r["weights"] == network]


def asked_starts(network: str) -> int:
    """Questions of `bench starts`."""
    return sum(r["n_asked"] for r in _starts(network))


def believed(network: str) -> int:
    """Those that tracks agreed with."""
    return sum(len(r["believed"]) for r in _starts(network))


def question_s(network: str) -> float:
    """CPU of one of them, in s."""
    return sum(r["cpu_s"] for r in _starts(network)) / asked_starts(network)


def survival_sequences() -> int:
    return sum(r["network"] == "none" for r in record("survival")["rows"])


def relocalized(position_m: float, rotation_deg: float) -> float:
    """Percent of the queries that matching places within both errors."""
    queries = record("reloc")["queries"]["pnp"]
    right = [q["is_accepted"] and q["error"] < position_m and q["error_deg"] < rotation_deg for q in queries]
    return 100 * sum(right) / len(right)


def kidnaps() -> dict[str, int]:
    found = record("reloc")["kidnaps"]
    return {
        "trials": len(found), "at once": sum(k["frames_to_pose"] == 0 for k in found),
        "frames": sum(k["n_posed"] for k in found), "wrong": sum(k["n_wrong"] for k in found),
    }  # fmt: skip


def foreign_images() -> tuple[int, int]:
    """Images of other places, and those of them that were accepted."""
    counts = record("reloc")["foreign"].values()
    return sum(n for _, n in counts), sum(accepted for accepted, _ in counts)


def change(row: dict[str, Any], figure: str, home: str = "") -> float:
    """Change of a mean by adaptation, in percent."""
    before, after = row[f"{home}before"][figure][0], row[f"{home}after"][figure][0]
    return 100 * (after / before - 1)


def worlds_change(figure: str, home: str = "") -> float:
    """Mean of the changes over the rendered worlds, in percent."""
    changes = [change(row, figure, home) for row in record("adapt")["rows"]]
    return sum(changes) / len(changes)


def recording_change(name: str, trained: str, figure: str) -> float:
    rows = {r["name"].split(",")[0] + " " + r["name"].split()[-1]: r for r in record("adapt_real")["rows"]}
    return change(rows[f"{name} {trained}"], figure)


def recording_changes(trained: str) -> list[float]:
    rows = [r for r in record("adapt_real")["rows"] if r["name"].endswith(trained)]
    return [change(row, figure) for row in rows for figure in row["before"]]


def starts_believed(when: str) -> int:
    """Starts in all films that were believed, before or after adaptation."""
    return sum(len(row[when]["believed"]) for row in record("adapt_starts")["rows"])


def starts_asked() -> int:
    """Starts that were asked for in all films."""
    return sum(row["before"]["n_asked"] for row in record("adapt_starts")["rows"])


def starts_nearer(figure: str) -> tuple[float, float]:
    """Least and most that an error of starts fell by, in %."""
    falls = [100 * (1 - row["both"][figure][1] / row["both"][figure][0]) for row in record("adapt_starts")["rows"]]
    return min(falls), max(falls)


def windows(network: str, row: str) -> dict[str, Any]:
    """A row of `bench weights`: weights (vggt-s) or weights_m (vggt-m)."""
    return next(r for r in record(network)["rows"] if r["name"] == row)


def rotation(network: str, row: str, readout: str = "solver") -> tuple[float, float]:
    """Median and mean, in degrees."""
    errors = windows(network, row)[readout]["rotation_deg"]
    return errors["median"], errors["mean"]


def direction(network: str, row: str, readout: str = "solver") -> float:
    """Median of what does not look forward, in degrees."""
    return windows(network, row)[readout]["direction_sideways_deg"]["median"]


def depth(network: str, row: str, what: str = "depth") -> float:
    return windows(network, row)[what]["median"]


def any_direction(network: str, row: str) -> float:
    """Median of all, those that look forward too, in degrees; by the solver."""
    return windows(network, row)["solver"]["direction_deg"]["median"]


def calibration(network: str, row: str) -> float:
    """Expected calibration error of the depth's deviation."""
    return windows(network, row)["calibration"]["expected_error"]


def profile(network: str, frames: int) -> tuple[float, float, float, float, float]:
    """Depth-Anything-3 with random weights: CPU s of encoding, decoding and both, GFLOP, MiB of the process."""
    rows = {r["stage"]: r for r in record(network)["rows"] if r["frames"] == frames}
    encode, decode = rows["encode"], rows["decode"]
    peak = max(encode["peak_bytes"], decode["peak_bytes"]) / 2**20
    both = (encode["cpu_s"] + decode["cpu_s"], (encode["flops"] + decode["flops"]) / 1e9)
    return encode["cpu_s"], decode["cpu_s"], *both, peak


def fov_errors() -> tuple[float, float]:
    """How far the estimated fields of view are off, least and most of all uncalibrated runs of videos, in percent."""
    sequences = [s for name, s in accuracy("uncalibrated").items() if "euroc" not in name]
    errors = [100 * abs(run["fov_deg"] / s["fov_deg"] - 1) for s in sequences for run in s["runs"]]
    return min(errors), max(errors)
