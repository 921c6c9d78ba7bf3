"""Folders in which not all images belong together: other sizes, other cameras, depth, photos that are not read."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from vgslam.errors import InputError
from vgslam.sources import open_source
from vgslam.sources.image_files import MOST_HEADERS, those_of_usual_size

Picture = Callable[..., np.ndarray]


@pytest.fixture
def textured() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (48, 64, 3)).astype(np.uint8)


def write(folder: Path, names: list[str], image: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / name), image)
    return folder


def test_the_size_of_most_is_taken_and_others_are_scaled_or_left_out(tmp_path: Path, textured: np.ndarray) -> None:
    """The smaller ones lie where a few evenly spread looks would meet them alone."""
    for i in range(17):
        cv2.imwrite(str(tmp_path / f"{i:02d}.png"), cv2.resize(textured, (32, 24)) if i % 4 == 0 else textured)
    cv2.imwrite(str(tmp_path / "17.png"), textured[:, :40])
    source = open_source(tmp_path)
    frames = list(source)
    assert [f.image.shape for f in frames] == [(48, 64, 3)] * 17
    assert any("5 images scaled to 64x48, their size differed: 00.png, 04.png" in w for w in source.warnings)
    assert any("1 image skipped, size differs from 64x48: 17.png" in w for w in source.warnings)


def test_sizes_of_long_folders_are_sampled_without_a_rhythm(tmp_path: Path, textured: np.ndarray) -> None:
    n = 3 * MOST_HEADERS
    large, small = (cv2.imencode(".png", image)[1].tobytes() for image in (textured, textured[:24, :32]))
    files = [tmp_path / f"{i:04d}.png" for i in range(n)]
    for i, file in enumerate(files):
        file.write_bytes(small if i % 3 == 0 else large)
    usual = those_of_usual_size(files)
    assert MOST_HEADERS / 2 < len(usual) < MOST_HEADERS
    assert all(i % 3 for i in usual)
    (tmp_path / "0.png").write_bytes(b"nothing")
    assert those_of_usual_size([tmp_path / "0.png", tmp_path / "gone.png"]) == [0, 1]


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ("left_{:03d}.png", "right_{:03d}.png", "left_#.png: 6, right_#.png: 6"),
        ("{:03d}.png", "{:03d}_depth.png", "#.png: 6, #_depth.png: 6"),
        ("cam0_{:03d}.png", "cam1_{:03d}.png", "cam0_#.png: 6, cam1_#.png: 6"),
        ("{:03d}.jpg", "{:03d}.png", "#.jpg: 6, #.png: 6"),
    ],
)
def test_two_series_in_a_folder_are_no_sequence(
    a: str, b: str, said: str, tmp_path: Path, textured: np.ndarray
) -> None:
    write(tmp_path, [name.format(i) for name in (a, b) for i in range(6)], textured)
    with pytest.raises(InputError, match="2 series of images with the same numbers") as no:
        open_source(tmp_path)
    assert said in str(no.value)


@pytest.mark.parametrize(
    "names",
    [
        ["img1.png", "IMG2.png", "img3.png", "IMG4.png", "img5.png", "IMG6.png"],
        [f"img_{i}.png" for i in range(12)] + [f"edited_{i}.png" for i in range(3)],
        [f"a_{i}.png" for i in range(5)] + [f"b_{i}.png" for i in range(5, 10)],
        [f"2024-01-0{d}_{i:02d}.png" for d in (1, 2) for i in range(5)],
    ],
    ids=["case", "a few", "one after the other", "days"],
)
def test_names_of_two_kinds_may_be_one_sequence(names: list[str], tmp_path: Path, textured: np.ndarray) -> None:
    write(tmp_path, names, textured)
    assert open_source(tmp_path).n_frames == len(names)


@pytest.mark.parametrize(("suffix", "kind"), [("heic", "HEIC"), ("DNG", "raw"), ("jxl", "JPEG XL")])
def test_photos_that_are_not_read_are_named(suffix: str, kind: str, tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.{suffix}").write_bytes(b"....ftypheic")
    with pytest.raises(InputError, match=f"its images are {kind}, which cannot be read here; convert them"):
        open_source(tmp_path)
    with pytest.raises(InputError, match="is a single image"):
        open_source(tmp_path / f"0.{suffix}")
