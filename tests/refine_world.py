"""Maps of a made-up walk whose truth is known, as if tracking had made them with errors."""

from dataclasses import dataclass, replace

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.refine.problem import project
from vgslam.types import Array, Edge, EdgeKind, Keyframe

CAMERA = Camera(300.0, 300.0, 159.5, 119.5, 320, 240)


@dataclass(frozen=True)
class World:
    """A map with errors, and what is true."""

    slam_map: SlamMap
    T_world_cam: Array
    points: Array
    camera: Camera
    k1: float

    def position_error(self) -> float:
        """RMSE of the keyframes' positions after a similarity."""
        from vgslam.geometry.robust_similarity import umeyama

        found = self.slam_map.centres(np.arange(len(self.T_world_cam)))
        true = self.T_world_cam[:, :3, 3]
        return float(np.sqrt(((umeyama(true, found).apply(found) - true) ** 2).sum(1).mean()))


@dataclass(frozen=True)
class Errors:
    """What is wrong with a map."""

    pose: float = 0.01
    """Standard deviation of rotations (rad) and positions."""
    depth: float = 0.05
    """Relative deviation of depths."""
    pixel: float = 0.3
    focal: float = 0.0
    """Relative error of the map's focal length."""
    k1: float = 0.0
    """Radial distortion of the lens that the map knows nothing of."""
    outliers: float = 0.0
    """Share of observations that are anywhere in the image."""
    guessed: float = 0.0
    """Share of landmarks that are not triangulated."""


def turning_walk(n: int) -> Array:
    """Poses (n,4,4) that go ahead, from side to side, and turn."""
    i = np.arange(n)
    T = np.tile(np.eye(4), (n, 1, 1))
    for k in range(n):
        T[k, :3, :3] = se3.so3_exp(np.array([0.1 * np.sin(0.5 * i[k]), 0.4 * np.sin(0.3 * i[k]), 0.05 * np.sin(i[k])]))
    T[:, :3, 3] = np.stack([np.sin(0.4 * i), 0.4 * np.cos(0.6 * i), 0.3 * i], 1)
    return T


def straight_drive(n: int) -> Array:
    """Poses (n,4,4) straight ahead without a turn."""
    T = np.tile(np.eye(4), (n, 1, 1))
    T[:, 2, 3] = 0.3 * np.arange(n)
    return T


def world(T: Array | None = None, errors: Errors | None = None, n_points: int = 800, seed: int = 0) -> World:
    """A map of keyframes at poses T that see points all along the way."""
    rng = np.random.default_rng(seed)
    T = turning_walk(24) if T is None else T
    e = errors or Errors()
    end = float(T[:, 2, 3].max())
    points = rng.uniform([-6, -4, 2], [6, 4, end + 9], (n_points, 3))
    m = SlamMap()
    map_camera = replace(CAMERA, fx=CAMERA.fx * (1 + e.focal), fy=CAMERA.fy * (1 + e.focal))
    host = np.full(n_points, -1)
    number = np.full(n_points, -1)
    for k, pose in enumerate(T):
        local = se3.transform(se3.inverse(pose), points)
        ahead = np.flatnonzero((local[:, 2] > 0.5) & (local[:, 2] < 12.0))
        px = project(CAMERA, e.k1, local[ahead]) + rng.normal(0, e.pixel, (len(ahead), 2))
        inside = ((px > 0) & (px < [CAMERA.width - 1, CAMERA.height - 1])).all(1)
        seen, px = ahead[inside], px[inside]
        bad = rng.random(len(seen)) < e.outliers
        px[bad] = rng.uniform([0, 0], [CAMERA.width - 1, CAMERA.height - 1], (int(bad.sum()), 2))
        wrong = pose @ se3.exp(rng.normal(0, e.pose, 6) * (k > 0))
        image = np.full((24, 32, 3), 90, np.uint8)
        keyframe = Keyframe(k, k, 0.1 * k, image, map_camera, Sim3.from_T(wrong))
        m.add_keyframe(keyframe, np.zeros(0, np.int64), np.zeros((0, 2)))
        new = number[seen] < 0
        z = local[seen[new], 2] * np.exp(rng.normal(0, e.depth, int(new.sum())))
        xyz = map_camera.rays(px[new]) * z[:, None]
        number[seen[new]] = m.landmarks.add(k, xyz, np.full(len(xyz), 0.05), np.zeros((len(xyz), 3), np.uint8))
        host[seen[new]] = k
        m.observe(k, number[seen], px)
    m.landmarks.is_triangulated[:] = rng.random(len(m.landmarks)) >= e.guessed
    _add_edges(m)
    return World(m, T, points, CAMERA, e.k1)


def _add_edges(m: SlamMap) -> None:
    for b in range(1, len(m.keyframes)):
        S = m.keyframes[b - 1].S_world_keyframe.inverse() @ m.keyframes[b].S_world_keyframe
        length = float(np.linalg.norm(S.t))
        sigmas = np.array([0.02] * 3 + [0.1 * length + 0.02] * 3 + [0.05])
        m.edges[b - 1, b] = Edge(b - 1, b, S, sigmas, EdgeKind.ODOMETRY)
