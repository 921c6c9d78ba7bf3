"""Which images `vgslam calibrate` looks at, as they were recorded, and that it reads back what it has written."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from vgslam.calibrate.views import BoardView
from vgslam.commands import calibrate as module
from vgslam.commands.calibrate import CalibrateArgs, _check, _views, run_calibrate, written
from vgslam.errors import OutputError
from vgslam.types import Camera

CAMERA = {"width": 64, "height": 48, "fx": 60.0, "fy": 60.0, "cx": 31.5, "cy": 23.5}


class Board:
    """Finds its corners in every image, and notes what it saw."""

    note = ""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def find(self, gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.seen.append(gray)
        return np.zeros((4, 3)), np.zeros((4, 2))


def folder(path: Path, n: int, size: tuple[int, int] = (16, 12)) -> Path:
    path.mkdir(exist_ok=True)
    for i in range(n):
        image = np.random.default_rng(i).integers(0, 256, (size[1], size[0]), np.uint8)
        cv2.imwrite(str(path / f"{i:04d}.png"), image)
    return path


def looked_at(path: Path, **options: object) -> tuple[list[BoardView], int, tuple[int, int], Board]:
    board = Board()
    return *_views(CalibrateArgs(path, **options), board), board  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(("n", "n_seen"), [(240, 240), (241, 121)])
def test_two_hundred_and_forty_images_are_the_most(tmp_path: Path, n: int, n_seen: int) -> None:
    views, n_images, size, _ = looked_at(folder(tmp_path / "a", n))
    assert (len(views), n_images, size) == (n_seen, n_seen, (16, 12))


def test_images_of_another_size_are_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder(tmp_path / "a", 5)
    cv2.imwrite(str(path / "0002.png"), np.zeros((24, 16), np.uint8))
    views, n_images, _, board = looked_at(path)
    assert (len(views), n_images) == (4, 4)
    assert {gray.shape for gray in board.seen} == {(12, 16)}
    told = "1 images are not of 16x12 px, the size of most, and are left out: 0002.png (24x16)"
    assert told in capsys.readouterr().err


def test_what_calibration_images_come_with_is_not_applied(tmp_path: Path) -> None:
    path = folder(tmp_path / "a", 3, (64, 48))
    distorted = {**CAMERA, "distortion": [-0.3, 0.1, 0.0, 0.0]}
    (path / "calib.json").write_text(json.dumps(distorted))
    *_, board = looked_at(path)
    for i, gray in enumerate(board.seen):
        assert np.array_equal(gray, cv2.imread(str(path / f"{i:04d}.png"), cv2.IMREAD_GRAYSCALE))


def test_views_of_a_video_have_the_numbers_of_its_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder(tmp_path / "a", 9)
    original = module.open_source

    def nameless(*args, **kwargs):
        source = original(*args, **kwargs)
        frames = type(source).__iter__
        monkeypatch.setattr(type(source), "__iter__", lambda self: (replace(f, name=None) for f in frames(self)))
        return source

    monkeypatch.setattr(module, "open_source", nameless)
    views, *_ = looked_at(path, stride=3)
    assert [v.name for v in views] == ["frame 0", "frame 3", "frame 6"]


def test_a_file_that_is_read_back_otherwise_is_an_error(tmp_path: Path) -> None:
    camera = Camera(60.0, 60.0, 31.5, 23.5, 64, 48)
    (tmp_path / "c.json").write_text(json.dumps(CAMERA))
    _check(tmp_path / "c.json", SimpleNamespace(camera=camera))  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="is not read back as it was written"):
        _check(tmp_path / "c.json", SimpleNamespace(camera=replace(camera, fx=60.5)))  # type: ignore[arg-type]


def test_a_folder_is_no_file_to_write_even_where_it_may_be_replaced(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder; give the name of a file"):
        run_calibrate(CalibrateArgs(tmp_path / "none", board="checkerboard:9x6", out=tmp_path, overwrite=True))


@pytest.mark.parametrize("is_fisheye", [False, True])
def test_the_lens_model_is_written(tmp_path: Path, is_fisheye: bool) -> None:
    lens = (0.1, 0.01, 0.0, 0.0)
    camera = Camera(60.0, 60.0, 31.5, 23.5, 64, 48, distortion=lens, is_fisheye=is_fisheye)
    found = SimpleNamespace(camera=camera, rms_px=0.1, n_views=9, coverage=0.9, fx_sigma_px=0.5)
    (tmp_path / "c.json").write_text(json.dumps(written(found)))  # type: ignore[arg-type]
    _check(tmp_path / "c.json", found)  # type: ignore[arg-type]


@pytest.mark.parametrize("lens", ["auto", "pinhole", "fisheye"])
def test_the_lens_that_is_asked_for_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lens: str) -> None:
    asked: list[tuple[int, tuple[int, int], int, str]] = []

    def calibrate(views: list[BoardView], size: tuple[int, int], n: int, lens: str) -> None:
        asked.append((len(views), size, n, lens))
        raise OutputError("enough")

    monkeypatch.setattr(module, "calibrate", calibrate)
    monkeypatch.setattr(module, "finder", lambda text: Board())
    with pytest.raises(OutputError, match="enough"):
        run_calibrate(CalibrateArgs(folder(tmp_path / "a", 3), board="x", out=tmp_path / "c.json", lens=lens))  # type: ignore[arg-type]
    assert asked == [(3, (16, 12), 3, lens)]
