"""Settings that no run can use: what is no number, below zero, or zero where something is divided by it."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from math import isnan
from typing import Any

from vgslam.errors import ConfigError
from vgslam.slam_config import SlamConfig

ABOVE_ZERO = frozenset({
    "sigma_px", "refound_sigma_px", "min_rel_sigma", "guess_rel_sigma", "depth_rel_sigma", "huber_px", "loss_px",
    "gate", "threshold_px", "edge_sigmas", "outlier_px", "min_distance_px", "quality", "lk_levels",
    "n_features", "n_fixed",
})  # fmt: skip
"""Names of settings by which is divided, or without which nothing is found."""
LEAST_WINDOW_PX = 3
"""Least side of the window of `lk_window_px`: OpenCV compares nothing smaller."""


def check_settings(config: SlamConfig) -> None:
    """Raises ConfigError, naming the setting as `--config` and the command line have it, for a number that no run can
    use."""
    for name, value in _numbers(config, "slam"):
        own = name.rpartition(".")[2]
        if isnan(value):
            raise ConfigError(f"{name}: is no number; leave it out for its default")
        if own == "lk_window_px" and value < LEAST_WINDOW_PX:
            raise ConfigError(f"{name}: must be {LEAST_WINDOW_PX} or more, got {value:g}")
        if value < 0 or (value == 0 and own in ABOVE_ZERO):
            raise ConfigError(f"{name}: must be {'more than 0' if own in ABOVE_ZERO else '0 or more'}, got {value:g}")


def _numbers(settings: Any, name: str) -> Iterator[tuple[str, float]]:
    """All numbers within settings, by name."""
    if is_dataclass(settings):
        for f in fields(settings):
            yield from _numbers(getattr(settings, f.name), f"{name}.{f.name}")
    elif isinstance(settings, tuple):
        for value in settings:
            yield from _numbers(value, name)
    elif isinstance(settings, int | float) and not isinstance(settings, bool):
        yield name, settings
