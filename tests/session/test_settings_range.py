"""Numbers that no run can use are refused by their names, before anything is tracked: in programs as on the command
line."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vgslam.errors import ConfigError
from vgslam.frontend.features import FeatureConfig
from vgslam.frontend.tracker import TrackerConfig
from vgslam.reloc.loops import LoopConfig
from vgslam.slam import SlamConfig


def with_sigma(value: float) -> SlamConfig:
    return SlamConfig(tracker=TrackerConfig(sigma_px=value))


@pytest.mark.parametrize(
    ("value", "says"),
    [(float("nan"), "is no number"), (0.0, "must be more than 0, got 0"), (-1.0, "must be more than 0, got -1")],
)
def test_what_is_divided_by_is_above_zero(value: float, says: str) -> None:
    assert with_sigma(1e-3).tracker.sigma_px == 1e-3
    with pytest.raises(ConfigError, match=rf"slam\.tracker\.sigma_px: {says}"):
        with_sigma(value)


def test_others_may_be_zero_and_none_is_less() -> None:
    config = SlamConfig()
    assert replace(config, mapper=replace(config.mapper, dense_every=0)).mapper.dense_every == 0
    for every in (-1, -6):
        with pytest.raises(ConfigError, match=rf"slam\.mapper\.dense_every: must be 0 or more, got {every}"):
            replace(config, mapper=replace(config.mapper, dense_every=every))
    with pytest.raises(ConfigError, match=r"slam\.loops\.agreement: must be 0 or more, got -0\.1"):
        SlamConfig(loops=replace(config.loops, agreement=(3.0, -0.1, 0.1)))
    with pytest.raises(ConfigError, match=r"slam\.patience: must be 0 or more, got -1"):
        SlamConfig(patience=-1)


@pytest.mark.parametrize(("name", "changed"), [
    ("mapper.n_fixed", 0), ("mapper.huber_px", 0.0), ("mapper.guess_rel_sigma", 0.0), ("mapper.depth_rel_sigma", 0.0),
    ("mapper.edge_sigmas", (0.01, 0.0, 0.05)), ("tracker.gate", 0.0), ("tracker.features.min_distance_px", 0),
    ("tracker.features.quality", 0.0), ("tracker.features.lk_levels", 0), ("initializer.two_view.threshold_px", 0.0),
    ("initializer.matcher.n_features", 0), ("reloc.locate.sigma_px", 0.0), ("loops.locate.refound_sigma_px", 0.0),
    ("refine.focal_rel_sigma", 0.0), ("refine.loss_px", 0.0), ("refine.tests.outlier_px", (2.5, 0.0)),
])  # fmt: skip
def test_each_that_is_divided_by_has_its_range(name: str, changed: object) -> None:
    *above, last = name.split(".")
    parts: list[Any] = [SlamConfig()]
    for part in above:
        parts.append(getattr(parts[-1], part))
    value = replace(parts.pop(), **{last: changed})
    for part in reversed(above[1:]):
        value = replace(parts.pop(), **{part: value})
    with pytest.raises(ConfigError, match=rf"slam\.{name}: must be more than 0, got 0"):
        SlamConfig(**{above[0]: value})


def test_the_window_of_flow_is_three_pixels_wide() -> None:
    def of(px: int) -> SlamConfig:
        return SlamConfig(tracker=TrackerConfig(FeatureConfig(lk_window_px=px)))

    assert of(3).tracker.features.lk_window_px == 3
    with pytest.raises(ConfigError, match=r"lk_window_px: must be 3 or more, got 2"):
        of(2)


def test_a_switch_is_no_number() -> None:
    assert SlamConfig(loops=LoopConfig(in_background=False)) is not None


@pytest.mark.parametrize(
    "text", ["slam: {tracker: {sigma_px: .nan}}", "slam: {tracker: {features: {min_distance_px: 0}}}",
             "slam: {loops: {agreement: [1, 2]}}"]
)  # fmt: skip
def test_a_file_of_such_settings_ends_a_run_with_2_and_one_line(
    sequence: Path, tmp_path: Path, vgslam, text: str
) -> None:
    (tmp_path / "c.yaml").write_text(text)
    code, _, err = vgslam("run", sequence, "--config", tmp_path / "c.yaml", "--out", tmp_path / "out", "--quiet")
    assert code == 2
    assert err.startswith("vgslam: ")
    assert err.count("\n") == 1


def test_the_command_line_is_checked_too(sequence: Path, tmp_path: Path, vgslam) -> None:
    code, _, err = vgslam("run", sequence, "--slam.tracker.sigma-px", "0", "--out", tmp_path / "out", "--quiet")
    assert (code, err) == (2, "vgslam: slam.tracker.sigma_px: must be more than 0, got 0\n")
