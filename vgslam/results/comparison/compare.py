"""All that is compared of several runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgslam.evaluation.scores import ComponentScore
from vgslam.results.comparison.overlay import Overlay, over_first, over_truth
from vgslam.results.page.run_data import RunData, amount, mapping

Value = float | None


@dataclass(frozen=True)
class Figure:
    """One figure: a column of the table."""

    key: str  # its name in the JSON
    heading: str
    unit: str
    of: Callable[[RunData], Value]
    digits: int = 4  # significant digits that are shown
    is_count: bool = False

    @property
    def title(self) -> str:
        """Heading and unit."""
        return f"{self.heading} [{self.unit}]" if self.unit else self.heading

    def shown(self, value: Value) -> str:
        """The value for people; a dash where there is none."""
        if value is None:
            return "–"
        return f"{value:.0f}" if self.is_count else f"{value:.{self.digits}g}"


def _report(name: str) -> Callable[[RunData], Value]:
    return lambda data: amount(data.report.get(name))


def _ratio(part: str, whole: str, factor: float) -> Callable[[RunData], Value]:
    def of(data: RunData) -> Value:
        n, n_whole = amount(data.report.get(part)), amount(data.report.get(whole))
        return factor * n / n_whole if n is not None and n_whole else None

    return of


def _score(of_score: Callable[[ComponentScore], Value], *recorded: str) -> Callable[[RunData], Value]:
    """A score from the evaluation that was made now, else from the one in the report, by nested names."""

    def of(data: RunData) -> Value:
        if data.evaluation is not None:
            return amount(of_score(data.evaluation.headline))
        found: Any = data.recorded_headline
        for name in recorded:
            found = mapping(found).get(name)
        return amount(found)

    return of


def _n_loops(data: RunData) -> Value:
    loops = data.report.get("loops")
    return float(len(loops)) if isinstance(loops, list) else None


FIGURES = (
    Figure("n_frames", "frames", "", _report("n_frames"), is_count=True),
    Figure("coverage_percent", "coverage", "%", lambda data: data.coverage_percent),
    Figure("ate_m", "ATE", "m", _score(lambda s: s.ate_m.rmse, "ate_sim3_m", "rmse"), 3),
    Figure("rotation_deg", "rotation", "°", _score(
        lambda s: s.rotation_only_ape_deg.rmse, "rotation_only_ape_deg", "rmse"), 3),
    Figure("rpe_m", "RPE 1 s", "m", _score(
        lambda s: None if s.rpe_time is None else s.rpe_time.translation_rmse_m, "rpe_time", "translation_rmse_m"), 3),
    Figure("rpe_deg", "RPE 1 s", "°", _score(
        lambda s: None if s.rpe_time is None else s.rpe_time.rotation_rmse_deg, "rpe_time", "rotation_rmse_deg"), 3),
    Figure("cpu_s", "CPU", "s", _report("cpu_s"), 3),
    Figure("cpu_ms_per_frame", "CPU", "ms/frame", _ratio("cpu_s", "n_frames", 1000.0), 3),
    Figure("peak_memory_mib", "memory", "MiB", _report("peak_memory_mib"), is_count=True),
    Figure("n_components", "components", "", _report("n_components"), is_count=True),
    Figure("n_keyframes", "keyframes", "", _report("n_keyframes"), is_count=True),
    Figure("n_losses", "losses", "", _report("n_losses"), is_count=True),
    Figure("n_loops", "loops", "", _n_loops, is_count=True),
)  # fmt: skip
"""What is compared, in the order of the table."""


def figures_of(data: RunData) -> Mapping[str, Value]:
    """The run's figures by key."""
    return {figure.key: figure.of(data) for figure in FIGURES}


DISTANCE = Figure("from_first_percent", "from the first", "% of its path", lambda data: None, 3)
"""The column that takes the place of the error where there is no truth."""


