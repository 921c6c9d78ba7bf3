"""Maps of a few keyframes and landmarks, put down by hand, and level cameras at simple places."""

from collections.abc import Sequence

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Edge, EdgeKind, Ids, Keyframe, PoseEstimate, Status

CAMERA = Camera(100.0, 100.0, 99.5, 79.5, 200, 160)
"""A pixel is a hundredth of the depth."""


def at(x: float = 0.0, y: float = 0.0, z: float = 0.0, turn: Sequence[float] = (0.0, 0.0, 0.0)) -> Array:
    """T_world_cam (4,4) of a camera in a place, turned by a rotation vector in degrees."""
    return se3.from_rt(se3.so3_exp(np.radians(turn)), np.array([x, y, z], np.float64))


def hand_map(
    poses: Sequence[Array], camera: Camera = CAMERA, scales: Sequence[float] | None = None, component: int = 0
) -> SlamMap:
    """A map with keyframes at poses T_world_cam (4,4), and units of `scales`, that see nothing yet. Keyframe k is frame
    10 k at k seconds, and follows its neighbour by an edge of odometry with deviations of 0.01."""
    m = SlamMap()
    for k, T in enumerate(poses):
        S = Sim3.from_T(T, 1.0 if scales is None else scales[k])
        image = np.zeros((camera.height, camera.width, 3), np.uint8)
        keyframe = Keyframe(k, 10 * k, float(k), image, camera, S, component)
        m.add_keyframe(keyframe, np.zeros(0, np.int64), np.zeros((0, 2)))
        m.frames.append(PoseEstimate(10 * k, float(k), Status.TRACKED, k, np.eye(4), None, 100, 0.9, component))
        if k:
            S_a_b = m.keyframes[k - 1].S_world_keyframe.inverse() @ S
            m.edges[k - 1, k] = Edge(k - 1, k, S_a_b, np.full(7, 0.01), EdgeKind.ODOMETRY)
    return m


def add_landmarks(
    m: SlamMap, host: int, points: Array, seen_by: Sequence[int] | None = None, rel_sigma: float = 0.01
) -> Ids:
    """Triangulated landmarks at points (n,3) of the world, hung on keyframe `host` and seen, where they are, by it and
    the keyframes `seen_by`; their ids."""
    points = np.asarray(points, np.float64).reshape(-1, 3)
    S = m.keyframes[host].S_world_keyframe
    n = len(points)
    ids = m.landmarks.add(host, S.inverse().apply(points), np.full(n, rel_sigma), np.zeros((n, 3), np.uint8))
    m.landmarks.is_triangulated[ids] = True
    for k in sorted({host, *(seen_by or ())}):
        m.observe(k, ids, pixels_of(m, k, points))
    return ids


def pixels_of(m: SlamMap, k: int, points: Array) -> Array:
    """Where keyframe k sees points (n,3) of the world."""
    keyframe = m.keyframes[k]
    return keyframe.camera.project(se3.transform(se3.inverse(keyframe.S_world_keyframe.pose), points))


def grid(columns: int, rows: int, z: float, spread: float = 0.5) -> Array:
    """Points (columns rows,3) on a plane at z, from -spread z to spread z across and up."""
    u, v = np.meshgrid(np.linspace(-spread, spread, columns), np.linspace(-spread, spread, rows))
    return np.stack([u.ravel() * z, v.ravel() * z, np.full(u.size, z)], axis=1)
