"""TUM RGB-D benchmark (Sturm et al., IROS 2012): rgb.txt, rgb/, groundtruth.txt; ETH3D SLAM uses the same layout."""

from pathlib import Path

import numpy as np

from vgslam.errors import CalibrationError, InputError
from vgslam.sources.calibration import read_calibration
from vgslam.sources.image_files import files_recording, list_images
from vgslam.sources.image_times import mended_files
from vgslam.sources.options import SourceOptions
from vgslam.sources.recording import Recording, Warnings
from vgslam.sources.times import parse_time, read_list
from vgslam.sources.truth import attach_truth_file
from vgslam.types import Camera

# Colour cameras as published with the benchmark; the images of freiburg3 are already undistorted.
_PUBLISHED = {
    "freiburg1": Camera(517.3, 516.5, 318.6, 255.3, 640, 480, (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    "freiburg2": Camera(520.9, 521.0, 325.1, 249.7, 640, 480, (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)),
    "freiburg3": Camera(535.4, 539.2, 320.1, 247.6, 640, 480),
}


def open_tum(path: Path, options: SourceOptions) -> Recording:
    """A TUM RGB-D sequence folder: images and seconds from rgb.txt (or the names in rgb/), truth from groundtruth.txt.

    The calibration is that of calibration.txt (fx fy cx cy) or calib.json, else the published one of the freiburg
    camera that the folder is named after.
    """
    warnings = Warnings()
    files, times = _listed(path) if (path / "rgb.txt").is_file() else _named(path)
    listed = path / "rgb.txt" if (path / "rgb.txt").is_file() else path / "rgb"
    files, stamps = mended_files(files, np.array(times), warnings, listed)
    recording = files_recording("tum", path, files, stamps, warnings)
    recording.name = path.resolve().name
    if options.calib is None:
        recording.camera = _calibration(path, recording)
    attach_truth_file(recording, path / "groundtruth.txt")
    return recording


def _listed(path: Path) -> tuple[list[Path], list[float]]:
    rows = read_list(path / "rgb.txt", 2)
    return [path / row[1] for row in rows], [parse_time(path / "rgb.txt", row[0]) for row in rows]


def _named(path: Path) -> tuple[list[Path], list[float]]:
    files = list_images(path / "rgb")
    try:
        return files, [float(file.stem) for file in files]
    except ValueError as err:
        raise InputError(
            f"{path}: no rgb.txt, and image names are not timestamps; add it, or give {path / 'rgb'}"
        ) from err


def _calibration(path: Path, recording: Recording) -> Camera | None:
    if (path / "calib.json").is_file():
        return read_calibration(path / "calib.json", recording.size, recording.warnings.add)
    file = path / "calibration.txt"
    if file.is_file():
        row = read_list(file, 4)[0]
        try:
            fx, fy, cx, cy = (float(x) for x in row[:4])
            return Camera(fx, fy, cx, cy, *recording.size)
        except ValueError as err:
            raise CalibrationError(f"{file}: {err}") from err
    for name, camera in _PUBLISHED.items():
        if name in recording.name:
            return camera
    recording.warnings.add("no calibration: the folder is not named after a freiburg camera; give --calib")
    return None
