"""Names of images that are times, and numbers that are none."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vgslam.sources import SourceOptions, open_source
from vgslam.sources.folder import times_in_names

NS = [1403636579763555584, 1403636579813555456, 1403636579863555584, 1403636579963555584]
SAID = "the names of the images are taken for their times"


def found(names: list[str]) -> tuple[list[str], list[float]] | None:
    taken = times_in_names([Path(name) for name in names])
    return None if taken is None else ([file.name for file in taken[0]], taken[1].tolist())


@pytest.mark.parametrize(
    ("names", "times_s"),
    [
        ([f"{n}.png" for n in NS], [n / 10**9 for n in NS]),
        (["1700000000000000.jpg", "1700000000033333.jpg"], [1700000000.0, 1700000000.033333]),
        (["1700000000000.jpg", "1700000000033.jpg"], [1700000000.0, 1700000000.033]),
        (["1305031102.175304.png", "1305031102.211214.png"], [1305031102.175304, 1305031102.211214]),
        (["1000000000.0.png", "1000000010.0.png"], [1e9, 1e9 + 10]),  # the first and the farthest apart
    ],
)
def test_times(names: list[str], times_s: list[float]) -> None:
    assert found(names) == (names, times_s)


def test_fractions_are_ordered_by_value() -> None:
    """As whole numbers 2 would come before 175304."""
    names = ["1305031102.2.png", "1305031102.175304.png", "1305031102.25.png"]
    assert found(names) == ([names[1], names[0], names[2]], [1305031102.175304, 1305031102.2, 1305031102.25])


@pytest.mark.parametrize(
    "names",
    [
        ["000001.png", "000002.png"],
        ["1.5.png", "2.5.png"],
        ["1700000000.png", "1700000001.png"],  # whole seconds
        ["2011093001.png", "2011093002.png"],  # a date and a counter
        ["1000000000001.png", "1000000000002.png", "1000000000003.png"],  # a counter of 13 digits
        ["20231128073046.png", "20231128073047.png"],  # dates
        ["2023112807304612.png", "2023112807304615.png"],  # in us .003 ms apart
        ["1403636579763555584.png", "1403636579763555585.png"],  # in ns too close
        ["1700000000000.png", "1700000011000.png"],  # 11 s apart
        ["0999999999.5.png", "0999999999.6.png"],  # before 2001
        ["4200000000.5.png", "4200000000.6.png"],  # after 2099
        ["1305031102.175304.png", "1305031102.175304.jpg", "1305031102.211214.png"],  # one time twice
        ["1305031102.175304.png", "frame.png"],
        ["1700000000000.png", "1700000000033000.png"],  # of two kinds
        ["img_1700000000000.png", "img_1700000000033.png"],
        ["1700000000000.png"],
        [],
    ],
)
def test_numbers_that_are_no_times(names: list[str]) -> None:
    assert found(names) is None


@pytest.mark.parametrize("is_plain", [True, False])
def test_a_folder_takes_them_unless_a_list_or_a_rate_says_otherwise(
    tmp_path: Path, write_images: Callable[..., list[np.ndarray]], is_plain: bool
) -> None:
    write_images(tmp_path / "images", [f"{n}.png" for n in NS])
    folder = tmp_path if is_plain else tmp_path / "images"
    source = open_source(folder)
    assert [f.timestamp_s for f in source] == [n / 10**9 for n in NS]
    assert source.warnings == [f"{SAID} (nanoseconds, 20 frames/s); with --fps they are numbers"]
    by_rate = open_source(folder, SourceOptions(fps=10.0))
    assert [f.timestamp_s for f in by_rate] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert by_rate.warnings == []
    (folder / "times.txt").write_text("5\n5.1\n5.2\n5.3\n")
    listed = open_source(folder)
    assert [f.timestamp_s for f in listed] == [5.0, 5.1, 5.2, 5.3]
    assert listed.warnings == []


def test_numbered_images_stay_numbered(tmp_path: Path, write_images: Callable[..., list[np.ndarray]]) -> None:
    write_images(tmp_path, ["000001.png", "000002.png", "000005.png"])
    source = open_source(tmp_path)
    np.testing.assert_allclose(np.diff([f.timestamp_s for f in source]), [1 / 30, 1 / 30])
    assert not any(SAID in line for line in source.warnings)
