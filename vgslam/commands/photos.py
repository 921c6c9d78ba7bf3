"""Photos for `vgslam relocalize`: of the camera that made the map, of another size of it, or of another camera."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.errors import ConfigError, InputError
from vgslam.guards.wording import say

if TYPE_CHECKING:
    from vgslam.localizer import Localizer
    from vgslam.map.slam_map import SlamMap
    from vgslam.reloc.proposal import PoseProposer
    from vgslam.types import Camera

Rgb = npt.NDArray[np.uint8]

SAME_SHAPE = 0.02  # relative difference of the ratios of width and height of two sizes that one camera may give


@dataclass
class Photos:
    """Brings photos to a camera that the map can be searched with: without `calib` and `fov_deg` the one that made the
    map, whose distortion, where the map knows it, is removed."""

    slam_map: "SlamMap"
    proposer: "PoseProposer | None" = None
    calib: Path | None = None
    fov_deg: float | None = None
    size: tuple[int, int] | None = None
    """Width and height of the photos, for a calibration file that does not state them."""
    say: Callable[[str], None] = say
    """Gets a line for what was left out of a calibration, and for what is odd about it."""

    def __post_init__(self) -> None:
        from vgslam.sources.undistort import Undistorter

        if self.calib is not None and self.fov_deg is not None:
            raise ConfigError("--calib and --fov-deg exclude each other: give one of them")
        if self.fov_deg is not None:
            from vgslam.session.choose_camera import check_fov

            check_fov(self.fov_deg)
        self._localizers: dict[Any, Localizer] = {}
        recorded = self.slam_map.recorded_camera if self.calib is None else self._read(self.calib)
        if self.fov_deg is not None:
            recorded = None
        is_bent = recorded is not None and (recorded.is_distorted or recorded.is_fisheye)
        self._undistort: Undistorter | None = None
        if recorded is not None and (is_bent or self.calib is not None):
            self._undistort = Undistorter(recorded)

    def _read(self, calib: Path) -> "Camera":
        from vgslam.sources.calibration import doubts, read_calibration

        camera = read_calibration(calib, self.size, self.say, is_chosen=True)
        if camera is None:
            raise ConfigError(f"{calib}: says nothing about the camera; give its calibration with --calib")
        for line in doubts(camera):
            self.say(line)
        return camera

    def prepare(self, path: Path, image: Rgb) -> "tuple[Localizer, Rgb]":
        """The image (H,W,3) as its camera's pinhole sees it, and what locates it. Raises InputError for another
        camera's."""
        mine = self.slam_map.keyframes[-1].camera.of_frames if self.slam_map.keyframes else None
        if self.fov_deg is not None and mine is not None:
            return self._by_fov(image, mine)
        camera = self._undistort.camera if self._undistort is not None else mine
        if camera is not None:
            image = _resized(path, image, camera)
        if self._undistort is not None:
            image = self._undistort(image)
        return self._localizer(camera if self.calib is not None else None), image

    def _by_fov(self, image: Rgb, mine: "Camera") -> "tuple[Localizer, Rgb]":
        """As large as the map's images, whose corners are then of the same size."""
        from vgslam.types import Camera

        height, width = image.shape[:2]
        scale = max(mine.width, mine.height) / max(width, height)
        size = (max(1, round(scale * width)), max(1, round(scale * height)))
        return self._localizer(Camera.from_fov(*size, float(self.fov_deg or 0.0))), scaled(image, *size)

    def _localizer(self, camera: "Camera | None") -> "Localizer":
        from vgslam.localizer import Localizer

        if camera not in self._localizers:
            self._localizers[camera] = Localizer(self.slam_map, camera, None, self.proposer)
        return self._localizers[camera]


def scaled(image: Rgb, width: int, height: int) -> Rgb:
    """The image in another size."""
    if image.shape[:2] == (height, width):
        return image
    how = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)


def _resized(path: Path, image: Rgb, camera: "Camera") -> Rgb:
    height, width = image.shape[:2]
    if abs(width * camera.height / (height * camera.width) - 1.0) > SAME_SHAPE:
        is_turned = abs(height * camera.height / (width * camera.width) - 1.0) <= SAME_SHAPE
        what = "turn it by 90 degrees" if is_turned else "give the calibration of its camera with --calib"
        raise InputError(
            f"{path}: the image is {width}x{height}, of another shape than its camera's "
            f"{camera.width}x{camera.height}; {what}, or give its field of view with --fov-deg"
        )
    return scaled(image, camera.width, camera.height)
