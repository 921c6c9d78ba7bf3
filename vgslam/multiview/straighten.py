"""Pictures of a camera with radial distortion become those of a pinhole."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.geometry.camera import Camera

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
