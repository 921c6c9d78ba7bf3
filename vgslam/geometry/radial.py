"""Radial distortion that a map has taken out of its images after they were recorded."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.geometry.camera import Camera
from vgslam.geometry.se3 import Array

NEWTON_STEPS, LEAST_SLOPE = 8, 0.1
"""Steps to an undistorted radius, and the least slope of the lens' curve that they believe."""


def radial_since(now: Camera, before: Camera) -> float:
    """How much more k1 was taken out of the images of `now` than of those of `before`, of a radius in focal
    lengths of `now`."""
    return now.removed_k1 - before.removed_k1 * (now.fx / before.fx) ** 2


def without_radial(camera: Camera, k1: float, pixels: Array) -> Array:
    """Pixels (N,2) of a lens with k1 -> those (N,2) of the pinhole `camera`. Newton's method on the radius,
    r (1 + k1 r^2) = distance from the principal point; far outside, where the lens folds over, nothing is meant."""
    if not k1:
        return pixels
    bent = (pixels - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    far = np.linalg.norm(bent, axis=1)
    r = far.copy()
    for _ in range(NEWTON_STEPS):
        r -= (r * (1.0 + k1 * r**2) - far) / np.maximum(1.0 + 3.0 * k1 * r**2, LEAST_SLOPE)
    ratio = np.where(far > 0, r / np.maximum(far, 1e-12), 1.0)
    return np.asarray(bent * ratio[:, None] * [camera.fx, camera.fy] + [camera.cx, camera.cy])


def with_radial(camera: Camera, k1: float, pixels: Array) -> Array:
    """The inverse of `without_radial`: (x, y) becomes (x, y) (1 + k1 r^2)."""
    centre, focal = np.array([camera.cx, camera.cy]), np.array([camera.fx, camera.fy])
    xy = (pixels - centre) / focal
    return np.asarray(xy * (1.0 + k1 * (xy * xy).sum(1, keepdims=True)) * focal + centre)


Picture = npt.NDArray[Any]


class Straightener:
    """Takes radial distortion k1 out of the pictures of `camera`: a point at (x, y) / z is seen at
    (x, y) / z (1 + k1 r^2). Focal length, centre and size stay; what was not seen at the border
    repeats its last pixels."""

    def __init__(self, camera: Camera, k1: float) -> None:
        self.camera, self.k1 = camera, k1
        self._maps: dict[tuple[int, int], tuple[Picture, Picture]] = {}

    def __call__(self, picture: Picture, is_smooth: bool = True) -> Picture:
        """A picture (H,W) or (H,W,3) of any resolution; not is_smooth: values are taken over, not mixed."""
        xy, fraction = self._map((picture.shape[1], picture.shape[0]))
        if not is_smooth:
            return cv2.remap(picture, xy, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        return cv2.remap(picture, xy, fraction, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def _map(self, size: tuple[int, int]) -> tuple[Picture, Picture]:
        if size not in self._maps:
            K = self.camera.resized(*size).K
            lens = np.array([self.k1, 0.0, 0.0, 0.0])
            self._maps[size] = cv2.initUndistortRectifyMap(K, lens, np.eye(3), K, size, cv2.CV_16SC2)
        return self._maps[size]
