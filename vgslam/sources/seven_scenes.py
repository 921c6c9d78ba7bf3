"""7-Scenes (Shotton et al., CVPR 2013): seq-XX/frame-XXXXXX.{color.png,pose.txt}."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from vgslam.errors import InputError
from vgslam.geometry import se3
from vgslam.guards.documents import read_text
from vgslam.guards.paths import is_folder
from vgslam.sources.calibration import read_calibration
from vgslam.sources.image_files import files_recording, list_frames, natural_key
from vgslam.sources.options import DEFAULT_FPS, SourceOptions
from vgslam.sources.recording import Recording, Warnings
from vgslam.types import Camera, Trajectory

# The data set states none for colour; this is what structure from motion finds (Brachmann et al., ICCV 2021).
_COLOUR_FOCAL_PX = 525.505
MOST_POSE_BYTES = 4096
"""Longest file of one pose: 16 numbers."""


def is_sequence(folder: Path) -> bool:
    """Whether the folder holds frame-XXXXXX.color.* images."""
    return any(True for _ in folder.glob("frame-*.color.*"))


def sequences(folder: Path) -> list[Path]:
    """The sequence folders in a scene folder, in order."""
    found = (p for p in folder.glob("seq-*") if is_folder(p) and is_sequence(p))
    return sorted(found, key=lambda p: natural_key(p.name))


def open_7scenes(path: Path, options: SourceOptions) -> Recording:
    """A sequence folder, or a scene folder with several, of which `options.topic` names one. Time is nominal (frame
    number at 30 Hz, or `options.fps`), the calibration a Kinect's colour camera unless calib.json is there. Truth is of
    the depth camera, 2.5 cm beside the colour camera."""
    warnings = Warnings()
    folder = path if is_sequence(path) else _choose(path, options, warnings)
    files = [file for file in list_frames(folder, warnings) if ".color" in file.name]
    numbers = [_number(file) for file in files]
    times = np.array(numbers, np.float64) / (options.fps or DEFAULT_FPS)
    recording = files_recording("7scenes", folder, files, times, warnings)
    recording.name = f"{folder.resolve().parent.name}_{folder.resolve().name}"
    if options.calib is None:
        recording.camera = _calibration(folder, recording)
    recording.truth = _truth(files, times, warnings)
    return recording


def _choose(path: Path, options: SourceOptions, warnings: Warnings) -> Path:
    found = sequences(path)
    if options.topic is not None:
        found = [folder for folder in found if folder.name == options.topic]
    if not found:
        raise InputError(f"{path}: no 7-Scenes sequence (frame-XXXXXX.color.png) in it; give a seq-XX folder")
    if len(found) > 1:
        names = ", ".join(folder.name for folder in found[1:])
        warnings.add(f"the scene holds {len(found)} sequences: {found[0].name} is used; --topic chooses {names}")
    return found[0]


def _number(file: Path) -> int:
    digits = file.name.split(".")[0].removeprefix("frame-")
    if not digits.isdecimal():
        raise InputError(f"{file}: expected a name such as frame-000000.color.png")
    return int(digits)


def _calibration(folder: Path, recording: Recording) -> Camera | None:
    for file in (folder / "calib.json", folder.parent / "calib.json"):
        if file.is_file():
            return read_calibration(file, recording.size)
    recording.warnings.add(f"7-Scenes states no colour calibration: focal length {_COLOUR_FOCAL_PX} px is used")
    return Camera(_COLOUR_FOCAL_PX, _COLOUR_FOCAL_PX, 320.0, 240.0, 640, 480)


def _truth(files: list[Path], times: npt.NDArray[np.float64], warnings: Warnings) -> Trajectory | None:
    """Poses beside the images; those missing or broken are left out, with a warning that counts them."""
    poses = [_pose(file.with_name(file.name.split(".")[0] + ".pose.txt")) for file in files]
    used = [i for i, T in enumerate(poses) if T is not None and (i == 0 or times[i] > times[i - 1])]
    if used and len(used) < len(files):
        warnings.add(f"truth: {len(files) - len(used)} of {len(files)} images have no valid pose file")
    if not used:
        return None
    return Trajectory(times[used], np.array([poses[i] for i in used]), is_metric=True)


def _pose(file: Path) -> npt.NDArray[np.float64] | None:
    """T_world_cam (4,4), None for a file that is missing or holds no rigid motion."""
    try:
        T = np.array(read_text(file, MOST_POSE_BYTES).split(), np.float64).reshape(4, 4)
    except (OSError, ValueError):
        return None
    R = T[:3, :3]
    if not np.isfinite(T).all() or np.abs(R @ R.T - np.eye(3)).max() > 1e-2 or np.linalg.det(R) < 0:
        return None
    return se3.from_rt(se3.orthonormalize(R), T[:3, 3])
