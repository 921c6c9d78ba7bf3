"""A folder or a file that is no input as a whole says where the images are, or what it is instead."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from sources.conftest import ImageWriter

from vgslam.errors import InputError
from vgslam.sources import SourceOptions, open_source
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
        ("rtabmap.db", b"SQLite format 3\0" + bytes(99), "a database (RTAB-Map, COLMAP, ...)"),
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


def test_images_within_images_are_named(tmp_path: Path, write_images: ImageWriter) -> None:
    write_images(tmp_path / "images" / "dslr", NAMES)
    assert f"its 3 images are in dslr/; give {tmp_path / 'images' / 'dslr'}" in refused(tmp_path)


def test_a_camera_of_kittis_raw_recordings_has_dates_for_times(tmp_path: Path, write_images: ImageWriter) -> None:
    """1317384145 is 12:02:25 of that day in UTC."""
    write_images(tmp_path / "data", [f"{i:010d}.png" for i in range(3)])
    rows = [f"2011-09-30 12:02:25.{i}00000000\n" for i in range(3)]
    (tmp_path / "timestamps.txt").write_text("".join(rows))
    times = [frame.timestamp_s for frame in open_source(tmp_path)]
    assert open_source(tmp_path).kind == "plain"
    assert times == pytest.approx([1317384145.0, 1317384145.1, 1317384145.2], abs=1e-6)


def test_the_cameras_of_a_raw_recording_are_listed_with_their_times(tmp_path: Path, write_images: ImageWriter) -> None:
    for camera in ("image_00", "image_02"):
        write_images(tmp_path / "drive" / camera / "data", NAMES)
        (tmp_path / "drive" / camera / "timestamps.txt").write_text("0\n1\n2\n")
    assert "drive/image_00/ (3), drive/image_02/ (3)" in refused(tmp_path)


def test_a_calibration_beside_that_is_not_used_is_told(tmp_path: Path, write_images: ImageWriter) -> None:
    write_images(tmp_path / "images", NAMES)
    file = tmp_path / "sparse" / "0" / "cameras.txt"
    file.parent.mkdir(parents=True)
    file.write_text("1 PINHOLE 64 48 60 60 32 24\n")
    assert f"{file} may be the calibration of these images, and is not used: --calib {file} uses it" in open_source(
        tmp_path
    ).warnings
    chosen = open_source(tmp_path, SourceOptions(calib=file))
    assert chosen.camera is not None
    assert not any("may be the calibration" in line for line in chosen.warnings)
