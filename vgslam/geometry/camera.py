"""The pinhole camera, and the only place that decides what a pixel coordinate means.

Pixel (0, 0) is the centre of the top-left pixel, u to the right, v down; axes of the camera are OpenCV's
(x right, y down, z forward).
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vgslam.errors import CalibrationError
from vgslam.geometry.se3 import Array

Ids = npt.NDArray[np.int64]

MIN_DEPTH = 1e-3
"""Points nearer to the camera's plane count as behind it, in map units: a component begins with a median depth of 1."""
MIN_RAY_Z = 0.05
"""Least z of a turned ray that is projected: one at least 87 degrees off the axis has no pixel worth knowing."""


@dataclass(frozen=True)
class Camera:
    """Pinhole intrinsics in pixels, and the lens distortion (OpenCV order k1 k2 p1 p2 [k3 ...]), empty when none.
    `is_fisheye` selects OpenCV's equidistant model (k1..k4) for `distortion`. Raises ValueError, naming the field, for
    NaN, a focal length <= 0 or a principal point far outside the image."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    distortion: tuple[float, ...] = ()
    is_fisheye: bool = False
    removed_k1: float = 0.0
    """Radial distortion that the adjustment of the map found in the source's images, and took out of those in the map:
    images that come from the source have it taken out as well (`multiview.straighten`)."""
    enlarged: int = 1
    """How many times larger the images in the map are than the source's, one way: images that come from the source are
    enlarged as well (`map.enlarged`)."""

    def __post_init__(self) -> None:
        for name in ("fx", "fy", "cx", "cy"):
            if not np.isfinite(getattr(self, name)):
                raise ValueError(f"camera {name} is not a finite number: {getattr(self, name)}")
        for name in ("fx", "fy", "width", "height"):
            if getattr(self, name) <= 0:
                raise ValueError(f"camera {name} must be positive, got {getattr(self, name)}")
        if not (-self.width < self.cx < 2 * self.width and -self.height < self.cy < 2 * self.height):
            raise ValueError(f"camera principal point ({self.cx}, {self.cy}) is far outside the image")
        if not np.isfinite(np.asarray(self.distortion, np.float64)).all():
            raise ValueError("camera distortion holds a number that is not finite")

    @property
    def K(self) -> Array:
        """Intrinsic matrix (3,3)."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def is_distorted(self) -> bool:
        """Whether images of it have to be straightened (a fisheye always)."""
        return self.is_fisheye or any(abs(k) > 1e-12 for k in self.distortion)

    @property
    def fov_deg(self) -> tuple[float, float]:
        """Horizontal and vertical field of view in degrees, of the whole pixel area."""
        w = np.arctan((self.cx + 0.5) / self.fx) + np.arctan((self.width - 0.5 - self.cx) / self.fx)
        h = np.arctan((self.cy + 0.5) / self.fy) + np.arctan((self.height - 0.5 - self.cy) / self.fy)
        return float(np.degrees(w)), float(np.degrees(h))

    @staticmethod
    def from_fov(width: int, height: int, fov_x_deg: float) -> "Camera":
        """Square pixels, principal point in the middle of the image, given horizontal field of view."""
        f = 0.5 * width / np.tan(np.radians(fov_x_deg) / 2)
        return Camera(float(f), float(f), (width - 1) / 2, (height - 1) / 2, width, height)

    def undistorted(self) -> "Camera":
        """The same pinhole without distortion."""
        return replace(self, distortion=(), is_fisheye=False)

    @property
    def of_frames(self) -> "Camera":
        """Camera of the images as the source gives them, before they are enlarged."""
        return self.resized(self.width // self.enlarged, self.height // self.enlarged) if self.enlarged > 1 else self

    def enlarged_by(self, times: int) -> "Camera":
        """Camera of the source's images enlarged so many times."""
        return replace(self.resized(times * self.width, times * self.height), enlarged=times)

    def resized(self, width: int, height: int) -> "Camera":
        """Camera of the image resized to (width, height): pixel centres move as (u + 0.5) * s - 0.5."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self, fx=self.fx * sx, fy=self.fy * sy, cx=(self.cx + 0.5) * sx - 0.5, cy=(self.cy + 0.5) * sy - 0.5,
            width=width, height=height, enlarged=1,
        )  # fmt: skip

    def project(self, points: Array) -> Array:
        """Points (N,3) in the camera frame, z > 0 -> pixels (N,2). Distortion is not applied."""
        z = points[:, 2]
        return np.stack([self.fx * points[:, 0] / z + self.cx, self.fy * points[:, 1] / z + self.cy], axis=1)

    def rays(self, pixels: npt.ArrayLike) -> Array:
        """Pixels (N,2) -> rays (N,3) with z = 1, so that ray * depth is the point. Distortion is not applied."""
        p = np.asarray(pixels, np.float64).reshape(-1, 2)
        return np.stack([(p[:, 0] - self.cx) / self.fx, (p[:, 1] - self.cy) / self.fy, np.ones(len(p))], axis=1)

    def cell_at(self, pixels: Array, shape: tuple[int, ...]) -> tuple[Ids, Ids]:
        """Rows (N,) and columns (N,) of the cells that pixels (N,2) lie in, where a map of `shape` (rows, columns)
        covers the image; for pixels outside, those of the nearest cell."""
        rows, cols = shape
        v = np.clip(((pixels[:, 1] + 0.5) * rows / self.height).astype(int), 0, rows - 1)
        return v, np.clip(((pixels[:, 0] + 0.5) * cols / self.width).astype(int), 0, cols - 1)


def required(camera: Camera | None) -> Camera:
    """The camera. Raises CalibrationError for None, as a source has where nothing calibrates it."""
    if camera is None:
        raise CalibrationError(
            "the camera is not known: vgslam.estimate_camera(source).camera estimates it from the first frames, "
            "Camera.from_fov(width, height, degrees) makes one of a field of view, SourceOptions(calib=FILE) reads one"
        )
    return camera
