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

THUMBNAIL_SIDE = 96
"""Longer side in px: small, so that a turn between two frames is a shift by few pixels, and the estimate cheap."""
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
        smaller = min(1.0, THUMBNAIL_SIDE / max(h, w))
        width, height = max(8, round(w * smaller)), max(8, round(h * smaller))
        small = cv2.GaussianBlur(cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA), (0, 0), BLUR_PX)
        image = small.astype(np.float32)
        self.image = (image - image.mean()) / (image.std() + NOISE)
        self.camera = camera.resized(width, height)
        self.gradient_u = cv2.Sobel(self.image, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
        self.gradient_v = cv2.Sobel(self.image, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)


class RotationGuess:
    """Estimates R_cur_prev between consecutive thumbnails of one camera."""

    def __init__(self, camera: Camera, height: int, width: int) -> None:
        self._camera, self._shape = camera, (height, width)
        u, v = np.meshgrid(np.arange(width), np.arange(height))
        x, y, _ = camera.rays(np.stack([u, v], axis=-1).reshape(-1, 2)).T
        # ray -> R exp(w) ray: d(x, y) = (-xy, 1 + x^2, -y) and (-(1 + y^2), xy, x) per component of w
        self._du_dw = (camera.fx * np.stack([-x * y, 1 + x * x, -y])).astype(np.float32)
        self._dv_dw = (camera.fy * np.stack([-(1 + y * y), x * y, x])).astype(np.float32)
        self._K_inverse = np.linalg.inv(camera.K)
        self._corners = np.array([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1]]).T
        self._window = cv2.createHanningWindow((width, height), cv2.CV_32F)

    def _score(
        self, previous: Thumbnail, current: Thumbnail, R: Array
    ) -> tuple[float, npt.NDArray[np.float32], npt.NDArray[np.bool_], Array]:
        """Mean absolute difference on the overlap, the differences, where they count, and the homography to the current
        image."""
        H = self._camera.K @ R @ self._K_inverse
        difference = self._warped(current.image, H) - previous.image
        valid = ~np.isnan(difference)
        if (H[2] @ self._corners).min() < MIN_RAY_Z:
            h, w = self._shape
            valid &= H[2, 0] * np.arange(w) + H[2, 1] * np.arange(h)[:, None] + H[2, 2] > MIN_RAY_Z
        n = int(np.count_nonzero(valid))
        error = float(np.abs(difference[valid]).mean()) if n > MIN_OVERLAP * valid.size else np.inf
        return error, difference, valid, H

    def _warped(self, picture: npt.NDArray[np.float32], H: Array) -> npt.NDArray[np.float32]:
        """A picture of the current thumbnail where the previous one's pixels are in it, NaN where they are outside."""
        h, w = self._shape
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        nothing = (np.nan,) * 4
        out = cv2.warpPerspective(picture, H, (w, h), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=nothing)
        return np.asarray(out, np.float32)

    def _from_shift(self, previous: Thumbnail, current: Thumbnail) -> Array:
        """The rotation that shifts the middle of the image as phase correlation says: finds turns of any size."""
        # copies: phaseCorrelate multiplies the window into the images that it is given
        (du, dv), _ = cv2.phaseCorrelate(previous.image.copy(), current.image.copy(), self._window)
        return se3.so3_exp(np.array([-np.arctan(dv / self._camera.fy), np.arctan(du / self._camera.fx), 0.0]))

    def estimate(self, previous: Thumbnail, current: Thumbnail, starts: list[Array], iterations: int = 6) -> Array:
        """R_cur_prev (3,3): the best of the start rotations and of the phase correlation's, refined."""
        starts = [*starts, self._from_shift(previous, current)]
        best = min(starts, key=lambda R: self._score(previous, current, R)[0])
        best_error = np.inf
        R = best
        for _ in range(iterations):
            error, difference, valid, H = self._score(previous, current, R)
            if not error < best_error * STILL_BETTER:
                break
            best, best_error = R, error
            R = R @ se3.so3_exp(self._step(previous, current, difference, valid, H))
        return best

    def _step(
        self, previous: Thumbnail, current: Thumbnail, difference: npt.NDArray[np.float32],
        valid: npt.NDArray[np.bool_], H: Array,
    ) -> Array:  # fmt: skip
        """One step of Gauss-Newton: a rotation vector (3,)."""
        gu = 0.5 * (previous.gradient_u + self._warped(current.gradient_u, H)).reshape(-1)
        gv = 0.5 * (previous.gradient_v + self._warped(current.gradient_v, H)).reshape(-1)
        counts = valid.reshape(-1)
        J = np.where(counts, self._du_dw * gu + self._dv_dw * gv, np.float32(0))
        r = np.where(counts, difference.reshape(-1), np.float32(0))
        weighted = J / np.maximum(np.abs(r), np.float32(L1_FROM))
        A = (weighted @ J.T).astype(np.float64) + 1e-3 * np.eye(3)
        return np.asarray(-np.linalg.solve(A, (weighted @ r).astype(np.float64)))
