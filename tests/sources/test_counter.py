"""A camera's counter that begins again: which images were taken first."""

from pathlib import Path

import pytest

from vgslam.sources import open_source
from vgslam.sources.counter import begun_again, date_of
from vgslam.sources.image_files import list_images


def named(folder: Path, numbers: list[int], name: str = "IMG_{:04d}.JPG") -> list[Path]:
    return [folder / name.format(n) for n in sorted(numbers)]


def around(last: int, first: int, n: int = 5) -> list[int]:
    """The n numbers up to `last`, and the n from `first` on."""
    return [last - i for i in range(n)] + [first + i for i in range(n)]


@pytest.mark.parametrize(
    ("numbers", "name", "n"),
    [
        (around(9999, 1), "IMG_{:04d}.JPG", 5),
        (around(9999, 0), "_MG_{:04d}.jpg", 5),
        (around(9999, 1), "DSC{:05d}.JPG", 5),  # five digits that count to 9999
        (around(99999, 1), "{:05d}.png", 5),
        (around(999, 1), "G{:03d}.png", 0),  # too few digits: 1 to 5 and 995 to 999
        (around(9950, 49), "IMG_{:04d}.JPG", 5),  # 99 from 9950 to 10049
        (around(9950, 51), "IMG_{:04d}.JPG", 0),  # 101
        ([*around(9999, 1), 9890], "IMG_{:04d}.JPG", 0),  # 105 are missing before 9995
        ([*around(9999, 1), 9896], "IMG_{:04d}.JPG", 5),  # 98
        (list(range(9990, 10010)), "IMG_{:05d}.JPG", 0),
        ([*range(1, 4900, 90), *range(9990, 10000)], "IMG_{:04d}.JPG", 55),  # 5090 apart
        ([*range(1, 5100, 90), *range(9990, 10000)], "IMG_{:04d}.JPG", 0),  # 4899
        (around(9999, 1), "IMG_{}.JPG", 0),  # of one to four digits: no counter of a camera
        ([9999, 1], "IMG_{:04d}.JPG", 1),
        ([1], "IMG_{:04d}.JPG", 0),
    ],
)
def test_where_it_begins_again(numbers: list[int], name: str, n: int, tmp_path: Path) -> None:
    assert begun_again(named(tmp_path, numbers, name)) == n


def test_other_names_say_nothing(tmp_path: Path) -> None:
    files = [*named(tmp_path, [1, 2, 3], "a_{:04d}.jpg"), *named(tmp_path, [9997, 9998, 9999], "b_{:04d}.jpg")]
    assert begun_again(files) == 0
    assert begun_again([*named(tmp_path, around(9999, 1)), tmp_path / "cover.jpg"]) == 0
    assert begun_again([]) == 0


def dated(date: bytes) -> bytes:
    return b"\xff\xd8\xff\xe1\x00\x60Exif\0\0II*\0" + b"\0" * 20 + b"2030:01:01 00:00:00\0" + date + b"\0"


def test_dates_in_the_images_may_deny_it(tmp_path: Path) -> None:
    files = named(tmp_path, around(9999, 1))
    files[0].write_bytes(dated(b"2024:05:01 10:00:09"))
    files[-1].write_bytes(dated(b"2024:05:01 10:00:08"))
    assert date_of(files[0]) == b"2024:05:01 10:00:09\0"
    assert begun_again(files) == 5
    files[-1].write_bytes(dated(b"2024:05:01 10:00:10"))
    assert begun_again(files) == 0, "IMG_0001 was taken first"
    files[-1].write_bytes(b"\xff\xd8" + b"2024:05:01 10:00:10\0")
    assert date_of(files[-1]) is None
    assert date_of(tmp_path / "missing.jpg") is None
    assert date_of(tmp_path) is None
    assert begun_again(files) == 5


def test_a_folder_is_read_in_the_order_in_which_it_was_taken(tmp_path: Path, write_images) -> None:
    taken = [*range(9996, 10000), *range(1, 5)]
    write_images(tmp_path, [f"IMG_{n:04d}.png" for n in taken])
    source = open_source(tmp_path)
    frames = list(source)
    assert [f.name for f in frames] == [f"IMG_{n:04d}.png" for n in taken]
    assert list_images(tmp_path)[0].name == "IMG_0001.png"
    said = [w for w in source.warnings if "counter" in w]
    assert said == [
        "the camera's counter begins again: IMG_9999.png is followed by IMG_0001.png, which is not the order of the "
        "names; IMG_9996.png is the first image"
    ]


def test_a_list_of_times_is_of_the_names_in_their_order_and_says_so(tmp_path: Path, write_images) -> None:
    write_images(tmp_path / "images", [f"IMG_{n:04d}.png" for n in (9998, 9999, 1, 2)])
    (tmp_path / "times.txt").write_text("".join(f"{0.1 * n:.1f}\n" for n in range(4)))
    source = open_source(tmp_path)
    assert len(list(source)) == 4
    assert [w for w in source.warnings if "counter" in w] == [
        "times.txt: its rows are taken for the images in the order of their names, IMG_0001.png first, though their "
        "camera's counter begins again"
    ]
    rows = [f"{0.1 * i:.1f} IMG_{n:04d}.png\n" for i, n in enumerate((9998, 9999, 1, 2))]
    (tmp_path / "times.txt").write_text("".join(rows))
    source = open_source(tmp_path)
    assert [f.name for f in source] == [f"IMG_{n:04d}.png" for n in (9998, 9999, 1, 2)]
    assert not any("counter" in w for w in source.warnings)
