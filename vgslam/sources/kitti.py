"""KITTI odometry (Geiger et al., CVPR 2012): sequences/NN/{image_0,calib.txt,times.txt}, poses/NN.txt."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from vgslam.errors import CalibrationError, InputError
from vgslam.geometry import se3
from vgslam.guards.documents import to_number
from vgslam.sources.image_files import files_recording, list_frames
from vgslam.sources.image_times import mended_files
from vgslam.sources.numbered import nominal_times, times_of_files
from vgslam.sources.options import SourceOptions
from vgslam.sources.recording import Recording, Warnings
from vgslam.sources.times import read_list
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.types import Camera, Trajectory

Matrix = npt.NDArray[np.float64]
RATE_HZ = 10.0
CAMERAS = ("image_0", "image_2", "image_1", "image_3")


def open_kitti(path: Path, options: SourceOptions) -> Recording:
    """A sequence folder: camera image_0 (grey, left), else the first of the others, or `options.topic`; calibration
    from its projection matrix in calib.txt, times from times.txt, truth from poses.txt or NN.txt here or in
    ../../poses, moved from camera 0 to the camera used. The row of an image is its number."""
    camera = options.topic or next((name for name in CAMERAS if (path / name).is_dir()), CAMERAS[0])
    if camera not in CAMERAS or not (path / camera).is_dir():
        found = ", ".join(name for name in CAMERAS if (path / name).is_dir()) or "none"
        raise InputError(f"{path}: has no camera folder '{camera}'; cameras here: {found}")
    warnings = Warnings()
    files = list_frames(path / camera, warnings)
    if (path / "times.txt").is_file():
        times = times_of_files([path / "times.txt"], files, options, warnings)
        files, times = mended_files(files, times, warnings, path / "times.txt")
    else:
        times = nominal_times(files, options, warnings, "no timestamps (times.txt is missing)", RATE_HZ)
    recording = files_recording("kitti", path / camera, files, times, warnings)
    recording.name = path.resolve().name
    T_cam_cam0 = np.eye(4)
    if (path / "calib.txt").is_file():
        P = _projection(path / "calib.txt", camera)
        T_cam_cam0[:3, 3] = np.linalg.solve(P[:, :3], P[:, 3])
        if options.calib is None:
            recording.camera = _camera(path / "calib.txt", P, recording.size)
    elif options.calib is None:
        warnings.add("no calibration: calib.txt is missing; give --calib")
    _attach_truth(recording, path, files, se3.inverse(T_cam_cam0))
    return recording


def _projection(file: Path, camera: str) -> Matrix:
    """P (3,4) of the camera: pixels of points in the frame of camera 0. Raises CalibrationError."""
    name = f"P{camera[-1]}"
    row = next((r for r in read_list(file, 1) if r[0].rstrip(":") == name), None)
    try:
        P = np.array([to_number(x) for x in row[1:]] if row else [], np.float64).reshape(3, 4)
        if not np.isfinite(np.linalg.inv(P[:, :3]) @ P).all():
            raise ValueError
    except (ValueError, np.linalg.LinAlgError) as err:
        raise CalibrationError(f"{file}: needs a line '{name}:' with the 12 numbers of a projection matrix") from err
    return P


def _camera(file: Path, P: Matrix, size: tuple[int, int]) -> Camera:
    try:
        return Camera(float(P[0, 0]), float(P[1, 1]), float(P[0, 2]), float(P[1, 2]), *size)
    except ValueError as err:
        raise CalibrationError(f"{file}: {err}") from err


def _attach_truth(recording: Recording, path: Path, files: list[Path], T_cam0_cam: Matrix) -> None:
    root = path.resolve()
    candidates = [root / "poses.txt", root / f"{root.name}.txt", root.parent.parent / "poses" / f"{root.name}.txt"]
    file = next((candidate for candidate in candidates if candidate.is_file()), None)
    if file is None or recording.timestamps_s is None:
        return
    try:
        T_world_cam0 = read_trajectory(file, "kitti").T_world_cam
    except InputError as err:
        recording.warnings.add(f"truth not used: {err}")
        return
    rows = [int(f.stem) if f.stem.isdecimal() else i for i, f in enumerate(files)]
    # Later images than rows have no truth; times that do not increase have none either.
    increasing = np.diff(np.maximum.accumulate(recording.timestamps_s), prepend=-np.inf) > 0
    used = [i for i, row in enumerate(rows) if row < len(T_world_cam0) and increasing[i]]
    if not used:
        recording.warnings.add(f"truth not used: {file.name} has {len(T_world_cam0)} poses and none for these images")
        return
    T = T_world_cam0[[rows[i] for i in used]] @ T_cam0_cam
    recording.truth = Trajectory(recording.timestamps_s[used], T, is_metric=True)
