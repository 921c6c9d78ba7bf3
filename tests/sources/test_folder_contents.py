"""A folder or a file that is no input as a whole says where the images are, or what it is instead."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from sources.conftest import ImageWriter

from vgslam.errors import InputError
from vgslam.sources import open_source
from vgslam.sources.not_a_video import tiff_pages

NAMES = ["0.png", "1.png", "2.png"]
PAGES = [Image.fromarray(np.full((48, 64, 3), 40 * i, np.uint8)) for i in range(4)]


def refused(path: Path) -> str:
    with pytest.raises(InputError) as error:
        open_source(path)
    return str(error.value)


def test_images_in_a_folder_within_are_named(tmp_path: Path, write_images: ImageWriter) -> None:
    write_images(tmp_path / "walk" / "frames", NAMES)
    (tmp_path / "__MACOSX").mkdir()
    write_images(tmp_path / "__MACOSX" / "walk", NAMES)
    assert f"its 3 images are in walk/frames/; give {tmp_path / 'walk' / 'frames'}" in refused(tmp_path)


def test_folders_of_two_cameras_are_listed(tmp_path: Path, write_images: ImageWriter) -> None:
    write_images(tmp_path / "left", NAMES)
    write_images(tmp_path / "right", NAMES[:2])
    assert "2 folders with images, left/ (3), right/ (2); give one of them" in refused(tmp_path)


def test_a_link_to_itself_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "again").symlink_to(tmp_path)
    assert "no images or known data set in it" in refused(tmp_path)


def test_images_without_an_ending_and_gifs_say_what_to_do(tmp_path: Path, write_images: ImageWriter) -> None:
    write_images(tmp_path / "a", NAMES)
    for name in NAMES:
        (tmp_path / "a" / name).rename(tmp_path / "a" / name.removesuffix(".png"))
    assert "have no ending, and are images (0, ...)" in refused(tmp_path / "a")
    (tmp_path / "b").mkdir()
    for i, page in enumerate(PAGES):
        page.save(tmp_path / "b" / f"{i}.gif")
    assert "its 4 images are GIF" in refused(tmp_path / "b")


@pytest.mark.parametrize("ending", [".jfif", ".jpe", ".jp2"])
def test_other_endings_of_known_formats_are_images(ending: str, tmp_path: Path) -> None:
    for i in range(3):
        cv2.imwrite(str(tmp_path / ("a.jp2" if ending == ".jp2" else "a.jpg")), np.full((48, 64, 3), 50 * i, np.uint8))
        next(tmp_path.glob("a.*")).rename(tmp_path / f"{i}{ending}")
    frames = list(open_source(tmp_path))
    assert [round(float(frame.image.mean())) for frame in frames] == pytest.approx([0, 50, 100], abs=1)


@pytest.mark.parametrize(("file", "says"), [("manifest.json", "is a saved map"), ("report.json", "folder of a run")])
def test_what_the_program_wrote_itself_is_no_input(
    file: str, says: str, tmp_path: Path, write_images: ImageWriter
) -> None:
    write_images(tmp_path / "plots", NAMES)
    (tmp_path / file).write_text("{}")
    assert says in refused(tmp_path)


def test_a_stack_of_pages_is_refused_where_the_first_alone_would_be_used(tmp_path: Path) -> None:
    stack, single = tmp_path / "s" / "a.tif", tmp_path / "s" / "b.tif"
    stack.parent.mkdir()
    PAGES[0].save(stack, save_all=True, append_images=PAGES[1:])
    PAGES[0].save(single)
    assert (tiff_pages(stack), tiff_pages(single), tiff_pages(Path(__file__))) == (4, 1, 0)
    assert "a TIFF of 4 pages" in refused(stack)
    assert "a.tif is a TIFF of 4 pages, of which only the first" in refused(stack.parent)
    stack.unlink()
    assert len(list(open_source(stack.parent))) == 1


def test_a_chain_of_pages_that_is_cut_or_closed_has_an_end(tmp_path: Path) -> None:
    page = (0).to_bytes(2, "little") + (8).to_bytes(4, "little")  # no fields, and the next page is this one
    (tmp_path / "a.tif").write_bytes(b"II*\0" + (8).to_bytes(4, "little") + page)
    assert tiff_pages(tmp_path / "a.tif") == 1
    (tmp_path / "b.tif").write_bytes(b"II*\0" + (8).to_bytes(4, "little") + page[:3])
    assert tiff_pages(tmp_path / "b.tif") == 0


def test_an_animated_png_is_played(tmp_path: Path) -> None:
    PAGES[0].save(tmp_path / "a.png", save_all=True, append_images=PAGES[1:], duration=40)
    source = open_source(tmp_path / "a.png")
    assert source.kind == "video"
    assert [round(float(frame.image.mean())) for frame in source] == [0, 40, 80, 120]
    PAGES[0].save(tmp_path / "b.png")
    assert "is a single image" in refused(tmp_path / "b.png")


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.bin", b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5"),
        ("a.mp4", b"%PDF-1.4\n", "a PDF"),
        ("a.npz", b"PK\x03\x04" + bytes(99), "arrays of NumPy"),
        ("s.sens", bytes(99), "ScanNet"),
        ("a.svo2", bytes(99), "ZED"),
        ("DJI_1.SRT", b"1\n00:00:00,000 --> 00:00:01,000\n", "telemetry"),
        ("a.yuv", bytes(9999), "frames without a header"),
        ("a.txt", b"# timestamp tx ty tz qx qy qz qw\n0.1 1 2 3 0 0 0 1\n", "`vgslam eval` scores"),
    ],
)
def test_other_files_are_called_by_their_name(name: str, data: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    assert says in refused(tmp_path / name)


def test_a_pipe_among_the_images_is_not_waited_for(tmp_path: Path, write_images: ImageWriter) -> None:
    write_images(tmp_path, NAMES)
    os.mkfifo(tmp_path / "1b.png")
    source = open_source(tmp_path)
    assert [frame.name for frame in source] == NAMES
    assert any("not a file: 1b.png" in line for line in source.warnings)
