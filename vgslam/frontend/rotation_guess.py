"""A coarse camera rotation between two consecutive images, from a thumbnail: where to look for the features.

Gauss-Newton over SO(3) on the intensities of a blurred thumbnail, compositional, after Klein and Murray, "Improving
the Agility of Keyframe-Based SLAM" (ECCV 2008), section 3, with the average of both images' gradients (Malis, ESM,
ICRA 2004) so that few steps suffice.
"""

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_RAY_Z, Camera
from vgslam.types import Array

THUMBNAIL_WIDTH = 96
"""Width in px: small, so that a turn between two frames is a shift by few pixels and the estimate costs little."""
BLUR_PX = 1.2
"""Standard deviation of the blur: a gradient then tells of a pixel's shift and not of noise."""
NOISE = 4.0
"""Grey values, of 255, added to the deviation, so that an image without contrast is not made of noise alone."""
MIN_OVERLAP = 0.25
"""A rotation after which the images share less of their area is not judged."""
L1_FROM = 0.3
"""Residual, in deviations of the image, from which the weight falls as that of the absolute value does."""
STILL_BETTER = 0.999
"""The steps end when one improves the error by less than a thousandth."""


class Thumbnail:
    """Blurred small grey image (zero mean, unit deviation) with its gradient and pinhole camera."""

    def __init__(self, gray: npt.NDArray[np.uint8], camera: Camera) -> None:
        h, w = gray.shape
        width = min(THUMBNAIL_WIDTH, w)
        height = max(8, round(h * width / w))
        small = cv2.GaussianBlur(cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA), (0, 0), BLUR_PX)
        image = small.astype(np.float32)
        self.image = (image - image.mean()) / (image.std() + NOISE)
        self.camera = camera.resized(width, height)
        self.gradient_u = cv2.Sobel(self.image, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
        self.gradient_v = cv2.Sobel(self.image, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)


class RotationGuess:
    """Estimates R_cur_prev between consecutive thumbnails of one camera."""

    def __init__(self, camera: Camera, height: int, width: int) -> None:
        self._rays = camera.rays(
            np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).reshape(-1, 2)
        )
        self._camera, self._shape = camera, (height, width)
        self._window = cv2.createHanningWindow((width, height), cv2.CV_32F)

    def _score(
        self, previous: Thumbnail, current: Thumbnail, R: Array
    ) -> tuple[float, npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Mean absolute difference on the overlap, the warped image, its validity, and where it was sampled (u, v)."""
        c = self._camera
        p = self._rays @ R.T
        z = np.maximum(p[:, 2], MIN_RAY_Z)
        u = (c.fx * p[:, 0] / z + c.cx).astype(np.float32).reshape(self._shape)
        v = (c.fy * p[:, 1] / z + c.cy).astype(np.float32).reshape(self._shape)
        warped = cv2.remap(current.image, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        h, w = self._shape
        valid = (u > 0) & (u < w - 1) & (v > 0) & (v < h - 1) & (p[:, 2].reshape(self._shape) > MIN_RAY_Z)
        n = int(valid.sum())
        error = float(np.abs(warped - previous.image)[valid].mean()) if n > MIN_OVERLAP * valid.size else np.inf
        return error, warped, valid, u, v

    def _from_shift(self, previous: Thumbnail, current: Thumbnail) -> Array:
        """The rotation that shifts the middle of the image as phase correlation says: finds turns of any size."""
        # copies: phaseCorrelate multiplies the window into the images that it is given
        (du, dv), _ = cv2.phaseCorrelate(previous.image.copy(), current.image.copy(), self._window)
        return se3.so3_exp(np.array([-np.arctan(dv / self._camera.fy), np.arctan(du / self._camera.fx), 0.0]))

    def estimate(self, previous: Thumbnail, current: Thumbnail, starts: list[Array], iterations: int = 6) -> Array:
        """R_cur_prev (3,3): the best of the start rotations and of the phase correlation's, refined."""
        c = self._camera
        starts = [*starts, self._from_shift(previous, current)]
        best = min(starts, key=lambda R: self._score(previous, current, R)[0])
        best_error = np.inf
        R = best
        x, y = self._rays[:, 0], self._rays[:, 1]
        for _ in range(iterations):
            error, warped, valid, u, v = self._score(previous, current, R)
            if not error < best_error * STILL_BETTER:
                break
            best, best_error = R, error
            gu = 0.5 * (previous.gradient_u + cv2.remap(current.gradient_u, u, v, cv2.INTER_LINEAR)).reshape(-1) * c.fx
            gv = 0.5 * (previous.gradient_v + cv2.remap(current.gradient_v, u, v, cv2.INTER_LINEAR)).reshape(-1) * c.fy
            # ray -> R exp(w) ray: d(x, y) = (-xy, 1 + x^2, -y) and (-(1 + y^2), xy, x) per component of w
            J = np.stack([gu * -x * y - gv * (1 + y * y), gu * (1 + x * x) + gv * x * y, -gu * y + gv * x], axis=1)
            r = (warped - previous.image).reshape(-1)
            weight = np.where(valid.reshape(-1), 1.0 / np.maximum(np.abs(r), L1_FROM), 0.0)
            H = J.T @ (J * weight[:, None]) + 1e-3 * np.eye(3)
            R = R @ se3.so3_exp(-np.linalg.solve(H, J.T @ (weight * r)))
        return best
