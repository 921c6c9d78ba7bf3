"""`--mask`: read in the frames as recorded, refused where it does not fit, and written in the same form."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from vgslam.errors import InputError
from vgslam.session.masks import doubt_of_mask, mask_png, read_mask
from vgslam.sources.undistort import Undistorter
from vgslam.types import Camera

CAMERA = Camera(300.0, 300.0, 159.5, 119.5, 320, 240)
LENS = Camera(300.0, 300.0, 159.5, 119.5, 320, 240, (-0.2, 0.05, 0.0, 0.0))


@dataclass
class Source:
    undistorter: Undistorter | None = None


def written(path, picture: np.ndarray):
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    return path


def half() -> np.ndarray:
    picture = np.full((240, 320), 255, np.uint8)
    picture[150:] = 0
    return picture


def test_black_is_ignored_and_white_used_in_colour_too(tmp_path):
    ignored = read_mask(written(tmp_path / "m.png", half()), Source(), CAMERA)
    assert np.array_equal(ignored, half() == 0)
    colour = np.repeat(half()[..., None], 3, axis=2)
    assert np.array_equal(read_mask(written(tmp_path / "c.png", colour), Source(), CAMERA), ignored)


def test_what_does_not_fit_is_refused_in_one_line(tmp_path):
    for picture, says in ((half()[:100], "320x100"), (np.zeros((240, 320), np.uint8), "black")):
        with pytest.raises(InputError, match=says) as refused:
            read_mask(written(tmp_path / "m.png", picture), Source(), CAMERA)
        assert "\n" not in str(refused.value)
    (tmp_path / "text.png").write_text("no picture")
    for name in ("text.png", "missing.png"):
        with pytest.raises(InputError, match="not a picture"):
            read_mask(tmp_path / name, Source(), CAMERA)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(InputError, match="not a picture"):
        read_mask(tmp_path / "empty.png", Source(), CAMERA)


def test_a_mask_that_was_written_reads_back_the_same(tmp_path):
    ignored = half() == 0
    (tmp_path / "m.png").write_bytes(mask_png(ignored, Source()))
    assert np.array_equal(read_mask(tmp_path / "m.png", Source(), CAMERA), ignored)


def test_the_mask_is_of_the_frames_as_recorded(tmp_path):
    source = Source(Undistorter(LENS))
    path = written(tmp_path / "m.png", half())
    ignored = read_mask(path, source, source.undistorter.camera)
    expected = source.undistorter(half()) < 128
    assert np.array_equal(ignored, expected)
    assert not np.array_equal(ignored, half() == 0)
    path.write_bytes(mask_png(ignored, source))
    assert (read_mask(path, source, source.undistorter.camera) ^ ignored).mean() < 0.01


def test_a_mask_that_leaves_little_is_doubted():
    ignored = np.ones((240, 320), bool)
    ignored[:, :32] = False
    assert "m.png: the mask leaves 10 % of the image" in doubt_of_mask(Path("m.png"), ignored)[0]
    assert doubt_of_mask(Path("m.png"), ~ignored) == []
