"""Recognises what a path holds and opens it as a frame source."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from vgslam.errors import CalibrationError, InputError
from vgslam.interfaces import FrameSource
from vgslam.sources.calibration import fit_to_image, read_calibration
from vgslam.sources.image_files import SUFFIXES, list_images
from vgslam.sources.options import SourceOptions
from vgslam.sources.recording import Recording
from vgslam.sources.source import RecordedSource
from vgslam.sources.truth import attach_chosen_truth
from vgslam.types import Camera

Opener = Callable[[Path, SourceOptions], Recording]


@dataclass(frozen=True)
class Format:
    """A kind of source: how a folder of it looks, and where its opener is (imported on use: some need large libraries).

    `matches` is asked of folders in the order of _FORMATS; kinds with `is_file` go by the suffix.
    """

    kind: str
    matches: Callable[[Path], bool]
    module: str
    opener: str
    is_file: bool = False


def _has(*names: str) -> Callable[[Path], bool]:
    return lambda folder: any((folder / name).exists() for name in names)


def _is_ros2_bag(folder: Path) -> bool:
    storage = any(folder.glob("*.mcap")) or any(folder.glob("*.db3"))
    return storage or ((folder / "metadata.yaml").is_file() and any(folder.glob("*.zstd")))


def _is_7scenes(folder: Path) -> bool:
    return any(folder.glob("frame-*.color.*")) or any(folder.glob("seq-*/frame-*.color.*"))


def _is_folder_of_images(folder: Path) -> bool:
    return bool(list_images(folder))


def _never(_: Path) -> bool:
    return False


_FORMATS = (
    Format("ros2", _is_ros2_bag, "bag", "open_bag"),
    Format("euroc", _has("mav0", "cam0/data"), "euroc", "open_euroc"),
    Format("kitti", _has("image_0", "image_1", "image_2", "image_3"), "kitti", "open_kitti"),
    Format("tum", _has("rgb.txt", "rgb"), "tum", "open_tum"),
    Format("7scenes", _is_7scenes, "seven_scenes", "open_7scenes"),
    Format("plain", _has("images"), "folder", "open_plain"),
    Format("images", _is_folder_of_images, "folder", "open_images"),
    Format("ros1", _never, "bag", "open_bag", is_file=True),
    Format("mcap", _never, "bag", "open_bag", is_file=True),
    Format("video", _never, "video", "open_video", is_file=True),
)


def open_source(path: Path | str, options: SourceOptions | None = None) -> FrameSource:
    """Opens the frames at `path`; `source.kind` says as what.

    Kinds (KINDS in `options`): a folder of images, the plain layout, a video file, TUM RGB-D, EuRoC/ASL, KITTI
    odometry, 7-Scenes, ROS 1 and ROS 2 bags, MCAP. Frames are undistorted and `source.camera` is their pinhole; it is
    None without a calibration (the data set's own, or `options.calib`).
    Raises InputError (CalibrationError for a calibration) with one line that names the path and the next step.
    """
    path, options = Path(path), options or SourceOptions()
    try:
        path.stat()
    except (OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or str(err)
        raise InputError(f"{path}: no such file or folder that can be read ({reason}); check the path") from err
    fmt = _format(path, options.kind)
    opener: Opener = getattr(import_module(f"vgslam.sources.{fmt.module}"), fmt.opener)
    recording = opener(path, options)
    camera = _camera(recording, options)
    if options.truth is not None:
        attach_chosen_truth(recording, options.truth)
    return RecordedSource(recording, camera, options)


def recognise(path: Path) -> str:
    """The kind of source at an existing path. Raises InputError, saying what was found, when there is none."""
    return _recognise(path).kind


def _format(path: Path, kind: str) -> Format:
    if kind == "auto":
        return _recognise(path)
    fmt = next(f for f in _FORMATS if f.kind == kind)
    if fmt.is_file and path.is_dir() and fmt.kind != "mcap":
        raise InputError(f"{path}: is a folder, and a source of kind {kind} is a file; give the file")
    if not fmt.is_file and path.is_file() and fmt.kind != "ros2":  # .db3 and .mcap files are part of ROS 2 bags
        raise InputError(f"{path}: is a file, and a source of kind {kind} is a folder; give the folder")
    return fmt


def _recognise(path: Path) -> Format:
    if path.is_dir():
        for fmt in _FORMATS:
            if fmt.matches(path):
                return fmt
        raise InputError(f"{path}: {_contents(path)}; give a folder of images, a data set, a bag or a video file")
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        raise InputError(f"{path}: is a single image; give the folder that holds the sequence")
    if not path.is_file():
        raise InputError(f"{path}: is neither a file nor a folder; give a video file or a folder")
    by_suffix = {".bag": "ros1", ".db3": "ros2", ".mcap": "mcap"}
    return next(f for f in _FORMATS if f.kind == by_suffix.get(suffix, "video"))


def _contents(folder: Path) -> str:
    names = sorted(p.name + "/" * p.is_dir() for p in folder.iterdir() if not p.name.startswith("."))
    if not names:
        return "the folder is empty"
    return "no images or known data set in it (it holds " + ", ".join(names[:4]) + (", ...)" if names[4:] else ")")


def _camera(recording: Recording, options: SourceOptions) -> Camera | None:
    """Calibration for images of the recording's size, still with its distortion."""
    width, height = recording.size
    camera = recording.camera
    if options.calib is not None:
        if not options.calib.is_file():
            raise CalibrationError(f"{options.calib}: no such calibration file; give a JSON or YAML file")
        camera = read_calibration(options.calib, recording.size)
    if camera is None:
        return None
    camera, warning = fit_to_image(camera, width, height)
    if warning:
        recording.warnings.add(warning)
    return camera
