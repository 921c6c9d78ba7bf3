"""Calibration files, their scaling to the images, and what is refused."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from vgslam.errors import CalibrationError
from vgslam.sources.calibration import fit_to_image, read_calibration
from vgslam.types import Camera

GOOD = {"width": 640, "height": 480, "fx": 500.0, "fy": 510.0, "cx": 320.0, "cy": 241.0, "distortion": [0.1, 0.2, 0, 0]}

ROS_YAML = """image_width: 640
image_height: 480
camera_name: cam
camera_matrix:
  rows: 3
  cols: 3
  data: [500, 0, 320, 0, 510, 241, 0, 0, 1]
distortion_model: {model}
distortion_coefficients:
  rows: 1
  cols: {n}
  data: {d}
rectification_matrix: {{rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}}
projection_matrix: {{rows: 3, cols: 4, data: [450, 0, 320, 0, 0, 450, 241, 0, 0, 0, 1, 0]}}
"""


def write_json(folder: Path, **changes: object) -> Path:
    path = folder / "calib.json"
    path.write_text(json.dumps({**GOOD, **changes}))
    return path


def test_json(tmp_path: Path) -> None:
    camera = read_calibration(write_json(tmp_path))
    assert camera == Camera(500, 510, 320, 241, 640, 480, (0.1, 0.2, 0.0, 0.0))


def test_json_defaults(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"width": 640, "height": 480, "fx": 500}')
    assert read_calibration(tmp_path / "c.json") == Camera(500, 500, 319.5, 239.5, 640, 480)
    (tmp_path / "c.json").write_text('{"fx": 500}')
    assert read_calibration(tmp_path / "c.json", (64, 48)) == Camera(500, 500, 31.5, 23.5, 64, 48)
    with pytest.raises(CalibrationError, match="width and height are missing"):
        read_calibration(tmp_path / "c.json")


@pytest.mark.parametrize("changes", [{"fx": None, "fy": None}, {"fx": None, "fy": None, "distortion": None}])
def test_unknown_focal_length_is_no_camera(tmp_path: Path, changes: dict) -> None:
    assert read_calibration(write_json(tmp_path, **changes)) is None


def test_opencv_yaml_as_opencv_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "c.yml"
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("image_width", 640)
    storage.write("image_height", 480)
    storage.write("camera_matrix", np.array([[500.0, 0, 320], [0, 510, 241], [0, 0, 1]]))
    storage.write("distortion_coefficients", np.array([[0.1, 2e-5, 0.0, -0.001, 0.5]]))
    storage.write("avg_reprojection_error", 0.25)
    storage.release()
    assert "opencv-matrix" in path.read_text()
    assert read_calibration(path) == Camera(500, 510, 320, 241, 640, 480, (0.1, 2e-5, 0.0, -0.001, 0.5))


@pytest.mark.parametrize(
    ("model", "d", "expected"),
    [
        ("plumb_bob", "[0.1, 0.2, 0.3, 0.4, 0.5]", Camera(500, 510, 320, 241, 640, 480, (0.1, 0.2, 0.3, 0.4, 0.5))),
        ("plumb_bob", "[0, 0, 0, 0, 0]", Camera(500, 510, 320, 241, 640, 480)),
        ("plumb_bob", "[]", Camera(500, 510, 320, 241, 640, 480)),
        ("rational_polynomial", "[1, 2, 3, 4, 5, 6, 7, 8]",
         Camera(500, 510, 320, 241, 640, 480, (1.0, 2, 3, 4, 5, 6, 7, 8))),
        ("equidistant", "[0.1, 0.2, 0.3, 0.4]", Camera(500, 510, 320, 241, 640, 480, (0.1, 0.2, 0.3, 0.4), True)),
        ("equidistant", "[0, 0, 0, 0]", Camera(500, 510, 320, 241, 640, 480, (0.0, 0.0, 0.0, 0.0), True)),
    ],
)  # fmt: skip
def test_ros_camera_info_yaml(tmp_path: Path, model: str, d: str, expected: Camera) -> None:
    (tmp_path / "ost.yaml").write_text(ROS_YAML.format(model=model, d=d, n=d.count(",") + 1))
    assert read_calibration(tmp_path / "ost.yaml") == expected


def test_short_coefficients_are_filled_up_to_a_length_opencv_takes(tmp_path: Path) -> None:
    camera = read_calibration(write_json(tmp_path, distortion=[-0.1]))
    assert camera is not None
    assert camera.distortion == (-0.1, 0.0, 0.0, 0.0)
    camera = read_calibration(write_json(tmp_path, distortion=[1, 2, 3, 4, 5, 6]))
    assert camera is not None
    assert camera.distortion == (1, 2, 3, 4, 5, 6, 0, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fx": float("nan")}, "fx is not a finite number"),
        ({"fy": -510.0}, "fy must be positive"),
        ({"fx": 0}, "fx must be positive"),
        ({"fx": "long"}, "fx must be a number"),
        ({"cx": float("inf")}, "cx is not a finite number"),
        ({"cy": 5000}, "far outside the image"),
        ({"width": -640}, "width must be a positive whole number"),
        ({"height": 480.5}, "height must be a positive whole number"),
        ({"width": float("nan")}, "width must be a positive whole number"),
        ({"distortion": [0.1, float("nan"), 0, 0]}, "distortion holds a number that is not finite"),
        ({"distortion": ["a"]}, "distortion must be a list of numbers"),
        ({"distortion": [0.0] * 14 + [1.0]}, "15 coefficients"),
        ({"distortion_model": "splines"}, "distortion_model 'splines' is not supported"),
        ({"distortion_model": "fisheye", "distortion": [0.1]}, "needs 4 coefficients, got 1"),
        ({"camera_matrix": [1, 2, 3]}, "camera_matrix must be 3x3"),
        ({"intrinsics": [1, 2, 3]}, "intrinsics must be"),
    ],
)
def test_refused_naming_file_and_field(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(CalibrationError, match=message) as caught:
        read_calibration(write_json(tmp_path, **changes))
    assert "calib.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"), [("c.json", "{"), ("c.yaml", "a: [1"), ("c.json", "[1]"), ("c.yaml", "words")]
)
def test_malformed_files(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(
        CalibrationError, match=r"c\.(json|yaml): (malformed calibration|calibration must name)"
    ) as caught:
        read_calibration(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"absent\.json: no such calibration file"):
        read_calibration(tmp_path / "absent.json")
    (tmp_path / "binary.yaml").write_bytes(bytes(range(128, 256)))
    with pytest.raises(CalibrationError, match="not a text file"):
        read_calibration(tmp_path / "binary.yaml")


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text('fx: !!python/object/apply:os.system ["true"]')
    with pytest.raises(CalibrationError, match="malformed"):
        read_calibration(tmp_path / "c.yaml")


def test_fit_leaves_a_camera_of_the_right_size_alone() -> None:
    camera = Camera(500, 510, 320, 241, 640, 480, (0.1, 0, 0, 0))
    assert fit_to_image(camera, 640, 480) == (camera, None)


def test_fit_scales_with_pixel_centres_at_whole_numbers() -> None:
    camera, warning = fit_to_image(Camera(500, 510, 319.5, 239.5, 640, 480, (0.1, 0, 0, 0)), 320, 240)
    assert camera == Camera(250, 255, 159.5, 119.5, 320, 240, (0.1, 0, 0, 0))
    assert warning is not None
    assert "640x480, the images are 320x240: scaled by 0.5" in warning


@pytest.mark.parametrize(("width", "height", "fits"), [(1280, 954, True), (1280, 940, False), (480, 640, False)])
def test_fit_within_one_percent_of_the_aspect(width: int, height: int, fits: bool) -> None:
    camera = Camera(500, 510, 320, 241, 640, 480)
    if fits:
        assert fit_to_image(camera, width, height)[0].width == width
    else:
        with pytest.raises(CalibrationError, match="aspect differs"):
            fit_to_image(camera, width, height)
