"""Copies beside their images are left out by name and content together; other numbers in names are frames."""

import shutil
from pathlib import Path

import pytest
from sources.conftest import ImageWriter

from vgslam.sources import open_source
from vgslam.sources.image_files import copies_among

NAMES = [f"{i:03d}.png" for i in range(6)]


def names(folder: Path) -> list[str | None]:
    return [frame.name for frame in open_source(folder)]


@pytest.mark.parametrize(
    "copy",
    ["003 (1).png", "003(2).png", "003 - Copy.png", "003 - Copy (2).png", "003 copy.png", "003 copy 2.PNG",
     "003 (copy).png", "003 (another copy).png", "003 (3rd copy).png", "Copy of 003.png", "003 - Kopie.png",
     "003 (Ann's conflicted copy 2024-01-02).png"],
)  # fmt: skip
def test_a_copy_is_left_out_and_counted(copy: str, tmp_path: Path, write_images: ImageWriter) -> None:
    write_images(tmp_path, NAMES)
    shutil.copy(tmp_path / "003.png", tmp_path / copy)
    assert names(tmp_path) == NAMES
    warnings = open_source(tmp_path).warnings
    assert f"1 image skipped, copies, byte for byte, of images beside them: {copy}" in warnings


def test_each_image_copied_once_is_no_second_camera(tmp_path: Path, write_images: ImageWriter) -> None:
    write_images(tmp_path, NAMES)
    for name in NAMES:
        shutil.copy(tmp_path / name, tmp_path / name.replace(".png", " - Copy.png"))
    (tmp_path / "times.txt").write_text("".join(f"{0.1 * i}\n" for i in range(len(NAMES))))
    source = open_source(tmp_path)
    assert [frame.name for frame in source] == NAMES
    assert any(line.startswith("6 images skipped, copies") for line in source.warnings)


def test_what_is_called_a_copy_but_differs_is_a_frame(tmp_path: Path, write_images: ImageWriter) -> None:
    write_images(tmp_path, ["003.png", "003 (1).png"])
    assert names(tmp_path) == ["003.png", "003 (1).png"]


def test_numbers_in_brackets_are_frames_where_there_is_no_original(tmp_path: Path, write_images: ImageWriter) -> None:
    """As Windows numbers photos that are renamed together; the camera stands still in two of them."""
    write_images(tmp_path, ["walk (1).png"])
    shutil.copy(tmp_path / "walk (1).png", tmp_path / "walk (2).png")
    assert names(tmp_path) == ["walk (1).png", "walk (2).png"]


def test_the_same_picture_twice_is_two_frames(tmp_path: Path, write_images: ImageWriter) -> None:
    write_images(tmp_path, ["0.png"])
    shutil.copy(tmp_path / "0.png", tmp_path / "1.png")
    assert copies_among([tmp_path / "0.png", tmp_path / "1.png"]) == {}


def test_those_of_a_data_set_are_left_out_too(tmp_path: Path, write_images: ImageWriter) -> None:
    write_images(tmp_path / "image_0", [f"{i:06d}.png" for i in range(3)])
    shutil.copy(tmp_path / "image_0" / "000001.png", tmp_path / "image_0" / "000001 (1).png")
    (tmp_path / "times.txt").write_text("0\n.1\n.2\n")
    assert names(tmp_path) == ["000000.png", "000001.png", "000002.png"]
