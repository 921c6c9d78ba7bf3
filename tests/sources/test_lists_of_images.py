"""Lists that name images: the name says which image has a time, wherever it stands and wherever the image lies."""

from pathlib import Path

import pytest
from sources.conftest import ImageWriter

from vgslam.errors import InputError
from vgslam.sources import open_source

NAMES = [f"{i}.png" for i in range(5)]
NS = [1403636579763555584 + 50_000_000 * i for i in range(5)]


def plain(path: Path, write_images: ImageWriter, rows: list[str]) -> Path:
    write_images(path / "images", NAMES)
    (path / "times.txt").write_text("\n".join(rows))
    return path


def named_times(path: Path) -> dict[str, float]:
    return dict(open_source(path).names_and_times())  # type: ignore[attr-defined]


@pytest.mark.parametrize("row", [
    "{t} {n}.png", "{n}.png {t}", "{t},images/{n}.PNG", "images\\{n}.png;{t}", "{t} /home/someone/{n}.png more",
])  # fmt: skip
def test_times_belong_to_the_images_that_a_list_names(row: str, tmp_path: Path, write_images: ImageWriter) -> None:
    order = [3, 0, 4, 1, 2]
    rows = [row.format(n=n, t=0.1 * n) for n in [*order, 7]]
    assert named_times(plain(tmp_path, write_images, rows)) == pytest.approx({f"{n}.png": 0.1 * n for n in range(5)})


def test_an_image_that_a_list_does_not_name_is_told(tmp_path: Path, write_images: ImageWriter) -> None:
    with pytest.raises(InputError, match=r"times.txt: names no time of 2 of 5 images \(1.png, ...\)"):
        open_source(plain(tmp_path, write_images, ["0.0 0.png", "0.2 2.png", "0.4 4.png"]))


@pytest.mark.parametrize("row", ["0,{i}00;", "0,{i}00;{i}.png"])
def test_between_semicolons_a_comma_is_that_of_decimals(row: str, tmp_path: Path, write_images: ImageWriter) -> None:
    rows = [row.format(i=i) for i in range(5)]
    assert list(named_times(plain(tmp_path, write_images, rows)).values()) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("where", ["", "/data/elsewhere/rgb/", "colour/"])
def test_images_of_a_list_are_found_in_the_folder_of_images(
    where: str, tmp_path: Path, write_images: ImageWriter
) -> None:
    write_images(tmp_path / "rgb", NAMES)
    (tmp_path / "rgb.txt").write_text("".join(f"{100 + 0.1 * i} {where}{i}.png\n" for i in range(5)))
    assert list(named_times(tmp_path)) == NAMES
    write_images(tmp_path / "mav0/cam0/data", [f"{t}.png" for t in NS])
    (tmp_path / "mav0/cam0/data.csv").write_text("".join(f"{t},{where}{t}.png\n" for t in NS))
    assert len(named_times(tmp_path / "mav0")) == 5


def test_an_image_that_is_listed_twice_is_one_frame(tmp_path: Path, write_images: ImageWriter) -> None:
    write_images(tmp_path / "rgb", NAMES)
    rows = [f"{100 + 0.1 * i} rgb/{i}.png\n" for i in range(5)]
    (tmp_path / "rgb.txt").write_text("".join([*rows, *rows[1:3]]))
    source = open_source(tmp_path)
    assert [f.timestamp_s for f in source] == pytest.approx([100, 100.1, 100.2, 100.3, 100.4])
    assert source.warnings[0] == "2 images used once, listed again in rgb.txt: 1.png, 2.png"


def test_a_camera_of_euroc_is_a_sequence_with_its_times(tmp_path: Path, write_images: ImageWriter) -> None:
    camera = tmp_path / "mav0" / "cam1"
    write_images(camera / "data", NAMES)
    (camera / "data.csv").write_text("".join(f"{t},{i}.png\n" for i, t in enumerate(NS)))
    source = open_source(camera)
    assert source.kind == "euroc"
    assert [f.timestamp_s for f in source] == pytest.approx([t / 1e9 for t in NS])


def test_a_sequence_within_is_named_with_what_belongs_to_it(tmp_path: Path, write_images: ImageWriter) -> None:
    """Its images alone have no times and no calibration."""
    sequence = tmp_path / "sequences" / "00"
    for name in ("image_0", "image_1"):
        write_images(sequence / name, NAMES)
    (sequence / "times.txt").write_text("0\n" * 5)
    with pytest.raises(InputError) as told:
        open_source(tmp_path)
    assert f"its 5 images are in sequences/00/; give {sequence}" in str(told.value)
