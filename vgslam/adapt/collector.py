"""Windows from a stream of frames: neighbours far enough apart that depth can be learned from them."""

from dataclasses import dataclass

import cv2
import numpy as np

from vgslam.adapt.windows import Image
from vgslam.geometry.camera import Camera

MAX_WIDTH_PX = 320
"""Frames are kept at most this wide, in px: finer ones are neither matched nor shown to a small network."""


@dataclass(frozen=True)
class Frames:
    """Images (H,W,3) of one camera with their ids: what `Adapter.observe` takes."""

    images: tuple[Image, ...]
    frame_ids: tuple[int, ...]
    camera: Camera


@dataclass(frozen=True)
class CollectorConfig:
    """How windows are cut from a video."""

    n_frames: int = 4
    """Frames of a window."""
    advance: int = 4
    """The next window begins this many frames later."""
    min_motion: float = 0.04
    """Motion between neighbours, as a share of the image's width (of the faster points: four in five are slower)."""
    max_gap: int = 30
    """Frames after which the next is taken anyway."""


class Collector:
    """Takes frames in their order and gives windows of some of them."""

    def __init__(self, camera: Camera, config: CollectorConfig | None = None) -> None:
        self.config = config or CollectorConfig()
        width = min(camera.width, MAX_WIDTH_PX)
        self.camera = camera.resized(width, round(camera.height * width / camera.width))
        self._kept: list[tuple[int, Image]] = []

    def add(self, image: Image, frame_id: int) -> Frames | None:
        """A window, if this frame completes one. image (H,W,3) of the camera given."""
        size = (self.camera.width, self.camera.height)
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if image.shape[1] != size[0] else image
        if self._kept and not self._is_due(small, frame_id):
            return None
        self._kept.append((frame_id, np.ascontiguousarray(small)))
        if len(self._kept) < self.config.n_frames:
            return None
        ids, images = zip(*self._kept, strict=True)
        del self._kept[: self.config.advance]
        return Frames(images, ids, self.camera)

    def _is_due(self, image: Image, frame_id: int) -> bool:
        last_id, last = self._kept[-1]
        if frame_id - last_id >= self.config.max_gap:
            return True
        a, b = (cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (last, image))
        points = cv2.goodFeaturesToTrack(a, 100, 0.01, 8)
        if points is None:
            return False
        then, found, _ = cv2.calcOpticalFlowPyrLK(a, b, points, None, winSize=(13, 13), maxLevel=4)
        ok = found.ravel() > 0
        if ok.mean() < 0.5:
            return True
        motion_px = float(np.quantile(np.linalg.norm((then - points)[ok], axis=-1), 0.8))
        return motion_px >= self.config.min_motion * image.shape[1]
