"""Measured depth beside the images of a recording: where it lies, its unit and its camera."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vgslam.errors import InputError
from vgslam.guards import images
from vgslam.sources.calibration import read_calibration
from vgslam.sources.source import RecordedSource
from vgslam.sources.times import parse_time, read_list
from vgslam.types import Array, Camera, Float32

TUM_UNITS_PER_M = 5000.0
MM_PER_M = 1000.0
MAX_APART_S = 0.02
"""Depth and colour that are further apart in time do not belong together."""
_KINECT_FOCAL_PX = 585.0
"""The depth camera of 7-Scenes, stated with the data set; it is not registered to the colour camera."""
_NOTHING = 65535


@dataclass(frozen=True)
class DepthImage:
    """One depth image of a recording. time_s: that of its colour image."""

    time_s: float
    path: Path


@dataclass(frozen=True)
class DepthOf:
    """The depth images of a recording."""

    images: list[DepthImage]
    units_per_m: float
    camera: Camera | None
    """The camera of the depth images, where they are not registered to the colour images."""
    colour: Camera | None
    """The camera of the colour images as recorded, with their distortion."""

    def read_m(self, image: DepthImage) -> Float32:
        """Depth (H,W) in metres, 0 where unknown. Raises InputError for what is no 16-bit image."""
        try:
            raw = images.read(image.path, cv2.IMREAD_UNCHANGED)
        except images.UndecodableError as err:
            raise InputError(f"{image.path}: {err}") from err
        if raw.ndim != 2 or raw.dtype != np.uint16:
            raise InputError(f"{image.path}: is not a 16-bit depth image")
        return np.where(raw == _NOTHING, 0, raw).astype(np.float32) / np.float32(self.units_per_m)

    def pixels(self, rays: Array, shape: tuple[int, ...]) -> Array:
        """Where rays (N,3) of the colour camera lie in a depth image of `shape` (rows, columns): (N,2) px. The few
        centimetres between two cameras are left out: in a room a percent of the image."""
        camera = self.camera or self.colour
        if camera is None:
            raise InputError("depth cannot be used without a calibration; give --calib")
        camera = camera.resized(shape[1], shape[0])
        points = np.ascontiguousarray(rays, np.float64).reshape(-1, 1, 3)
        none, bent = np.zeros(3), np.array(camera.distortion or (0.0,) * 4, np.float64)
        project = cv2.fisheye.projectPoints if camera.is_fisheye else cv2.projectPoints
        return np.asarray(project(points, none, none, camera.K, bent)[0]).reshape(-1, 2)


def depth_of(source: object, units_per_m: float | None = None) -> DepthOf:
    """The depth images of a source: depth.txt of TUM RGB-D, frame-XXXXXX.depth.png of 7-Scenes, or depth/ beside
    images/ with the images' numbers in their names (mm). Raises InputError for a source without depth."""
    if not isinstance(source, RecordedSource) or not source.folder.is_dir():
        raise InputError("depth: this input has no depth images; TUM RGB-D, 7-Scenes or a depth/ folder has")
    folder = source.folder
    find: Callable[[RecordedSource], list[DepthImage]] = _listed if (folder / "depth.txt").is_file() else _numbered
    found = find(source)
    if not found:
        raise InputError(f"{folder}: no depth image belongs to one of its images; looked for depth.txt, depth/*.png "
                         "and frame-XXXXXX.depth.png")  # fmt: skip
    is_tum = source.kind == "tum"
    units = units_per_m or (TUM_UNITS_PER_M if is_tum else MM_PER_M)
    return DepthOf(found, units, _depth_camera(folder, found), source.recorded_camera)


def _listed(source: RecordedSource) -> list[DepthImage]:
    file = source.folder / "depth.txt"
    rows = read_list(file, 2)
    times = np.array([parse_time(file, row[0]) for row in rows])
    found = []
    for _, time_s in source.names_and_times():
        i = int(np.abs(times - time_s).argmin()) if len(times) else -1
        if i >= 0 and abs(times[i] - time_s) <= MAX_APART_S:
            found.append(DepthImage(time_s, source.folder / rows[i][1]))
    return found


def _numbered(source: RecordedSource) -> list[DepthImage]:
    """The first number in the name says which image a depth image belongs to."""
    within = source.folder / source.name.rsplit("_", 1)[-1]  # the chosen sequence of a 7-Scenes scene folder
    folders = [source.folder, *([within] if source.kind == "7scenes" and within.is_dir() else [])]
    files = [f for folder in folders for pattern in ("depth/*.png", "*.depth.png") for f in folder.glob(pattern)]
    by_number = {_number(f.name): f for f in sorted(files)}
    names = source.names_and_times()
    return [DepthImage(t, by_number[_number(n)]) for n, t in names if _number(n) in by_number and _number(n)]


def _number(name: str) -> str:
    found = re.search(r"\d+(?:\.\d+)?", name)
    return found[0].lstrip("0") or "0" if found else ""


def _depth_camera(folder: Path, found: list[DepthImage]) -> Camera | None:
    """Its own calibration in depth/calib.json, else that of the Kinect where the names are those of 7-Scenes."""
    if (folder / "depth" / "calib.json").is_file():
        try:
            size = images.read(found[0].path, cv2.IMREAD_UNCHANGED).shape[1::-1]
        except images.UndecodableError:
            size = (640, 480)
        return read_calibration(folder / "depth" / "calib.json", size)
    if re.fullmatch(r"frame-\d+\.depth\.png", found[0].path.name):
        return Camera(_KINECT_FOCAL_PX, _KINECT_FOCAL_PX, 320.0, 240.0, 640, 480)
    return None
