"""What differs in the settings of runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from vgslam.results.page.plain import mapping
from vgslam.results.page.run_data import RunData

ABSENT = "(not set)"
"""Shown for a setting that a run's config.yaml does not have, as older versions did not."""
NOT_COMPARED = ("out", "overwrite", "quiet", "json")
"""Where a run writes and what it prints: no part of what it does."""


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
