"""Which keyframes show what a camera at a roughly known pose would see."""

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH, Camera
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array

N_NEAREST = 40
"""Keyframes of which the best are taken: in a large map, those whose cameras were nearest."""
MIN_SHOWN = 20
"""Least landmarks of a keyframe that the pose puts into the image."""


def covisible(slam_map: SlamMap, T_cam_world: Array, component_id: int, camera: Camera) -> list[int]:
    """Keyframes of a component whose landmarks the pose puts into the image, those with most of them first."""
    mine = np.array([k.id for k in slam_map.keyframes if k.component_id == component_id], np.int64)
    centre = se3.inverse(T_cam_world)[:3, 3]
    apart = np.linalg.norm(slam_map.T_world_keyframes(mine)[:, :3, 3] - centre, axis=1)
    near = mine[np.argsort(apart, kind="stable")[:N_NEAREST]]
    shown = np.array([_n_inside(slam_map, int(k), T_cam_world, camera) for k in near])
    order = np.argsort(-shown, kind="stable")
    return [int(k) for k in near[order[shown[order] >= MIN_SHOWN]]]


def _n_inside(slam_map: SlamMap, k: int, T_cam_world: Array, camera: Camera) -> int:
    """How many landmarks of keyframe k the pose puts into the image, from their front."""
    points = slam_map.landmarks_world(slam_map.observed[k].ids)
    local = se3.transform(T_cam_world, points)
    ahead = local[:, 2] > MIN_DEPTH
    if not ahead.any():
        return 0
    mine = points[ahead] - slam_map.keyframes[k].S_world_keyframe.t
    other = points[ahead] - se3.inverse(T_cam_world)[:3, 3]
    px = camera.project(local[ahead])
    inside = ((px >= 0) & (px < [camera.width, camera.height])).all(1) & ((mine * other).sum(1) > 0)
    return int(inside.sum())
