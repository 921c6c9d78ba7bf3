"""Recognises what a path holds and opens it as a frame source."""

from pathlib import Path

from vgslam.errors import CalibrationError, InputError, PluginError
from vgslam.interfaces import FrameSource
from vgslam.plugins import reason
from vgslam.sources.calibration import check_plausible, doubts, fit_to_image, read_calibration
from vgslam.sources.folder_contents import PHOTOS, contents
from vgslam.sources.image_files import SUFFIXES
from vgslam.sources.kinds import LEFT_OVER, SOURCE_KINDS
from vgslam.sources.live_address import refuse_address
from vgslam.sources.not_a_video import is_animated_png, refusal
from vgslam.sources.options import SourceOptions
from vgslam.sources.recording import Recording
from vgslam.sources.source import RecordedSource
from vgslam.sources.truth import attach_chosen_truth
from vgslam.types import Camera


def open_source(path: Path | str, options: SourceOptions | None = None) -> FrameSource:
    """Opens the frames at `path` (docs/inputs.md); `source.kind` says as what. Frames are undistorted and
    `source.camera` is their pinhole, None without a calibration (the data set's own, or `options.calib`). Raises
    InputError (CalibrationError for a calibration) with one line that names the path and the next step; ConfigError for
    an unknown kind, PluginError for one of another package that cannot be used."""
    path, options = Path(path), options or SourceOptions()
    refuse_address(path)
    try:
        path.stat()
    except (OSError, ValueError) as err:
        why = getattr(err, "strerror", None) or str(err)
        raise InputError(f"{path}: no such file or folder that can be read ({why}); check the path") from err
    try:
        kind, troubles = _recognise(path) if options.kind == "auto" else (options.kind, [])
        if kind in SOURCE_KINDS.own:
            options.refuse_unused(kind)
        recording = SOURCE_KINDS.checked(kind, SOURCE_KINDS.get(kind).open(path, options), Recording)
    except OSError as err:  # a folder without permission, a disk that fails, a link that the system refuses
        what = str(err.filename or path)
        raise InputError(f"{what}: cannot be read ({err.strerror or err}); check it, or leave it out") from err
    for line in troubles:
        recording.warnings.add(line)
    camera = _camera(recording, options)
    if options.truth is not None:
        attach_chosen_truth(recording, options.truth)
    return RecordedSource(recording, camera, options, path)


def recognise(path: Path) -> str:
    """The kind of source at an existing path. Raises InputError, saying what was found, when there is none."""
    return _recognise(path)[0]


def _recognise(path: Path) -> tuple[str, list[str]]:
    """The kind, and a line for each plug-in that could not be asked."""
    if not path.is_file() and not path.is_dir():
        raise InputError(f"{path}: is neither a file nor a folder; give a video file or a folder")
    own = SOURCE_KINDS.own
    for name in own:
        if name not in LEFT_OVER and own[name].matches(path):
            return name, []
    plugged_in, troubles = _ask_plug_ins(path)
    if plugged_in is not None:
        return plugged_in, troubles
    if path.is_file() and (path.suffix.lower() not in SUFFIXES | PHOTOS.keys() or is_animated_png(path)):
        return "video", troubles
    if path.is_dir() and own["images"].matches(path):
        return "images", troubles
    also = "".join(f"; {line}" for line in troubles)
    if path.is_file():
        what = refusal(path) if path.stat().st_size else None
        what = what or "is a single image; give the folder that holds the sequence"
        raise InputError(f"{path}: {what}{also}")
    raise InputError(f"{path}: {contents(path)}{also}")


def _ask_plug_ins(path: Path) -> tuple[str | None, list[str]]:
    """The first plug-in that knows the path, and a line for each that could not be asked."""
    troubles: list[str] = []
    for name in SOURCE_KINDS.plugged_in():
        try:
            if SOURCE_KINDS.get(name).matches(path):
                return name, troubles
        except PluginError as error:
            troubles.append(f"not asked whether it knows this input: {error}")
        except Exception as error:  # the code of another package may raise anything
            who = f"source kind '{name}' of {SOURCE_KINDS.origin(name)}"
            troubles.append(f"{who} failed to look at this input ({reason(error)})")
    return None, troubles


def _camera(recording: Recording, options: SourceOptions) -> Camera | None:
    """Calibration for images of the recording's size, still with its distortion."""
    width, height = recording.size
    camera = recording.camera
    if options.calib is not None:
        camera = read_calibration(options.calib, recording.size, recording.warnings.add, is_chosen=True)
        if camera is None:
            recording.uncalibrated = f"{options.calib} holds a camera that is not calibrated"
    if camera is None:
        return None
    try:
        check_plausible(camera)
    except ValueError as err:
        raise CalibrationError(f"{recording.name}: {err}; or give --calib") from err
    camera, warning = fit_to_image(camera, width, height)
    for line in [*([warning] if warning else []), *doubts(camera)]:
        recording.warnings.add(line)
    return camera
