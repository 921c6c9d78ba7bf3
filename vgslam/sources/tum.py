"""TUM RGB-D benchmark (Sturm et al., IROS 2012): rgb.txt, rgb/, groundtruth.txt; ETH3D SLAM uses the same layout."""

from contextlib import suppress
from pathlib import Path

import numpy as np

from vgslam.guards.paths import is_plain_file
from vgslam.sources.calibration import read_calibration
from vgslam.sources.image_files import files_recording, list_frames
from vgslam.sources.image_times import mended_files
from vgslam.sources.numbered import are_counts, nominal_times, those_present, times_of_files
from vgslam.sources.options import DEFAULT_FPS, SourceOptions
from vgslam.sources.recording import Recording, Warnings
from vgslam.sources.times import Times, parse_time, read_list
from vgslam.sources.truth import attach_truth_file
from vgslam.types import Camera

LISTS = ("rgb.txt", "associations.txt", "associated.txt", "associate.txt")
TIMES = ("times.txt", "timestamps.txt")
# Colour cameras as published with the benchmark; the images of freiburg3 are already undistorted.
_PUBLISHED = {
    "freiburg1": Camera(517.3, 516.5, 318.6, 255.3, 640, 480, (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    "freiburg2": Camera(520.9, 521.0, 325.1, 249.7, 640, 480, (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)),
    "freiburg3": Camera(535.4, 539.2, 320.1, 247.6, 640, 480),
}


def open_tum(path: Path, options: SourceOptions) -> Recording:
    """A TUM RGB-D folder: images and seconds from rgb.txt (or the names in rgb/), truth from groundtruth.txt,
    calibration from calibration.txt (fx fy cx cy) or calib.json, else that published for the freiburg camera in the
    folder's name."""
    warnings = Warnings()
    files, times, counts_hz = _images(path, options, warnings)
    if counts_hz is None:
        listed = path / "rgb.txt" if (path / "rgb.txt").is_file() else path / "rgb"
        files, times = mended_files(files, times, warnings, listed)
    recording = files_recording("tum", path, files, times, warnings)
    recording.name = path.resolve().name
    if options.calib is None:
        recording.camera = _calibration(path, recording)
    attach_truth_file(recording, path / "groundtruth.txt", counts_hz)
    return recording


def _images(path: Path, options: SourceOptions, warnings: Warnings) -> tuple[list[Path], Times, float | None]:
    """Images and their times, from rgb.txt or associations.txt, times.txt, or the names; where those count images at
    the nominal rate, which is the last value then."""
    listing = next((path / name for name in LISTS if (path / name).is_file()), None)
    if listing is not None:
        files, stamps = those_present(*_listed(path, listing), listing, path / "rgb", warnings)
    else:
        files, stamps = list_frames(path / "rgb", warnings), []
        if any((path / name).is_file() for name in TIMES):
            return files, times_of_files([path / name for name in TIMES], files, options, warnings), None
        with suppress(ValueError):
            stamps = [float(file.stem) for file in files]
    if len(stamps) == len(files) and np.isfinite(stamps).all() and not are_counts(stamps, files):
        order = np.argsort(stamps, kind="stable") if listing is None else range(len(files))
        return [files[i] for i in order], np.array([stamps[i] for i in order], np.float64), None
    what = f"the times in {listing.name}" if listing is not None else "there is no rgb.txt, and the image names"
    times = nominal_times(files, options, warnings, f"{what} are no times in seconds")
    return files, times, options.fps or DEFAULT_FPS


def _listed(path: Path, listing: Path) -> tuple[list[Path], list[float]]:
    """Rows of a time and a file, several times over in associations: the first file that is not of depth counts."""
    files, times = [], []
    for row in read_list(listing, 2):
        pairs = list(zip(row[::2], row[1::2], strict=False))
        time, name = next((pair for pair in pairs if "depth" not in pair[1].lower()), pairs[0])
        is_of_windows = "\\" in name and not is_plain_file(path / name)
        files.append(path / (name.replace("\\", "/") if is_of_windows else name))
        times.append(parse_time(listing, time))
    return files, times


def _calibration(path: Path, recording: Recording) -> Camera | None:
    if (path / "calib.json").is_file():
        return read_calibration(path / "calib.json", recording.size, recording.warnings.add)
    file = path / "calibration.txt"
    if file.is_file():
        return read_calibration(file, recording.size, recording.warnings.add)
    for name, camera in _PUBLISHED.items():
        if name in recording.name:
            return camera
    recording.warnings.add("no calibration: the folder is not named after a freiburg camera; give --calib")
    return None
