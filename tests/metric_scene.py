"""A map of known scale and attitude: a camera that walks around in a room, in metres with z up, and the same in the
units and axes of a map."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from synthetic import CAMERA

from vgslam.geometry import se3
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Edge, EdgeKind, Image, Keyframe, PoseEstimate, Sim3, Status

LEVEL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""R_world_cam of a level camera that looks along x in a world with z up."""
S_MAP_WORLD = Sim3(se3.so3_exp(np.array([0.4, -0.9, 0.3])), np.array([0.3, -2.0, 1.0]), 0.4)
"""The map's units are 2.5 m."""
SIGMAS = np.array([0.002, 0.002, 0.002, 0.005, 0.005, 0.005, 0.005])


@dataclass(frozen=True)
class Walk:
    """A map and its truth."""

    slam_map: SlamMap
    T_world_cam: Array  # (N,4,4) in metres, z up
    points: Array  # (L,3) in metres


def looking(yaw_deg: float, centre: Array, pitch_deg: float = 0.0, roll_deg: float = 0.0) -> Array:
    """T_world_cam (4,4) of a camera: yaw about z, then pitch up and roll about the optical axis."""
    yaw = se3.so3_exp(np.radians([0.0, 0.0, yaw_deg]))
    own = se3.so3_exp(np.radians([pitch_deg, 0.0, 0.0])) @ se3.so3_exp(np.radians([0.0, 0.0, roll_deg]))
    return se3.from_rt(yaw @ LEVEL @ own, np.asarray(centre, np.float64))


def curve(n: int = 16, rolls_deg: Array | None = None) -> Array:
    """Cameras (n,4,4) on a quarter of a circle of 2 m, 1.5 m high, that look outwards."""
    angles = np.linspace(0.0, 90.0, n)
    rolls = np.zeros(n) if rolls_deg is None else rolls_deg
    centres = 2.0 * np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles)), np.full(n, 0.75)], axis=1)
    return np.stack([looking(a, c, roll_deg=r) for a, c, r in zip(angles, centres, rolls)])


def straight(n: int = 16) -> Array:
    """Cameras (n,4,4) that look along a straight way of 6 m along x."""
    return np.stack([looking(0.0, np.array([x, 0.5, 1.5])) for x in np.linspace(0.0, 6.0, n)])


def walk(
    T_world_cam: Array, S_map_world: Sim3 = S_MAP_WORLD, image: Callable[[Array], Image] | None = None,
    component: int = 0, scale_drift: float = 1.0,
) -> Walk:  # fmt: skip
    """The map of cameras (N,4,4). image: what a camera sees; scale_drift: the map's scale at the end over that at the
    start, which bends the path of the map but not its truth."""
    m, rng = SlamMap(), np.random.default_rng(0)
    m.begin_session("walk", "2026-01-02T03:04:05")
    points = rng.uniform((-6, -6, 0), (6, 6, 3), (500, 3))
    for k, S in enumerate(drifting(T_world_cam, scale_drift)):
        picture = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8) if image is None else image(T_world_cam[k])
        keyframe = Keyframe(k, 2 * k, 0.5 * k, picture, CAMERA, S_map_world @ S, component)
        m.add_keyframe(keyframe, np.zeros(0, np.int64), np.zeros((0, 2)))
        if k:
            S_a_b = m.keyframes[k - 1].S_world_keyframe.inverse() @ m.keyframes[k].S_world_keyframe
            m.edges[k - 1, k] = Edge(k - 1, k, S_a_b, SIGMAS, EdgeKind.ODOMETRY)
        covariance = np.diag([1e-6] * 3 + [1e-6] * 3)
        frame = PoseEstimate(2 * k, 0.5 * k, Status.TRACKED, k, np.eye(4), covariance, 100, 0.9, component)
        m.frames.append(frame)
        m.frames.append(PoseEstimate(2 * k + 1, 0.5 * k + 0.25, Status.LOST))
    _add_landmarks(m, T_world_cam, points)
    return Walk(m, T_world_cam, points)


def drifting(T_world_cam: Array, scale_drift: float) -> list[Sim3]:
    """Poses whose steps grow by and by."""
    scales = scale_drift ** np.linspace(0.0, 1.0, len(T_world_cam))
    out = [Sim3.from_T(T_world_cam[0])]
    for k in range(1, len(T_world_cam)):
        step = se3.inverse(T_world_cam[k - 1]) @ T_world_cam[k]
        out.append(out[-1] @ Sim3.from_T(step, float(scales[k] / scales[k - 1])))
    return out


def _add_landmarks(m: SlamMap, T_world_cam: Array, points: Array) -> None:
    ids = np.full(len(points), -1)
    for k, T in enumerate(T_world_cam):
        local = se3.transform(se3.inverse(T), points)
        px = CAMERA.project(np.where(local[:, 2:] > 0.1, local, 1.0))
        seen = (local[:, 2] > 0.1) & ((px > 0) & (px < [CAMERA.width - 1, CAMERA.height - 1])).all(axis=1)
        new = seen & (ids < 0)
        n = int(new.sum())
        ids[new] = m.landmarks.add(k, local[new], np.full(n, 0.01), np.zeros((n, 3), np.uint8))
        m.landmarks.is_triangulated[ids[new]] = True
        m.observe(k, ids[seen], px[seen])


def true_centres(w: Walk) -> Array:
    """Positions (N,3) of the cameras in metres."""
    return w.T_world_cam[:, :3, 3]


def centres(w: Walk) -> Array:
    """Positions (N,3) of the cameras in the map."""
    return w.slam_map.centres(np.arange(len(w.slam_map.keyframes)))


def steps(positions: Array) -> Array:
    """Distances between positions that follow one another."""
    return np.linalg.norm(np.diff(positions, axis=0), axis=1)


def up_of(w: Walk) -> Array:
    """The truth's z axis (3,) in the axes of the map."""
    return w.slam_map.keyframes[0].S_world_keyframe.R @ w.T_world_cam[0, :3, :3].T @ np.array([0.0, 0.0, 1.0])
