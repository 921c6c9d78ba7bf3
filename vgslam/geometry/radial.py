"""Radial distortion that a map has taken out of its images after they were recorded."""

import cv2
import numpy as np

from vgslam.geometry.camera import Camera
from vgslam.geometry.se3 import Array


def radial_since(now: Camera, before: Camera) -> float:
    """How much more k1 was taken out of the images of `now` than of those of `before`: a camera's `removed_k1`, if it
    has one, of a radius in focal lengths of `now`."""
    return _k1(now) - _k1(before) * (now.fx / before.fx) ** 2


def without_radial(camera: Camera, k1: float, pixels: Array) -> Array:
    """Pixels (N,2) of a lens with k1 -> those (N,2) of the pinhole `camera`."""
    if not k1 or not len(pixels):
        return pixels
    lens = np.array([k1, 0.0, 0.0, 0.0])
    done = cv2.undistortPoints(np.asarray(pixels, np.float64)[:, None], camera.K, lens, P=camera.K)
    return np.asarray(done[:, 0], np.float64)


def with_radial(camera: Camera, k1: float, pixels: Array) -> Array:
    """The inverse of `without_radial`: (x, y) becomes (x, y) (1 + k1 r^2)."""
    centre, focal = np.array([camera.cx, camera.cy]), np.array([camera.fx, camera.fy])
    xy = (pixels - centre) / focal
    return np.asarray(xy * (1.0 + k1 * (xy * xy).sum(1, keepdims=True)) * focal + centre)


def _k1(camera: Camera) -> float:
    return float(getattr(camera, "removed_k1", 0.0))
