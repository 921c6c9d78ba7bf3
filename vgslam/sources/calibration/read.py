"""Reads calibration files of any known layout."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from vgslam.errors import CalibrationError
from vgslam.sources.calibration.document import Document, Rows, read_document, read_text, rows_of
from vgslam.sources.calibration.flat import read_flat
from vgslam.sources.calibration.lens import family, make_camera
from vgslam.sources.calibration.plausible import check_plausible, check_stated_size
from vgslam.sources.calibration.reconstructions import (
    is_colmap,
    is_nerf,
    is_opensfm,
    read_colmap,
    read_nerf,
    read_opensfm,
)  # fmt: skip
from vgslam.sources.calibration.rows import is_dso, is_numbers, read_dso, read_numbers
from vgslam.sources.calibration.slam_systems import is_kalibr, is_orbslam, read_kalibr, read_orbslam
from vgslam.sources.calibration.stated import NoFocal, NotCalibrated, Size, Stated
from vgslam.types import Camera

Say = Callable[[str], object]


@dataclass(frozen=True)
class Layout:
    """A layout of files with named fields."""

    name: str
    matches: Callable[[Document], bool]
    read: Callable[[Document, Size | None], Stated]


@dataclass(frozen=True)
class RowLayout:
    """A layout of rows of words."""

    name: str
    matches: Callable[[Rows], bool]
    read: Callable[[Rows, Size | None], Stated]


LAYOUTS = (
    Layout("ORB-SLAM", is_orbslam, read_orbslam),
    Layout("Kalibr", is_kalibr, read_kalibr),
    Layout("OpenSfM", is_opensfm, read_opensfm),
    Layout("nerfstudio", is_nerf, read_nerf),
    Layout("fields", lambda _: True, read_flat),
)
"""In the order in which they are asked; the last takes the rest."""
ROW_LAYOUTS = (
    RowLayout("COLMAP", is_colmap, read_colmap),
    RowLayout("DSO", is_dso, read_dso),
    RowLayout("numbers", is_numbers, read_numbers),
)


def read_calibration(
    path: Path, image_size: Size | None = None, say: Say | None = None, is_chosen: bool = False
) -> Camera | None:
    """Camera of a calibration file; None when it says that the camera is not calibrated (fx null, a matrix of zeros).

    JSON: width, height, fx, fy, cx, cy in px, distortion (k1 k2 p1 p2 [k3 ...]), distortion_model ("radtan" or
    "fisheye"); fy defaults to fx, cx and cy to the middle of the image. The other layouts, of OpenCV, ROS, EuRoC,
    Kalibr, ORB-SLAM, stella_vslam, nerfstudio, OpenSfM, COLMAP, Open3D, DSO and DROID-SLAM, are listed in
    docs/calibration.md. image_size (width, height) stands in for a resolution that the file does not state. `say` is
    told, in a line each, what was left out. A file with a size alone is refused if `is_chosen`, by --calib; beside a
    sequence it says that the focal length is not known.
    Raises CalibrationError, naming the file and the field, also for a camera that cannot be.
    """
    try:
        read = _stated(path, image_size)
        camera = _camera(read, image_size)
    except NotCalibrated as reason:
        if is_chosen and isinstance(reason, NoFocal):
            raise CalibrationError(f"{path}: {reason}") from reason
        if say is not None:
            say(f"{path}: says that the camera is not calibrated ({reason}); --fov-deg gives its field of view")
        return None
    except ValueError as err:
        raise CalibrationError(f"{path}: {err}") from err
    if say is not None:
        for line in read.notes:
            say(f"{path}: {line}")
    return camera


def camera_from_document(document: Document, image_size: Size | None = None) -> Camera | None:
    """Camera of a calibration in a layout with named fields; None where it says that the camera is not calibrated.
    Raises ValueError, naming the field."""
    try:
        return _camera(_of_document(document, image_size), image_size)
    except NotCalibrated:
        return None


def with_projection(camera: Camera, P: list[float]) -> Camera:
    """Camera of images that are already rectified: the left 3x3 of P (3,4), row-major, without distortion."""
    return replace(camera.undistorted(), fx=P[0], fy=P[5], cx=P[2], cy=P[6])


def _stated(path: Path, size: Size | None) -> Stated:
    if path.suffix.lower() in (".npz", ".npy", ".xml", ".json"):
        return _of_document(read_document(path), size)
    rows = rows_of(read_text(path))
    for layout in ROW_LAYOUTS:
        if rows and layout.matches(rows):
            return layout.read(rows, size)
    return _of_document(read_document(path), size)


def _of_document(document: Document, size: Size | None) -> Stated:
    layout = next(layout for layout in LAYOUTS if layout.matches(document))
    return layout.read(document, size)


def _camera(read: Stated, image_size: Size | None) -> Camera:
    size = read.size or image_size
    if size is None:
        raise ValueError("camera width and height are missing; add the resolution of the calibration images")
    cx, cy = ((n - 1) / 2 if c is None else c for n, c in zip(size, (read.cx, read.cy), strict=True))
    four = (read.fx, read.fy, cx, cy)
    check_plausible(Camera(*four, *size, is_fisheye=family(read.model) not in ("pinhole", "radtan")))
    if read.size is None and read.cx is not None and read.cy is not None:
        check_stated_size(Camera(*four, *size))
    return make_camera(four, size, read.model, read.coefficients)
