"""EuRoC / ASL layout (Burri et al., IJRR 2016): mav0/cam0/{data.csv,data/,sensor.yaml}, state_groundtruth_estimate0."""

from pathlib import Path

import numpy as np

from vgslam.errors import InputError
from vgslam.geometry import se3
from vgslam.sources.calibration import read_calibration
from vgslam.sources.image_files import files_recording, list_frames
from vgslam.sources.image_times import mended_files
from vgslam.sources.numbered import are_counts_not_ns, nominal_times, those_present
from vgslam.sources.options import SourceOptions
from vgslam.sources.recording import Recording, Warnings
from vgslam.sources.times import Times, read_list
from vgslam.sources.trajectory_io import seconds_from_ns, sensor_T_body
from vgslam.sources.truth import attach_truth_file
from vgslam.types import Trajectory

RATE_HZ = 20.0
# Best first: vicon and motion capture poses are of markers, taken to the camera by the sensors' T_BS.
_TRUTH = ("state_groundtruth_estimate0", "mocap0", "vicon0")


def open_euroc(path: Path, options: SourceOptions) -> Recording:
    """A folder that holds mav0, is it, or is one of its cameras. Camera cam0, or `options.topic`.

    Times in ns from data.csv (or the image names), calibration from sensor.yaml, truth T_world_cam from the ground
    truth of the body and T_BS of the camera.
    """
    mav = path / "mav0" if (path / "mav0").is_dir() else path
    camera = options.topic or "cam0"
    if (path / "data.csv").is_file():
        mav, camera = path.resolve().parent, path.resolve().name
    folder = mav / camera
    if not (folder / "data").is_dir():
        found = ", ".join(sorted(p.parent.name for p in mav.glob("cam*/data"))) or "none"
        raise InputError(f"{folder}: no such camera with a data folder; cameras here: {found}")
    warnings = Warnings()
    files, stamps = _images(folder, warnings)
    times = np.array(stamps)
    if are_counts_not_ns(times) and (named := _in_names(files)) is not None:
        warnings.add("the times in data.csv are no nanoseconds: those in the names of the images are taken")
        times = named
    if are_counts_not_ns(times):
        times = nominal_times(files, options, warnings, "the image names are numbers, not nanoseconds", RATE_HZ)
    else:
        listed = folder / "data.csv" if (folder / "data.csv").is_file() else folder / "data"
        files, times = mended_files(files, times, warnings, listed, "ns")
    recording = files_recording("euroc", folder / "data", files, times, warnings)
    recording.name = path.resolve().parent.name if path.resolve().name == "mav0" else path.resolve().name
    if options.calib is None:
        if (folder / "sensor.yaml").is_file():
            recording.camera = read_calibration(folder / "sensor.yaml", recording.size, warnings.add)
        else:
            warnings.add(f"no calibration: {camera}/sensor.yaml is missing; give --calib")
    for sensor in _TRUTH:
        if recording.truth is None:
            attach_truth_file(recording, mav / sensor / "data.csv")
    if recording.truth is not None and not (mav / "cam0" / "sensor.yaml").is_file():
        warnings.add("the truth is that of the body (IMU or markers), not of the camera: cam0/sensor.yaml, which says "
                     "how the camera is mounted, is missing")  # fmt: skip
    if recording.truth is not None and camera != "cam0":
        recording.truth = _seen_from(recording.truth, mav, camera)
    return recording


def _images(folder: Path, warnings: Warnings) -> tuple[list[Path], list[float]]:
    csv = folder / "data.csv"
    try:
        if csv.is_file():
            rows = read_list(csv, 2)
            files, stamps = [folder / "data" / row[1] for row in rows], [seconds_from_ns(row[0]) for row in rows]
            return those_present(files, stamps, csv, folder / "data", warnings)
        files = list_frames(folder / "data", warnings)
        return files, [seconds_from_ns(file.stem) for file in files]
    except ValueError as err:
        raise InputError(f"{folder}: image times must be whole nanoseconds, in data.csv or as image names") from err


def _in_names(files: list[Path]) -> Times | None:
    """The times in s by the names of the images, in ns; None where those are none."""
    try:
        times = np.array([seconds_from_ns(file.stem) for file in files])
    except ValueError:
        return None
    return None if are_counts_not_ns(times) else times


def _seen_from(truth: Trajectory, mav: Path, camera: str) -> Trajectory | None:
    """Truth of cam0 -> truth of another camera of the rig, None when a T_BS is missing."""
    T_body_cam0, T_body_cam = sensor_T_body(mav / "cam0" / "sensor.yaml"), sensor_T_body(mav / camera / "sensor.yaml")
    if T_body_cam0 is None or T_body_cam is None:
        return None
    T = truth.T_world_cam @ se3.inverse(T_body_cam0) @ T_body_cam
    return Trajectory(truth.timestamps_s, T, is_metric=True)
