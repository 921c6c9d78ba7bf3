"""The camera of the images as they were recorded, from what the adjustment of a map has found in straightened ones."""

from dataclasses import replace

import cv2
import numpy as np

from vgslam.geometry.camera import Camera
from vgslam.geometry.radial import with_radial
from vgslam.geometry.se3 import Array

N_GRID = 40
"""Points along each side of the image at which the two lenses in a row are compared with one."""
WORST_MISFIT_PX = 0.25
"""A lens that is this far from the two in a row, somewhere in the image, is not given out."""


def whole_lens(adjusted: Camera, frames: Camera, recorded: Camera) -> Camera | None:
    """One camera for the images as they were recorded; None where OpenCV's model with k1 k2 p1 p2 k3 does not fit.

    recorded: the calibration that was given, with its distortion; frames: the pinhole that its images were straightened
    to; adjusted: what the map made of that, with the distortion `removed_k1` that it found in the straightened images.
    The focal lengths change by the same factor. The distortion is a linear problem once they are given (Zhang, "A
    flexible new technique for camera calibration", PAMI 2000, section 3.3), and is solved by least squares over the
    image. A fisheye has another model: None.
    """
    if recorded.is_fisheye:
        return None
    scale = adjusted.fx / frames.fx
    pinhole = replace(
        recorded, fx=recorded.fx * scale, fy=recorded.fy * adjusted.fy / frames.fy, distortion=(), removed_k1=0.0
    )
    pixels = _grid(adjusted)
    raw = _as_recorded(with_radial(adjusted, adjusted.removed_k1, pixels), frames, recorded)
    inside = ((raw > -0.5) & (raw < [recorded.width - 0.5, recorded.height - 0.5])).all(1)
    xy, seen = adjusted.rays(pixels[inside])[:, :2], pinhole.rays(raw[inside])[:, :2]
    A = _distortion_rows(xy)
    k, *_ = np.linalg.lstsq(A, (seen - xy).ravel(), rcond=None)
    misfit_px = np.abs((A @ k).reshape(-1, 2) + xy - seen) * [pinhole.fx, pinhole.fy]
    if misfit_px.max() > WORST_MISFIT_PX:
        return None
    return replace(pinhole, distortion=tuple(k.tolist()))


def _grid(camera: Camera) -> Array:
    """Pixels (N,2) all over the image."""
    u, v = np.meshgrid(np.linspace(0, camera.width - 1, N_GRID), np.linspace(0, camera.height - 1, N_GRID))
    return np.stack([u.ravel(), v.ravel()], 1)


def _as_recorded(pixels: Array, frames: Camera, recorded: Camera) -> Array:
    """Pixels (N,2) of the straightened frames -> those (N,2) of the recorded images."""
    raw, _ = cv2.projectPoints(frames.rays(pixels), np.zeros(3), np.zeros(3), recorded.K, np.array(recorded.distortion))
    return np.asarray(raw, np.float64).reshape(-1, 2)


def _distortion_rows(xy: Array) -> Array:
    """What k1, k2, p1, p2 and k3 move points (N,2) by, in focal lengths, for 1 of each: (2N,5), x and y in turns."""
    r2 = (xy * xy).sum(1)
    x, y = xy.T
    radial = [np.stack([x * r2**n, y * r2**n], 1) for n in (1, 2, 3)]
    p1, p2 = np.stack([2 * x * y, r2 + 2 * y * y], 1), np.stack([r2 + 2 * x * x, 2 * x * y], 1)
    return np.stack([radial[0], radial[1], p1, p2, radial[2]], 2).reshape(-1, 5)
