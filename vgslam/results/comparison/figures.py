"""The figures of one run that are compared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vgslam.evaluation.scores import ComponentScore
from vgslam.results.page.plain import amount, mapping
from vgslam.results.page.run_data import RunData

Value = float | None


@dataclass(frozen=True)
class Figure:
    """One figure: a column of the table."""

    key: str
    """Its name in the JSON."""
    heading: str
    unit: str
    of: Callable[[RunData], Value]
    digits: int = 4
    """Significant digits that are shown."""
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
