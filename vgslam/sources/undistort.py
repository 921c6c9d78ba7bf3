"""Lens distortion is removed once, here: every image that leaves a source is that of a pinhole."""

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.errors import CalibrationError
from vgslam.sources.recording import Pixels
from vgslam.types import Camera

Points = npt.NDArray[np.float64]

MAX_HALF_FOV = float(np.radians(65.0))
"""Widest angle off the axis in a pinhole image made from a wide lens: beyond it pixels only stretch."""


class Undistorter:
    """Resamples images of `distorted` to those of the pinhole `camera`: same size, no black border. `camera` keeps
    fx/fy and shows the largest rectangle that is defined in every pixel, at most 130 degrees wide or high."""

    def __init__(self, distorted: Camera) -> None:
        self.camera = pinhole_inside(distorted)
        size = (distorted.width, distorted.height)
        lens = (distorted.K, np.array(distorted.distortion, np.float64), np.eye(3), self.camera.K, size, cv2.CV_16SC2)
        module = cv2.fisheye if distorted.is_fisheye else cv2
        self._map_xy, self._map_fraction = module.initUndistortRectifyMap(*lens)

    def __call__(self, image: Pixels) -> Pixels:
        """(H,W) or (H,W,3) uint8 -> the same shape, linear interpolation."""
        return cv2.remap(image, self._map_xy, self._map_fraction, cv2.INTER_LINEAR)

    def as_recorded(self, flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Flags (H,W) of pixels of the pinhole image -> those of the image before, False where the pinhole shows
        nothing."""
        recorded = np.zeros(flags.shape, np.uint8)
        u, v = np.moveaxis(self._map_xy[flags].astype(np.int64), -1, 0)
        recorded[np.clip(v, 0, flags.shape[0] - 1), np.clip(u, 0, flags.shape[1] - 1)] = 1
        closed = cv2.morphologyEx(recorded, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))  # where it is stretched
        return np.asarray(closed > 0)


def pinhole_inside(distorted: Camera) -> Camera:
    """Pinhole whose whole image lies inside the undistorted image area of `distorted`. Raises CalibrationError."""
    left, top, right, bottom = _inner_rectangle(distorted)
    if right - left < 0.2 * distorted.width / distorted.fx or bottom - top < 0.2 * distorted.height / distorted.fy:
        raise CalibrationError("distortion coefficients leave hardly any image; check them and their order")
    w, h = distorted.width, distorted.height
    aspect = distorted.fx / distorted.fy
    fx = max((w - 1) / (right - left), aspect * (h - 1) / (bottom - top))
    fy = fx / aspect
    # Principal point: the optical axis keeps its place as far as the rectangle allows.
    cx = float(np.clip(distorted.cx, w - 1 - fx * right, -fx * left))
    cy = float(np.clip(distorted.cy, h - 1 - fy * bottom, -fy * top))
    try:
        return Camera(float(fx), float(fy), cx, cy, w, h)
    except ValueError as err:
        raise CalibrationError(f"distortion coefficients leave no image around the axis ({err}); check them") from err


def _inner_rectangle(camera: Camera) -> tuple[float, float, float, float]:
    """left, top, right, bottom in normalised coordinates, inside the image of the border (by 0.1 px, for rounding)."""
    n, edge = 64, 0.1
    w, h = camera.width - 1 - edge, camera.height - 1 - edge
    across, down = np.linspace(edge, w, n), np.linspace(edge, h, n)
    left = _rays(camera, np.stack([np.full(n, edge), down], 1))[:, 0].max()
    right = _rays(camera, np.stack([np.full(n, w), down], 1))[:, 0].min()
    top = _rays(camera, np.stack([across, np.full(n, edge)], 1))[:, 1].max()
    bottom = _rays(camera, np.stack([across, np.full(n, h)], 1))[:, 1].min()
    return float(left), float(top), float(right), float(bottom)


def _rays(camera: Camera, pixels: Points) -> Points:
    """Distorted pixels (N,2) -> x/z, y/z of their rays (N,2), limited to MAX_HALF_FOV."""
    if camera.is_fisheye:
        return _fisheye_rays(camera, pixels)
    # OpenCV 4 has the iteration limit under another name.
    undistort = getattr(cv2, "undistortPointsIter", cv2.undistortPoints)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-10)
    points, eye = pixels.reshape(-1, 1, 2), np.eye(3)
    rays = undistort(points, camera.K, np.array(camera.distortion, np.float64), R=eye, P=eye, criteria=criteria)
    limit = np.tan(MAX_HALF_FOV)
    return np.clip(rays.reshape(-1, 2), -limit, limit)


def _corner_radius(camera: Camera) -> float:
    """Distance of the farthest corner from the principal point, in focal lengths."""
    x = max(camera.cx, camera.width - 1 - camera.cx) / camera.fx
    return float(np.hypot(x, max(camera.cy, camera.height - 1 - camera.cy) / camera.fy))


def _fisheye_rays(camera: Camera, pixels: Points) -> Points:
    """Inverse of theta_d = theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8) (OpenCV's fisheye model;
    Kannala and Brandt, PAMI 2006) by a table, limited to MAX_HALF_FOV."""
    theta = np.linspace(0.0, MAX_HALF_FOV, 2000)
    k1, k2, k3, k4 = camera.distortion
    bent = theta * (1 + k1 * theta**2 + k2 * theta**4 + k3 * theta**6 + k4 * theta**8)
    folds = np.flatnonzero(np.diff(bent) <= 0)
    if len(folds):
        if bent[folds[0]] <= 1.05 * _corner_radius(camera):
            raise CalibrationError("fisheye distortion folds the image over; check the four coefficients")
        theta, bent = theta[: folds[0] + 1], bent[: folds[0] + 1]
    xy = (pixels - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    radius = np.linalg.norm(xy, axis=1)
    return np.tan(np.interp(radius, bent, theta))[:, None] * xy / np.maximum(radius, 1e-12)[:, None]
