"""Camera calibration files: our JSON, OpenCV YAML, ROS camera_info YAML, EuRoC sensor.yaml."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from vgslam.errors import CalibrationError
from vgslam.types import Camera

_PINHOLE_MODELS = frozenset({"", "none", "radtan", "radial-tangential", "plumb_bob", "rational_polynomial", "opencv"})
_FISHEYE_MODELS = frozenset({"fisheye", "equidistant", "kannala_brandt", "kannala_brandt4", "opencv_fisheye"})
_N_PINHOLE = (4, 5, 8, 12, 14)

Document = Mapping[str, Any]


class _Loader(yaml.SafeLoader):
    """Safe YAML that also reads OpenCV's matrices as {rows, cols, data}."""


def _matrix(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:opencv-matrix", _matrix)


def read_document(path: Path) -> Document:
    """Mapping of a JSON or YAML file (OpenCV's dialect included). Raises CalibrationError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        reason = getattr(err, "strerror", None) or "not a text file"
        raise CalibrationError(f"{path}: calibration cannot be read ({reason}); give a JSON or YAML file") from err
    try:
        if path.suffix.lower() == ".json":
            document = json.loads(text)
        else:
            document = yaml.load(text.replace("%YAML:1.0", "", 1), Loader=_Loader)
    except (json.JSONDecodeError, yaml.YAMLError) as err:
        reason = " ".join(str(err).split())[:120]
        raise CalibrationError(f"{path}: malformed calibration ({reason})") from err
    if not isinstance(document, Mapping):
        raise CalibrationError(f"{path}: calibration must name its fields (width, height, fx, fy, cx, cy, distortion)")
    return document


def read_calibration(path: Path, image_size: tuple[int, int] | None = None) -> Camera | None:
    """Camera of a calibration file; None when it says that the focal length is not known (fx null or absent).

    JSON: width, height, fx, fy, cx, cy in px, distortion (k1 k2 p1 p2 [k3 ...]), distortion_model ("radtan" or
    "fisheye"); fy defaults to fx, cx and cy to the middle of the image. OpenCV YAML: camera_matrix,
    distortion_coefficients, image_width, image_height, fisheye_model. ROS camera_info YAML and EuRoC sensor.yaml as
    they are. image_size (width, height) stands in for a resolution that the file does not state.
    Raises CalibrationError, naming the file and the field.
    """
    try:
        return camera_from_document(read_document(path), image_size)
    except ValueError as err:
        raise CalibrationError(f"{path}: {err}") from err


def camera_from_document(document: Document, image_size: tuple[int, int] | None = None) -> Camera | None:
    """Camera of a calibration in any of the layouts of `read_calibration`. Raises ValueError, naming the field."""
    size = _resolution(document) or image_size
    if size is None:
        raise ValueError("camera width and height are missing; add the resolution of the calibration images")
    width, height = size
    fx, fy, cx, cy = _intrinsics(document, width, height)
    if fx is None or fy is None:
        return None
    distortion, is_fisheye = _distortion(document)
    return Camera(fx, fy, cx, cy, width, height, distortion, is_fisheye)


def fit_to_image(camera: Camera, width: int, height: int) -> tuple[Camera, str | None]:
    """The camera for images of (width, height), and a warning when it had to be scaled.

    Raises CalibrationError when the aspect ratios differ by more than 1 %: such images are cropped or rotated.
    """
    if (camera.width, camera.height) == (width, height):
        return camera, None
    sizes = f"calibration is for {camera.width}x{camera.height}, the images are {width}x{height}"
    ratio = (camera.width / camera.height) / (width / height)
    if abs(ratio - 1.0) > 0.01:
        raise CalibrationError(f"{sizes}: the aspect differs, so scaling would be wrong; calibrate at this resolution")
    return camera.resized(width, height), f"{sizes}: scaled by {width / camera.width:.4g}"


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"camera {name} must be a number, got {value!r}") from None


def _numbers(name: str, value: Any) -> list[float]:
    """A list of numbers, or the data of a {rows, cols, data} matrix, flattened."""
    if isinstance(value, Mapping):
        value = value.get("data")
    if value is None:
        return []
    try:
        return np.asarray(value, np.float64).ravel().tolist()
    except (TypeError, ValueError):
        raise ValueError(f"camera {name} must be a list of numbers, got {value!r}") from None


def _first(document: Document, *names: str) -> Any:
    """The value of the first name that is there and not null."""
    return next((document[name] for name in names if document.get(name) is not None), None)


def _resolution(document: Document) -> tuple[int, int] | None:
    pair = _numbers("resolution", _first(document, "resolution", "image_size", "imageSize"))
    if not pair:
        width, height = _first(document, "width", "image_width"), _first(document, "height", "image_height")
        if width is None or height is None:
            return None
        pair = [_number("width", width), _number("height", height)]
    for name, value in zip(("width", "height"), pair, strict=False):
        if not (np.isfinite(value) and value > 0 and value == int(value)):
            raise ValueError(f"camera {name} must be a positive whole number, got {value}")
    if len(pair) != 2:
        raise ValueError(f"camera resolution must be [width, height], got {pair}")
    return int(pair[0]), int(pair[1])


def _intrinsics(document: Document, width: int, height: int) -> tuple[float | None, float | None, float, float]:
    four = _first(document, "intrinsics")
    if four is not None:
        values = _numbers("intrinsics", four)
        if len(values) != 4:
            raise ValueError(f"camera intrinsics must be [fx, fy, cx, cy], got {len(values)} numbers")
        return values[0], values[1], values[2], values[3]
    matrix = _first(document, "camera_matrix", "cameraMatrix", "Camera_Matrix", "K", "k")
    if matrix is not None:
        m = _numbers("camera_matrix", matrix)
        if len(m) != 9:
            raise ValueError(f"camera_matrix must be 3x3, got {len(m)} numbers")
        # An unknown camera is all zeros in ROS.
        return (None, None, 0.0, 0.0) if not any(m) else (m[0], m[4], m[2], m[5])
    fx, fy = _first(document, "fx", "fy"), _first(document, "fy", "fx")
    cx, cy = _first(document, "cx"), _first(document, "cy")
    return (
        None if fx is None else _number("fx", fx), None if fy is None else _number("fy", fy),
        (width - 1) / 2 if cx is None else _number("cx", cx), (height - 1) / 2 if cy is None else _number("cy", cy),
    )  # fmt: skip


def _distortion(document: Document) -> tuple[tuple[float, ...], bool]:
    """Coefficients in a number that OpenCV accepts, and whether they are of the fisheye model."""
    names = ("distortion", "distortion_coefficients", "Distortion_Coefficients", "dist_coeffs", "distCoeffs", "D", "d")
    k = _numbers("distortion", _first(document, *names))
    model = str(_first(document, "distortion_model") or "").lower()
    is_fisheye = model in _FISHEYE_MODELS or bool(document.get("fisheye_model"))
    if not is_fisheye and model not in _PINHOLE_MODELS:
        raise ValueError(f"camera distortion_model '{model}' is not supported; use radtan or fisheye (equidistant)")
    if is_fisheye:  # bends the image with coefficients of zero too: r = f theta
        if len(k) not in (0, 4):
            raise ValueError(f"camera distortion of the fisheye model needs 4 coefficients, got {len(k)}")
        return tuple(k) or (0.0,) * 4, True
    if not any(k):  # NaN counts as true and is refused by Camera
        return (), False
    lengths = [n for n in _N_PINHOLE if n >= len(k)]
    if not lengths:
        raise ValueError(f"camera distortion has {len(k)} coefficients; OpenCV's model has at most {_N_PINHOLE[-1]}")
    return tuple(k + [0.0] * (lengths[0] - len(k))), False


def with_projection(camera: Camera, P: list[float]) -> Camera:
    """Camera of images that are already rectified: the left 3x3 of P (3,4), row-major, without distortion."""
    return replace(camera.undistorted(), fx=P[0], fy=P[5], cx=P[2], cy=P[6])
