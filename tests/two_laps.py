"""Maps of a rendered room that was walked round twice, as tracking makes them: each lap has landmarks of its own."""

from dataclasses import dataclass

import cv2
import numpy as np
from refine_world import World
from synthetic import CAMERA, TexturedPlane, plane, render

from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Edge, EdgeKind, Keyframe

N_LAP, N_LAPS = 12, 2
"""Keyframes of a lap."""
CORNERS = 120
"""Landmarks that begin in a keyframe at most."""


@dataclass(frozen=True)
class Lap:
    """What is wrong with such a map."""

    drift: float = 0.004
    """Deviation of each step, in rad and units of length."""
    pixel: float = 0.5
    """Deviation of what is followed, in px."""
    second_seed: int = 5
    """The texture of the wall in the second lap; that of the first is 5."""


def circle() -> Array:
    """Poses (N_LAPS N_LAP,4,4) on a circle that the camera goes round without turning."""
    angle = 2 * np.pi * np.arange(N_LAP * N_LAPS) / N_LAP
    T = np.tile(np.eye(4), (len(angle), 1, 1))
    T[:, :3, 3] = np.stack([1.2 * np.cos(angle), 0.8 * np.sin(angle), 0.02 * np.arange(len(angle))], 1)
    return T


def two_laps(lap: Lap | None = None, seed: int = 0) -> World:
    """The map: landmarks are followed from keyframe to keyframe within their lap, and the poses drift."""
    lap, rng, truth, m = lap or Lap(), np.random.default_rng(seed), circle(), SlamMap()
    T, ids, points = truth[0], np.zeros(0, np.int64), np.zeros((0, 3))
    for k, true in enumerate(truth):
        if k:
            T = T @ se3.inverse(truth[k - 1]) @ true @ se3.exp(rng.normal(0, lap.drift, 6))
        image, depth = render(_walls(5 if k < N_LAP else lap.second_seed), CAMERA, true)
        m.add_keyframe(Keyframe(k, k, 0.1 * k, image, CAMERA, Sim3.from_T(T)), ids[:0], np.zeros((0, 2)))
        if k == N_LAP:  # everything was lost from sight once
            ids, points = ids[-15:], points[-15:]
        ids, points = _seen(m, k, true, ids, points, rng.normal(0, lap.pixel, (len(ids), 2)))
        ids, points = _begun(m, k, true, depth, ids, points)
    m.landmarks.is_triangulated[:] = True
    for b in range(1, len(truth)):
        S = m.keyframes[b - 1].S_world_keyframe.inverse() @ m.keyframes[b].S_world_keyframe
        m.edges[b - 1, b] = Edge(b - 1, b, S, np.array([0.02] * 3 + [0.05] * 3 + [0.05]), EdgeKind.ODOMETRY)
    return World(m, truth, points, CAMERA, 0.0)


def _walls(seed: int) -> list[TexturedPlane]:
    return [plane((0, 0, 5), 6.0, seed=seed, size=1536), plane((1.0, 0.5, 3.6), 0.9, seed=seed + 1, size=384)]


def _seen(m: SlamMap, k: int, T: Array, ids: Array, points: Array, noise: Array) -> tuple[Array, Array]:
    """Lets keyframe k observe the landmarks that are still in its image, at pixels with noise."""
    pixels = CAMERA.project(se3.transform(se3.inverse(T), points)) if len(points) else np.zeros((0, 2))
    inside = ((pixels > 10) & (pixels < [CAMERA.width - 11, CAMERA.height - 11])).all(1)
    m.observe(k, ids[inside], (pixels + noise)[inside])
    return ids[inside], points[inside]


def _begun(m: SlamMap, k: int, T: Array, depth: Array, ids: Array, points: Array) -> tuple[Array, Array]:
    """Lets landmarks begin at corners of keyframe k, with depths that are a little wrong."""
    gray = cv2.cvtColor(m.keyframes[k].image, cv2.COLOR_RGB2GRAY)
    corners = cv2.goodFeaturesToTrack(gray, CORNERS, 0.01, 12)[:, 0].astype(np.float64)
    z = depth[corners[:, 1].astype(int), corners[:, 0].astype(int)]
    corners, z = corners[z > 0], z[z > 0]
    rays = CAMERA.rays(corners) * z[:, None]
    new = m.landmarks.add(k, 1.02 * rays, np.full(len(z), 0.05), np.zeros((len(z), 3), np.uint8))
    m.observe(k, new, corners)
    return np.concatenate([ids, new]), np.concatenate([points, se3.transform(T, rays)])
