"""The coloured point cloud of a map."""

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.backend.map import SlamMap
from vgslam.types import Array


def point_cloud(
    slam_map: SlamMap, min_confidence: float = 0.5, max_points: int = 2_000_000
) -> tuple[Array, npt.NDArray[np.uint8]]:
    """Points (N,3) in the world and colours (N,3): confident dense depth of keyframes, and triangulated landmarks.

    Only the largest component's points: components do not share a frame.
    """
    if not slam_map.keyframes:
        return np.zeros((0, 3)), np.zeros((0, 3), np.uint8)
    component = np.array([k.component_id for k in slam_map.keyframes])
    largest = int(np.bincount(component).argmax())
    marks = slam_map.landmarks
    sure = np.flatnonzero(marks.is_triangulated & (marks.rel_sigma < 0.1) & (component[marks.host] == largest))
    points, colors = [slam_map.landmarks_world(sure)], [marks.color[sure]]
    for keyframe in slam_map.keyframes:
        if keyframe.component_id != largest or keyframe.depth is None:
            continue
        assert keyframe.confidence is not None
        assert keyframe.depth_camera is not None
        h, w = keyframe.depth.shape
        v, u = np.nonzero(keyframe.confidence > min_confidence)
        local = keyframe.depth_camera.rays(np.stack([u, v], axis=1)) * keyframe.depth[v, u][:, None]
        points.append(keyframe.S_world_keyframe.apply(local))
        colors.append(cv2.resize(keyframe.image, (w, h), interpolation=cv2.INTER_AREA)[v, u])
    all_points, all_colors = np.concatenate(points), np.concatenate(colors)
    step = max(1, -(-len(all_points) // max_points))
    return all_points[::step], all_colors[::step]
