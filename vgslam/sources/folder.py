"""A folder of images, and the plain layout: images/, times.txt, calib.json, groundtruth.txt."""

from pathlib import Path

from vgslam.sources.calibration import read_calibration
from vgslam.sources.image_files import files_recording, list_images
from vgslam.sources.image_times import mended_files
from vgslam.sources.numbered import times_of_files
from vgslam.sources.options import SourceOptions
from vgslam.sources.recording import Recording, Warnings
from vgslam.sources.truth import attach_truth_file


def open_images(path: Path, options: SourceOptions) -> Recording:
    """Images lying in `path` itself; times.txt, calib.json and groundtruth.txt beside them are used."""
    return _open("images", path, path, options)


def open_plain(path: Path, options: SourceOptions) -> Recording:
    """The plain layout: images in `path`/images, with times.txt (seconds, one line an image in natural order of the
    names), calib.json (see `read_calibration`; without fx it is not calibrated) and groundtruth.txt (TUM rows,
    camera to world, metres) beside it, each of which may be missing.
    """
    return _open("plain", path, path / "images", options)


def _open(kind: str, path: Path, image_folder: Path, options: SourceOptions) -> Recording:
    warnings = Warnings()
    files = list_images(image_folder)
    lists = [path / "times.txt", path / "timestamps.txt"]
    times = times_of_files(lists, files, options, warnings)
    files, times = mended_files(files, times, warnings, lists[0] if lists[0].is_file() else lists[1])
    recording = files_recording(kind, image_folder, files, times, warnings)
    recording.name = path.resolve().name
    if (path / "calib.json").is_file() and options.calib is None:
        recording.camera = read_calibration(path / "calib.json", recording.size, warnings.add)
    attach_truth_file(recording, path / "groundtruth.txt")
    return recording
