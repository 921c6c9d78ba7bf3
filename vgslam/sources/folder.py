"""A folder of images, and the plain layout: images/, times.txt, calib.json, groundtruth.txt.

Names may be times: 1403636579763555584.png (EuRoC, ROS tools), 1305031102.175304.png (TUM).
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vgslam.errors import InputError
from vgslam.guards.paths import is_plain_file
from vgslam.sources.calibration import read_calibration
from vgslam.sources.counter import begun_again, in_order_of_counter
from vgslam.sources.folder_contents import contents, refuse_stacks, refuse_two_series
from vgslam.sources.image_files import files_recording, list_frames
from vgslam.sources.image_times import LONGEST_STEP_S, NAMES, SHORTEST_STEP_S, mended_files
from vgslam.sources.numbered import times_of_files
from vgslam.sources.options import SourceOptions
from vgslam.sources.recording import Recording, Warnings
from vgslam.sources.times import Times
from vgslam.sources.truth import attach_truth_file

BESIDE = (
    "camera.json", "camera.yaml", "calib.yaml", "calib.txt", "calibration.txt", "intrinsics.txt", "intrinsics.json",
    "camera.txt", "transforms.json", "cameras.txt", "cameras.bin", "sparse/0/cameras.txt", "sparse/0/cameras.bin",
    "sparse/cameras.txt", "sparse/cameras.bin", "camera_models.json", "sfm_data.json",
)  # fmt: skip
"""Files by which other programs know the calibration of a folder. They are not taken: they may be of another camera."""


def open_images(path: Path, options: SourceOptions) -> Recording:
    """Images in `path` itself, with times.txt, calib.json and groundtruth.txt beside them, or times in their names."""
    return _open("images", path, path, options)


def open_plain(path: Path, options: SourceOptions) -> Recording:
    """The plain layout: images in `path`/images, or data (KITTI's raw recordings), and beside it, each optional:
    times.txt or timestamps.txt (seconds or dates, a line an image), calib.json, groundtruth.txt (TUM rows, camera to
    world, metres)."""
    images = path / "images"
    return _open("plain", path, images if images.is_dir() else path / "data", options)


def _open(kind: str, path: Path, image_folder: Path, options: SourceOptions) -> Recording:
    warnings = Warnings()
    files, times = _timed(path, image_folder, options, warnings)
    recording = files_recording(kind, image_folder, files, times, warnings)
    recording.name = path.resolve().name
    if (path / "calib.json").is_file() and options.calib is None:
        recording.camera = read_calibration(path / "calib.json", recording.size, warnings.add)
    elif options.calib is None:
        beside = next((path / name for name in BESIDE if is_plain_file(path / name)), None)
        if beside is not None:
            warnings.add(f"{beside} may be the calibration of these images, and is not used: --calib {beside} uses it")
    attach_truth_file(recording, path / "groundtruth.txt")
    return recording


def _timed(path: Path, image_folder: Path, options: SourceOptions, warnings: Warnings) -> tuple[list[Path], Times]:
    """The images with their times in s: by a list, by their names, or at a rate."""
    files = list_frames(image_folder, warnings)
    if not files:
        raise InputError(f"{image_folder}: {contents(image_folder)}")
    refuse_two_series(image_folder, files)
    refuse_stacks(image_folder, files)
    lists = [path / "times.txt", path / "timestamps.txt"]
    has_list = any(file.is_file() for file in lists)
    files = files if has_list else in_order_of_counter(files, warnings)
    named = times_in_names(files) if not has_list and options.fps is None else None
    if named is not None:
        files, times, unit = named
        rate = 1.0 / float(np.median(np.diff(times)))
        warnings.add(f"the names of the images are taken for their times ({unit}, {rate:.4g} frames/s); with --fps "
                     "they are numbers")  # fmt: skip
        return mended_files(files, times, warnings, image_folder)
    times = times_of_files(lists, files, options, warnings)
    n = begun_again(files)
    if n and (np.diff(np.roll(times, -n)) > 0).all():  # a list that names the images
        files, times = files[n:] + files[:n], np.roll(times, -n)
    return mended_files(files, times, warnings, lists[0] if lists[0].is_file() else lists[1])


EARLIEST_S, LATEST_S = 1e9, 4.1e9
"""Seconds since 1970 that a clock may show: the years 2001 to 2099."""
_DIGITS = {13: ("ms", 10**3), 16: ("us", 10**6), 19: ("ns", 10**9)}
"""Unit of whole numbers by their length, and how many are a second. Whole seconds (10 digits) look like dates with a
counter, and no camera takes one image a second."""
_SECONDS = re.compile(r"\d{10}\.\d{1,9}")
LEAST_STEPS = 2
"""Median step, in the last digit of a whole number: what counts on by one is a number."""


def times_in_names(files: Sequence[Path]) -> tuple[list[Path], Times, str] | None:
    """The images in order of time, their times (N,) in s, and the unit. None unless each name is nothing but a time,
    all are different, and follow one another as the images of a camera do."""
    stems = [file.stem for file in files]
    unit, times = _seconds(stems) or ("", np.zeros(0))
    if len(times) < 2 or not (times.min() >= EARLIEST_S and times.max() < LATEST_S):
        return None
    order = np.argsort(times, kind="stable")
    steps = np.diff(times[order])
    if steps.min() <= 0 or not SHORTEST_STEP_S <= float(np.median(steps)) <= LONGEST_STEP_S:
        return None
    return [files[i] for i in order], times[order], unit


def _seconds(stems: list[str]) -> tuple[str, Times] | None:
    """The unit, and the names in s; None where they are no times."""
    if stems and all(_SECONDS.fullmatch(stem) for stem in stems):
        return NAMES["s"], np.array([float(stem) for stem in stems])
    lengths = {len(stem) for stem in stems}
    if len(lengths) != 1 or not all(stem.isascii() and stem.isdecimal() for stem in stems):
        return None
    unit, per_second = _DIGITS.get(lengths.pop(), ("", 0))
    numbers = sorted(int(stem) for stem in stems)
    if not unit or len(numbers) < 2 or np.median(np.diff(numbers)) < LEAST_STEPS:
        return None
    return NAMES[unit], np.array([int(stem) / per_second for stem in stems])
