"""The camera of a source, and what is said where a file holds one that is not calibrated."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from vgslam.session import choose_camera as module
from vgslam.session.choose_camera import choose_camera
from vgslam.session.self_calibration import CalibrationEstimate
from vgslam.slam_config import SlamConfig
from vgslam.sources.live import LiveImage, LiveOptions, LiveSource
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions
from vgslam.types import Camera

SIZE = (64, 48)
GUESS = Camera.from_fov(*SIZE, 60.0)
ZEROS = {"width": 64, "height": 48, "k": [0.0] * 9, "d": [], "distortion_model": ""}


@pytest.fixture(autouse=True)
def stubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimate without the work."""
    monkeypatch.setattr(module, "estimated_camera", lambda *_: CalibrationEstimate(GUESS, 1.0, True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "frames").mkdir()
    for i in range(2):
        assert cv2.imwrite(str(tmp_path / "frames" / f"{i}.png"), np.full((48, 64, 3), i, np.uint8))
    return tmp_path / "frames"


def said_of(source: object, of_map: Camera | None = None) -> tuple[Camera, list[str]]:
    said: list[str] = []
    camera, _ = choose_camera(source, None, of_map, SlamConfig(), said.append)  # type: ignore[arg-type]
    return camera, said


def test_a_file_of_an_uncalibrated_driver_is_said_before_the_estimate(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "camera_info.yaml"
    file.write_text(json.dumps(ZEROS))
    source = open_source(folder, SourceOptions(calib=file))
    assert source.camera is None
    camera, said = said_of(source)
    assert camera == GUESS
    assert said[0].startswith(f"{file} holds a camera that is not calibrated: estimating the field of view")
    assert f"{file}: says that the camera is not calibrated (the camera matrix is all zeros)" in source.warnings[-1]
    _, said = said_of(source, GUESS)
    assert said[0].startswith(f"{file} holds a camera that is not calibrated: the map's camera is taken")


def test_a_live_source_says_so_too(tmp_path: Path) -> None:
    file = tmp_path / "camera_info.yaml"
    file.write_text(json.dumps(ZEROS))
    images = [LiveImage(lambda: np.zeros((48, 64, 3), np.uint8), float(i)) for i in range(2)]
    source = LiveSource("t", "t", lambda: iter(images), LiveOptions(file, True, 0.0))
    source.open()
    assert said_of(source)[1][0].startswith(f"{file} holds a camera that is not calibrated: estimating")
    source.close()


def test_without_a_file_nothing_is_said_of_one(folder: Path) -> None:
    assert said_of(open_source(folder))[1][0].startswith("no calibration: estimating")
