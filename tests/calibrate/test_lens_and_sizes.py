"""A lens model that does not fit is doubted, and images of another size are left out and named."""

from pathlib import Path

import cv2
import pytest
from board_pictures import checkerboard, picture, tilted
from calibrate.test_calibrate import FISHEYE, PINHOLE, SIZE, SMALL, views_of

from vgslam.calibrate.judge import calibrate
from vgslam.calibrate.lens import held_out_px
from vgslam.cli import main
from vgslam.errors import CalibrationError
from vgslam.sources.calibration import read_calibration
from vgslam.types import Camera

PLAIN = Camera(520.0, 515.0, 330.0, 236.0, *SIZE)
"""Both models describe it: a fisheye's polynomial is that of the tangent."""


def test_a_fisheye_for_a_pinhole_is_doubted() -> None:
    """Or refused: on some processors OpenCV's fisheye finds nothing in these views."""
    try:
        told = calibrate(views_of(PLAIN, 30, 11.0), SIZE, 30, "fisheye").doubts
    except CalibrationError as error:
        told = (str(error),)
    (doubt,) = [line for line in told if "--lens pinhole" in line]
    assert "a pinhole fits" in doubt


def test_a_pinhole_for_a_fisheye_is_doubted() -> None:
    """The view is so wide that no corner is seen at the border, where a pinhole cannot follow at all."""
    views = views_of(FISHEYE, 40, 9.0)
    got = calibrate(views, SIZE, 40, "pinhole")
    assert any("a fisheye fits better" in line and "--lens fisheye" in line for line in got.doubts)


@pytest.mark.parametrize(("camera", "distance", "lens"), [(PINHOLE, 11.0, "pinhole"), (FISHEYE, 5.5, "fisheye")])
def test_the_right_lens_raises_no_doubt(camera: Camera, distance: float, lens: str) -> None:
    got = calibrate(views_of(camera, 30, distance), SIZE, 30, lens)  # type: ignore[arg-type]
    assert not any("--lens" in line for line in got.doubts)


def test_where_a_model_cannot_be_fitted_the_other_is_named() -> None:
    with pytest.raises(CalibrationError, match=r"no fisheye camera.*a pinhole fits.*0\.1\d\d px RMS: --lens pinhole"):
        calibrate(views_of(PINHOLE, 30, 11.0), SIZE, 30, "fisheye")


def test_corners_that_were_held_out_are_off_by_their_noise() -> None:
    """0.1 px in x and in y, and the pose by as many corners: a little more than 0.14 px."""
    assert held_out_px(views_of(PLAIN, 20, 11.0), SIZE, False) == pytest.approx(0.15, abs=0.02)


def test_images_of_another_size_are_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three of twelve are smaller, of the same aspect: scaled they would be of another camera."""
    texture, _, _ = checkerboard(9, 6)
    for i, (rotation, centre, distance) in enumerate(tilted(12, SMALL, 1.2)):
        image = picture(texture, SMALL, rotation, centre, distance)
        cv2.imwrite(str(tmp_path / f"{i:03d}.png"), image[:270, :360] if i in (1, 5, 9) else image)
    out = tmp_path / "camera.json"
    assert main(["calibrate", str(tmp_path), "--board", "checkerboard:9x6", "--out", str(out)]) == 0
    err = capsys.readouterr().err
    assert "3 images are not of 480x360 px, the size of most, and are left out: 001.png (360x270), 005.png" in err
    assert "scaled" not in err
    camera = read_calibration(out, (480, 360))
    assert camera is not None
    assert camera.fx == pytest.approx(SMALL.fx, rel=0.01)


@pytest.mark.parametrize("command", ["calibrate", "run"])
def test_an_address_in_the_place_of_a_recording_says_what_takes_it(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--board", "checkerboard:9x6"] if command == "calibrate" else []
    assert main([command, "rtsp://user:secret@camera/stream", *words]) == 2
    err = capsys.readouterr().err
    assert "`vgslam live rtsp://camera/stream`" in err
    assert "secret" not in err
