"""Any backbone as the predictor that validation asks: poses of its own and depth at the windows' pixels."""

from typing import Any

import numpy as np
import torch

from vgslam.geometry import se3
from vgslam.interfaces import Backbone
from vgslam.network.preprocess import PixelMap
from vgslam.network.vggt import Head
from vgslam_train.data.windows import WindowBatch
from vgslam_train.validation.validate import WindowGuess

WANT = frozenset({Head.POSE, Head.DEPTH})


class BackboneGuess:
    """Implements `validation.Predictor`. The backbone sees 8-bit images, one window at a time."""

    def __init__(self, backbone: Backbone[Any]) -> None:
        self.backbone = backbone

    def __call__(self, batch: WindowBatch) -> WindowGuess:
        pixels = (batch.images.cpu() * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 1, 3, 4, 2).numpy()
        found = [self._window(list(window)) for window in pixels]
        return WindowGuess(
            torch.from_numpy(np.stack([T for T, _ in found])), None, torch.from_numpy(np.stack([z for _, z in found]))
        )

    def _window(self, images: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """T_cam_world (S,4,4), the first the identity, and depth (S,H,W) float32 at the images' own pixels."""
        prepared = self.backbone.prepare(images)
        scene = self.backbone.decode(self.backbone.encode(prepared, WANT), prepared, WANT)
        if scene.T_cam_world is None or scene.depth is None:
            raise ValueError("validation needs a network with poses and depth")
        T = scene.T_cam_world @ se3.inverse(scene.T_cam_world[0])
        return T, np.stack([_at_source(z, m) for z, m in zip(scene.depth, scene.maps, strict=True)])


def _at_source(depth: np.ndarray, pixel_map: PixelMap) -> np.ndarray:
    """The nearest of the network's values at each pixel of the source; beyond what it saw, that of the border."""
    width, height = pixel_map.source_size
    x = pixel_map.to_network(np.stack([np.arange(width), np.zeros(width)], axis=1))[:, 0]
    y = pixel_map.to_network(np.stack([np.zeros(height), np.arange(height)], axis=1))[:, 1]
    left, top, right, bottom = pixel_map.content
    cols = np.clip(np.rint(x).astype(int), left, right - 1)
    rows = np.clip(np.rint(y).astype(int), top, bottom - 1)
    return np.ascontiguousarray(depth[rows[:, None], cols[None, :]], np.float32)