@dataclass(frozen=True)
class Comparison:
    """Runs side by side."""

    names: list[str]  # the runs' names, no two the same
    inputs: list[str]
    columns: list[Figure]  # figures that at least one run has
    rows: list[Mapping[str, Value]]  # the figures of each run by key
    settings: dict[str, list[str]]  # those that differ, with each run's value
    overlay: Overlay
    notes: list[str]  # what a reader should know first

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON: lengths in m where there is a truth, times in s."""
        runs = [
            {"name": name, "input": given, **row}
            for name, given, row in zip(self.names, self.inputs, self.rows, strict=True)
        ]
        settings = {name: dict(zip(self.names, values, strict=True)) for name, values in self.settings.items()}
        return {"runs": runs, "settings": settings, "notes": self.notes}


def compare(runs: Sequence[RunData], is_same_input: bool = False) -> Comparison:
    """The comparison of two runs or more. Runs of different inputs have no common frame unless is_same_input says that
    their names alone differ: then only figures and settings are compared."""
    names = names_of([data.path for data in runs])
    inputs = [data.name for data in runs]
    notes = [f"{name} did not reach its end" for name, data in zip(names, runs, strict=True)
             if not data.report.get("complete")]  # fmt: skip
    notes += [f"{name}: {note}" for name, data in zip(names, runs, strict=True) for note in data.notes]
    if len(set(inputs)) > 1 and not is_same_input:
        told = ", ".join(dict.fromkeys(inputs))
        notes.insert(0, f"the runs are of different inputs ({told}): paths are not laid over one another, and figures "
                        "say little (--same-input, if the names alone differ)")  # fmt: skip
        overlay = Overlay([[] for _ in runs], None, [None] * len(runs), [])
    elif any(data.evaluation is not None for data in runs):
        overlay = over_truth(runs, names)
    else:
        overlay = over_first(runs, names)
    rows: list[Mapping[str, Value]] = [
        {**figures_of(data), DISTANCE.key: distance}
        for data, distance in zip(runs, overlay.distance_percent, strict=True)
    ]
    if len({row["n_frames"] for row in rows}) > 1:
        notes.append("the runs have different numbers of frames: errors of more frames and fewer do not compare")
    columns = [f for f in (*FIGURES, DISTANCE) if any(row[f.key] is not None for row in rows)]
    return Comparison(names, inputs, columns, rows, differences(runs), overlay, [*notes, *overlay.notes])


def names_of(folders: Sequence[Path]) -> list[str]:
    """As many of the last parts of each path as tell the folders apart; a number where the whole path is the same."""
    parts = [folder.resolve().parts for folder in folders]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(p[-depth:]).replace("//", "/") for p in parts]
        if len(set(names)) == len(set(parts)):
            break
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out


ABSENT = "(not set)"  # shown for a setting that a run's config.yaml does not have, as older versions did not
NOT_COMPARED = ("out", "overwrite", "quiet", "json")  # where a run writes and what it prints: no part of what it does


def differences(runs: Sequence[RunData]) -> dict[str, list[str]]:
    """Settings, versions and weights that are not the same in all runs: by name, the value of each run as text."""
    told = [_told(data) for data in runs]
    names = dict.fromkeys(name for one in told for name in one)
    rows = {name: [one.get(name, ABSENT) for one in told] for name in names}
    return {name: values for name, values in rows.items() if len(set(values)) > 1}


def _told(data: RunData) -> dict[str, str]:
    out = dict(_flat(data.config, ""))
    for name in NOT_COMPARED:
        out.pop(name, None)
    report = data.report
    for name in ("version", "commit"):
        out[f"vgslam: {name}"] = _text(report.get(name))
    out["weights"] = _text(mapping(report.get("weights")).get("model_id"))
    out["weights"] += " (not asked)" if data.is_network_unasked else ""
    out["machine"] = _text(mapping(report.get("machine")).get("cpu"))
    return out


def _flat(settings: Mapping[Any, Any], prefix: str) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            out += _flat(value, f"{prefix}{key}.")
        else:
            out.append((f"{prefix}{key}", _text(value)))
    return out


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
