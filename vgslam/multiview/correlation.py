"""How alike two images are around each pixel: zero-mean normalised cross-correlation of square windows."""

from dataclasses import dataclass

import cv2
import numpy as np

from vgslam.types import Float32

LEAST_DEVIATION = 1.5
"""Added to the deviation of a window, in grey values, so that noise on an even surface correlates with nothing."""


@dataclass(frozen=True)
class Windows:
    """An image and what its square windows hold, one window around each pixel."""

    image: Float32
    """Grey values (h,w)."""
    mean: Float32
    """Mean grey value of each window (h,w)."""
    deviation: Float32
    """Standard deviation of each window (h,w), in grey values, with `LEAST_DEVIATION` added."""
    side_px: int
    """Side of a window."""

    @staticmethod
    def of(image: Float32, side_px: int) -> "Windows":
        """The windows of an image, of side_px x side_px pixels."""
        mean = cv2.boxFilter(image, -1, (side_px, side_px))
        variance = cv2.boxFilter(image * image, -1, (side_px, side_px)) - mean * mean
        return Windows(image, mean, np.sqrt(np.maximum(variance, 0.0)) + LEAST_DEVIATION, side_px)

    def correlation(self, image: Float32) -> Float32:
        """Correlation (h,w), in -1 to 1, with the same window of another image (h,w)."""
        other = Windows.of(image, self.side_px)
        window = (self.side_px, self.side_px)
        covariance = cv2.boxFilter(self.image * image, -1, window) - self.mean * other.mean
        return np.asarray(np.clip(covariance / (self.deviation * other.deviation), -1.0, 1.0), np.float32)
