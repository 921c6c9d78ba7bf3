"""Sizes that are too small are named with one that works; long names leave room for what is put behind them."""

import os
from pathlib import Path

import pytest

from vgslam.atomic import LONGEST_BYTES, shortened, write_text
from vgslam.session.choose_camera import trouble_with_size


@pytest.mark.parametrize(("size", "works"), [((64, 64), "144x144"), ((80, 60), "160x120"), ((10, 10), "144x144")])
def test_a_size_that_works_is_named(size: tuple[int, int], works: str) -> None:
    said = trouble_with_size(*size)
    assert said is not None
    assert f"{size[0]}x{size[1]} px are too small" in said
    assert f"at least {works} works" in said


@pytest.mark.parametrize("size", [(160, 120), (144, 144), (320, 240), (120, 160)])
def test_nothing_is_said_of_sizes_that_work(size: tuple[int, int]) -> None:
    assert trouble_with_size(*size) is None


def test_small_images_are_called_that(sequence: Path, vgslam) -> None:
    import cv2

    for file in sorted((sequence / "images").iterdir()):
        cv2.imwrite(str(file), cv2.resize(cv2.imread(str(file)), (64, 48), interpolation=cv2.INTER_AREA))
    code, _, err = vgslam.run(sequence, "--network", "none")
    assert code == 4
    assert "64x48 px are too small" in err
    assert "160x120 works" in err


@pytest.mark.parametrize(("size", "is_told"), [((140, 105), True), ((160, 120), False)])
def test_small_images_that_could_be_tracked_are_told(
    size: tuple[int, int], is_told: bool, sequence: Path, vgslam
) -> None:
    import cv2

    for file in sorted((sequence / "images").iterdir()):
        cv2.imwrite(str(file), cv2.resize(cv2.imread(str(file)), size, interpolation=cv2.INTER_AREA))
    code, _, _ = vgslam.run(sequence, "--network", "none", "--max-frames", 20)
    assert code == 0
    said = "its images of 140x105 px are too small: there is no room for enough corners; at least 160x120 works"
    assert [line for line in vgslam.report()["warnings"] if "small" in line] == [said] * is_told


@pytest.mark.parametrize("name", ["n" * 255, "動" * 85, os.fsdecode(b"\xff" * 255), "é" * 127, "short"])
def test_long_names_are_shortened_at_a_character(name: str) -> None:
    short = shortened(name)
    assert len(os.fsencode(short)) <= LONGEST_BYTES
    assert name.startswith(short)
    assert len(os.fsencode(short)) > LONGEST_BYTES - 4 or short == name


def test_files_with_the_longest_names_are_written(tmp_path: Path) -> None:
    write_text(tmp_path / ("n" * 255), "text")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["text"]


def test_a_folder_with_the_longest_name_is_run(sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sequence.parent)
    folder = sequence.rename(sequence.parent / ("動" * 85))
    code, _, err = vgslam("run", folder, "--network", "none", "--quiet", "--max-frames", 8)
    assert (code, err) == (0, "")
    (out,) = (sequence.parent / "out").iterdir()
    assert (out / "report.json").is_file()
    assert any((out / "plots").iterdir())
