"""The coloured point cloud of a map."""

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Keyframe

Colors = npt.NDArray[np.uint8]
MAX_REL_SIGMA = 0.1
"""Relative deviation of depth up to which a landmark is shown: one that is off by more blurs what it lies on."""


class _Thinned:
    """Points added piece by piece; beyond twice max_points every second one stays, also of those to come."""

    def __init__(self, max_points: int) -> None:
        self._max_points, self._step, self._n = max_points, 1, 0
        self._points: list[Array] = [np.zeros((0, 3))]
        self._colors: list[Colors] = [np.zeros((0, 3), np.uint8)]

    def add(self, points: Array, colors: Colors) -> None:
        self._append(points[:: self._step], colors[:: self._step])
        while self._n > 2 * self._max_points:
            kept, kept_colors = self.joined()
            self._points, self._colors, self._n = [], [], 0
            self._append(kept[::2].copy(), kept_colors[::2].copy())
            self._step *= 2

    def _append(self, points: Array, colors: Colors) -> None:
        self._points.append(points)
        self._colors.append(colors)
        self._n += len(points)

    def joined(self) -> tuple[Array, Colors]:
        return np.concatenate(self._points), np.concatenate(self._colors)


def point_cloud(
    slam_map: SlamMap, min_confidence: float = 0.5, max_points: int = 2_000_000, component_id: int | None = None
) -> tuple[Array, Colors]:
    """Points (N,3) in the world and colours (N,3): confident dense depth of keyframes, and triangulated landmarks. Of
    one component, by default the largest: components do not share a frame. Of more than max_points (> 0) an even
    selection; no more than twice as many are held at any time."""
    if not slam_map.keyframes:
        return np.zeros((0, 3)), np.zeros((0, 3), np.uint8)
    component = np.array([k.component_id for k in slam_map.keyframes])
    chosen = int(np.bincount(component).argmax()) if component_id is None else component_id
    marks, cloud = slam_map.landmarks, _Thinned(max_points)
    sure = np.flatnonzero(marks.is_triangulated & (marks.rel_sigma < MAX_REL_SIGMA) & (component[marks.host] == chosen))
    cloud.add(slam_map.landmarks_world(sure), marks.color[sure])
    for keyframe in slam_map.keyframes:
        if keyframe.component_id == chosen and keyframe.depth is not None:
            cloud.add(*_dense_points(keyframe, min_confidence))
    points, colors = cloud.joined()
    step = max(1, -(-len(points) // max_points))
    return points[::step], colors[::step]


def _dense_points(keyframe: Keyframe, min_confidence: float) -> tuple[Array, Colors]:
    depth, confidence, camera = keyframe.depth, keyframe.confidence, keyframe.depth_camera
    assert depth is not None
    assert confidence is not None
    assert camera is not None
    h, w = depth.shape
    v, u = np.nonzero((confidence > min_confidence) & (depth > 0))
    local = camera.rays(np.stack([u, v], axis=1)) * depth[v, u][:, None]
    colors = cv2.resize(keyframe.image, (w, h), interpolation=cv2.INTER_AREA)[v, u]
    return keyframe.S_world_keyframe.apply(local), colors
