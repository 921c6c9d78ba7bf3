"""A guide: geometry of a window from a feed-forward network behind the `Backbone` protocol."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vgslam.frontend.guide import VggtUse, notes_on
from vgslam.geometry import se3
from vgslam.interfaces import Backbone
from vgslam.multiview.plane_sweep import PlaneSweepConfig
from vgslam.network.backbone import SceneGeometry
from vgslam.network.preprocess import PixelMap
from vgslam.network.vggt import Head
from vgslam.types import Array, Camera, Float32, Ids, Image, MadeBy, WindowInput, WindowPrediction

MIN_CONFIDENCE = 0.5
"""Confidence from which a depth counts as sure, in 0 to 1: where the network's own is at its neutral value."""
_WANT = frozenset({Head.POSE, Head.DEPTH})


def confidence_from_network(confidence: Float32) -> Float32:
    """The network's confidence c = 1 + exp(x) > 1 as 1 - 1/c in (0,1): 0.5 at x = 0, 0 for a value that is no number.
    1/c is proportional to the error that the network expects: its loss is c |error| - alpha log c (Kendall and Gal,
    NeurIPS 2017; Wang et al., VGGT, CVPR 2025, section 3.4)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mapped = 1.0 - 1.0 / np.maximum(confidence, 1.0)
    return np.where(np.isfinite(mapped), mapped, 0.0).astype(np.float32)


class NetworkGuide:
    """Implements `Guide` with any `Backbone`. It looks at images and intrinsics alone. Its depth maps are regular grids
    of the frame's own pixels, as wide as the plane sweep's, with 0 where the network does not look (cropped rows). Not
    metric: the network's unit is its own."""

    def __init__(self, backbone: Backbone[Any], use: VggtUse | None = None) -> None:
        self.backbone, self.use = backbone, use or VggtUse()
        self.notes = notes_on(backbone.weights.is_random)
        self._grid = PlaneSweepConfig()

    def predict(self, window: WindowInput) -> WindowPrediction | None:
        """Poses and depth of all frames; None if the network's answer is not finite. A window larger than the
        backbone's memory allows is thinned to frames equally spaced between, and including, the first and the last: the
        frames between have no depth, and poses interpolated at constant velocity."""
        n = len(window.frame_ids)
        prepared = self.backbone.prepare(window.images[:1])
        kept = _thinned(n, self.backbone.max_frames(*prepared.size))
        scene = self._see([window.images[i] for i in kept], window.camera)
        T = _poses(scene)
        if T is None or scene.depth is None or scene.depth_confidence is None:
            return None
        camera = self._grid.depth_camera(window.camera)
        depth = np.zeros((n, camera.height, camera.width), np.float32)
        confidence = np.zeros_like(depth)
        for at, i in enumerate(kept):
            depth[i], confidence[i] = _to_grid(
                scene.depth[at], confidence_from_network(scene.depth_confidence[at]), scene.maps[at], camera
            )
        unit = _unit(depth, confidence)
        if unit is None:
            return None
        T[:, :3, 3] /= unit
        return WindowPrediction(
            window.frame_ids, _fill_between(T, kept, n), [camera] * n, depth / np.float32(unit), confidence,
            raw_scale=unit, made_by=MadeBy.NETWORK,
        )  # fmt: skip

    def _see(self, images: Sequence[Image], camera: Camera) -> SceneGeometry:
        prepared = self.backbone.prepare(images)
        tokens = self.backbone.encode(prepared, _WANT)
        return self.backbone.decode(tokens, prepared, _WANT, known_cameras=[camera] * len(images))


def _thinned(n: int, most: int) -> Ids:
    """At most `most` of n window indices, equally spaced, with the first and the last."""
    if n <= most:
        return np.arange(n)
    return np.unique(np.linspace(0, n - 1, most).round().astype(np.int64))


def _poses(scene: SceneGeometry) -> Array | None:
    """T_window_cam (S,4,4) in the network's unit, the first exactly the identity."""
    if scene.T_cam_world is None or not np.isfinite(scene.T_cam_world).all():
        return None
    T_cam_world = scene.T_cam_world.astype(np.float64)
    T_cam_world[:, :3, :3] = np.stack([se3.orthonormalize(R) for R in T_cam_world[:, :3, :3]])
    T: Array = T_cam_world[0] @ se3.inverse(T_cam_world)
    T[0] = np.eye(4)
    return T


def _to_grid(depth: Float32, confidence: Float32, pixel_map: PixelMap, camera: Camera) -> tuple[Float32, Float32]:
    """The network's maps at the pixel centres of `camera`'s grid over the whole source image: nearest values, since
    depth must not blend across edges."""
    width, height = pixel_map.source_size
    u = (np.arange(camera.width) + 0.5) * width / camera.width - 0.5
    v = (np.arange(camera.height) + 0.5) * height / camera.height - 0.5
    x = pixel_map.to_network(np.stack([u, np.zeros_like(u)], axis=1))[:, 0]
    y = pixel_map.to_network(np.stack([np.zeros_like(v), v], axis=1))[:, 1]
    left, top, right, bottom = pixel_map.content
    inside = ((y > top - 0.5) & (y < bottom - 0.5))[:, None] & ((x > left - 0.5) & (x < right - 0.5))[None, :]
    rows = np.clip(np.rint(y).astype(int), top, bottom - 1)[:, None]
    cols = np.clip(np.rint(x).astype(int), left, right - 1)[None, :]
    z = depth[rows, cols]
    known = inside & np.isfinite(z) & (z > 0)
    return np.where(known, z, 0.0).astype(np.float32), np.where(known, confidence[rows, cols], 0.0).astype(np.float32)


def _unit(depth: Float32, confidence: Float32) -> float | None:
    """Median depth where the network is confident, or everywhere if that is hardly anywhere."""
    known = depth > 0
    sure = known & (confidence >= MIN_CONFIDENCE)
    chosen = sure if sure.sum() >= 0.05 * max(int(known.sum()), 1) and sure.any() else known
    unit = float(np.median(depth[chosen])) if chosen.any() else 0.0
    return unit if np.isfinite(unit) and unit > 1e-9 else None


def _fill_between(T: Array, kept: Ids, n: int) -> Array:
    """Poses of n frames from those of the kept ones, on the geodesic between neighbours."""
    out = np.tile(np.eye(4), (n, 1, 1))
    out[kept] = T
    for a, (i, j) in enumerate(zip(kept[:-1].tolist(), kept[1:].tolist(), strict=True)):
        step = se3.log(se3.inverse(T[a]) @ T[a + 1])
        for k in range(i + 1, j):
            out[k] = T[a] @ se3.exp(step * ((k - i) / (j - i)))
    return out
