"""Numbers that no run can use are refused by their names, before anything is tracked."""

from dataclasses import replace
from pathlib import Path

import pytest

from vgslam.errors import ConfigError
from vgslam.session.settings_range import ABOVE_ZERO, _numbers, check_settings
from vgslam.slam import SlamConfig


def with_sigma(value: float) -> SlamConfig:
    config = SlamConfig()
    return replace(config, tracker=replace(config.tracker, sigma_px=value))


def test_the_defaults_are_in_order_and_each_name_is_one_of_theirs() -> None:
    check_settings(SlamConfig())
    names = {name.rpartition(".")[2] for name, _ in _numbers(SlamConfig(), "slam")}
    assert names >= ABOVE_ZERO


@pytest.mark.parametrize(
    ("value", "says"),
    [(float("nan"), "is no number"), (0.0, "must be more than 0, got 0"), (-1.0, "must be more than 0, got -1")],
)
def test_what_is_divided_by_is_above_zero(value: float, says: str) -> None:
    check_settings(with_sigma(1e-3))
    with pytest.raises(ConfigError, match=rf"slam\.tracker\.sigma_px: {says}"):
        check_settings(with_sigma(value))


def test_others_may_be_zero_and_none_is_less() -> None:
    config = SlamConfig()
    check_settings(replace(config, mapper=replace(config.mapper, dense_every=0)))
    for every in (-1, -6):
        with pytest.raises(ConfigError, match=rf"slam\.mapper\.dense_every: must be 0 or more, got {every}"):
            check_settings(replace(config, mapper=replace(config.mapper, dense_every=every)))
    loops = replace(config.loops, agreement=(3.0, -0.1, 0.1))
    with pytest.raises(ConfigError, match=r"slam\.loops\.agreement: must be 0 or more, got -0\.1"):
        check_settings(replace(config, loops=loops))


def test_the_window_of_flow_is_three_pixels_wide() -> None:
    config = SlamConfig()
    for px in (2, 3):
        features = replace(config.tracker.features, lk_window_px=px)
        changed = replace(config, tracker=replace(config.tracker, features=features))
        if px == 3:
            check_settings(changed)
        else:
            with pytest.raises(ConfigError, match=r"lk_window_px: must be 3 or more, got 2"):
                check_settings(changed)


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
