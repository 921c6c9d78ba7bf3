"""Numbers that look like others: refused by the name of their field, not taken for what Python or YAML 1.1 make of
them (208_5 is 2085, 3:28 is 208, 0160 is 112)."""

from pathlib import Path

import pytest

from vgslam.config import read_yaml
from vgslam.errors import CalibrationError, ConfigError, InputError
from vgslam.frontend.tracker import TrackerConfig
from vgslam.guards.documents import is_number, parse_yaml, to_number
from vgslam.sources.calibration import read_calibration
from vgslam.sources.times import parse_time, read_times
from vgslam.sources.trajectory_io import read_trajectory

CALIBRATION = "width: 320\nheight: 240\nfx: {}\nfy: 208.5\ncx: 159.5\ncy: 119.5\n"
STRANGE = ["true", "208_5", "208_5.0", "2_08.5", "3:28", "3:28.5", "٢٠٨", "2O8.5"]


@pytest.mark.parametrize("text", STRANGE)
def test_a_calibration_with_one_is_refused_by_the_name_of_its_field(text: str, tmp_path: Path) -> None:
    file = tmp_path / "calib.yaml"
    file.write_text(CALIBRATION.format(text))
    with pytest.raises(CalibrationError, match=rf"camera fx must be a number, got ('{text}'|True)"):
        read_calibration(file)
    for spelled in (f'"{text}"', f"[{text}]"):  # in quotes, and alone in a list
        file.write_text(CALIBRATION.format(spelled))
        with pytest.raises(CalibrationError, match="fx"):
            read_calibration(file)


@pytest.mark.parametrize("text", ["208_5", "3:28"])
def test_so_is_one_within_a_list(text: str, tmp_path: Path) -> None:
    file = tmp_path / "calib.yaml"
    for rows in (f"[{text}, 208.5, 159.5, 119.5]", f"'{text} 208.5 159.5 119.5'"):
        file.write_text(f"width: 320\nheight: 240\ncalibration: {rows}\n")
        with pytest.raises(CalibrationError, match="must be a list of numbers"):
            read_calibration(file)


@pytest.mark.parametrize(("text", "fx"), [("208.5", 208.5), ("0208.5", 208.5), ("0160", 160.0), ("+160", 160.0),
                                          ("2.085e2", 208.5), ("2085e-1", 208.5), ("0.16e3", 160.0)])  # fmt: skip
def test_what_people_mean_by_a_number_is_one(text: str, fx: float, tmp_path: Path) -> None:
    """A zero before digits makes no octal number."""
    file = tmp_path / "calib.yaml"
    file.write_text(CALIBRATION.format(text))
    camera = read_calibration(file)
    assert camera is not None
    assert camera.fx == fx


def test_a_setting_is_refused_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    for text in ("1_0", "1:30", "010"):
        file.write_text(f"max_error_px: {text}\n")
        with pytest.raises(ConfigError, match=rf"expected float, got '{text}'|unknown setting"):
            read_yaml(file, TrackerConfig())


def test_words_and_numbers_of_yaml() -> None:
    assert parse_yaml("a: 12_3\nb: 1:2\nc: 010\nd: 1_0.5\ne: 1:2.5") == {
        "a": "12_3", "b": "1:2", "c": "010", "d": "1_0.5", "e": "1:2.5",
    }  # fmt: skip
    assert parse_yaml("a: 123\nb: 0\nc: -0\nd: 0.5\ne: .5\nf: -00.5\ng: 0x1f\nh: 08") == {
        "a": 123, "b": 0, "c": 0, "d": 0.5, "e": 0.5, "f": -0.5, "g": 31, "h": "08",
    }  # fmt: skip
    assert [parse_yaml(f"a: {x}")["a"] for x in (".inf", "-.inf", "1.5e+3")] == [float("inf"), -float("inf"), 1500.0]


@pytest.mark.parametrize("text", ["1_0", "1_0.5", "１０", "٣", "", "1.0.0", "1e"])
def test_rows_of_numbers_have_none(text: str, tmp_path: Path) -> None:
    assert not is_number(text)
    with pytest.raises(ValueError, match=r"number|convert"):
        to_number(text)
    with pytest.raises(InputError, match="is not a timestamp"):
        parse_time(tmp_path / "times.txt", text)
    if not text:
        return
    times, poses = tmp_path / "times.txt", tmp_path / "poses.tum"
    times.write_text(f"0.0\n{text}\n2.0\n", encoding="utf-8")
    with pytest.raises(InputError, match="is not a timestamp"):
        read_times(times, 3)
    poses.write_text(f"0 0 0 0 0 0 0 1\n1 {text} 0 0 0 0 0 1\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2: not a number"):
        read_trajectory(poses)
