"""Maps of a camera that turns on the spot with a rolling shutter, as if tracking had made them, with known truth."""

from dataclasses import dataclass

import numpy as np

from vgslam.frontend.matching import ImageFeatures
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.powers import so3_exp_many
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Edge, EdgeKind, Ids, Keyframe, PoseEstimate, Status

CAMERA = Camera(500.0, 500.0, 319.5, 239.5, 640, 480)
FRAME_S = 1 / 30
N_FRAMES, PER_KEYFRAME = 160, 3
NOISE_PX = 0.4
FOLLOWED = 5
"""Keyframes in which a landmark is followed before it gets another number."""


def poses_at(t: Array, arm: float = 0.08, speed: float = 0.0) -> Array:
    """The camera (n,4,4) at times t (n,): it turns about all axes, `arm` before the point about which it does, and goes
    to the side at `speed`."""
    angles = [0.35 * np.sin(3.1 * t), 0.45 * np.sin(2.3 * t + 0.5), 0.15 * np.sin(1.7 * t)]
    T = np.tile(np.eye(4), (len(t), 1, 1))
    T[:, :3, :3] = so3_exp_many(np.stack(angles, axis=1))
    T[:, :3, 3] = T[:, :3, 2] * arm
    T[:, 0, 3] += speed * t
    return T


def pose_at(t: float, arm: float = 0.08, speed: float = 0.0) -> Array:
    """The camera (4,4) at time t."""
    return poses_at(np.array([t]), arm, speed)[0]


def seen_at(points: Array, t: float, readout_s: float, arm: float = 0.08, speed: float = 0.0) -> tuple[Ids, Array]:
    """Which points (N,3) an image sees whose middle row is exposed at t, and where (n,2): each row at its own time."""
    late = np.zeros(len(points))
    for _ in range(5):
        T = se3.inverse(poses_at(t + late, arm, speed))
        X = np.matmul(T[:, :3, :3], points[:, :, None])[:, :, 0] + T[:, :3, 3]
        ahead = X[:, 2] > 0.3
        px = np.full((len(points), 2), -1e3)
        px[ahead] = CAMERA.project(X[ahead])
        late = readout_s * ((px[:, 1] + 0.5).clip(0, CAMERA.height) / CAMERA.height - 0.5)
    inside = ((px > 0) & (px < [CAMERA.width - 1, CAMERA.height - 1])).all(1)
    return np.flatnonzero(inside), px[inside]


class StandInPlaces:
    """Features of keyframes whose descriptors say which point they show."""

    def __init__(self, seen: list[tuple[Ids, Array]], n_points: int) -> None:
        rng = np.random.default_rng(5)
        code = rng.normal(size=(n_points, 128)).astype(np.float32)
        self._code = code / np.linalg.norm(code, axis=1, keepdims=True)
        self._seen = [(ids, px + rng.normal(0, NOISE_PX, px.shape)) for ids, px in seen]

    def features(self, k: int) -> ImageFeatures:
        """Those of keyframe k."""
        ids, px = self._seen[k]
        return ImageFeatures(px, self._code[ids])


@dataclass(frozen=True)
class TurningWorld:
    """A map with errors, features of its keyframes, and true poses (C,4,4) of these."""

    slam_map: SlamMap
    places: StandInPlaces
    T_world_cam: Array

    def rotation_error_deg(self) -> float:
        """RMSE of the keyframes' rotations, aligned by rotations."""
        true = self.T_world_cam[:, :3, :3]
        found = np.stack([k.S_world_keyframe.R for k in self.slam_map.keyframes])
        R = se3.orthonormalize(np.matmul(true, np.swapaxes(found, 1, 2)).sum(0))
        errors = [se3.angle_deg(a.T @ R @ b) for a, b in zip(true, found, strict=True)]
        return float(np.sqrt(np.mean(np.square(errors))))


def turning_world(readout_s: float, arm: float = 0.08, speed: float = 0.0, drift_rad: float = 0.04) -> TurningWorld:
    """A map in which keyframes have rotations with slow errors and landmarks a guessed depth of 1. It knows positions
    as far as the camera walks (`speed`)."""
    rng = np.random.default_rng(3)
    way = rng.normal(size=(900, 3))
    points = way / np.linalg.norm(way, axis=1, keepdims=True) * rng.uniform(1.0, 2.5, (900, 1))
    points = points[points[:, 2] > 0.2]
    m, seen, true = SlamMap(), [], []
    numbers = np.full(len(points), -1)
    for n in range(N_FRAMES):
        t = n * FRAME_S
        T = pose_at(t, arm, speed)
        k = n // PER_KEYFRAME
        if n % PER_KEYFRAME == 0:
            seen.append(seen_at(points, t, readout_s, arm, speed))
            true.append(T)
            _add_keyframe(m, n, T, drift_rad, seen[-1], numbers, speed > 0)
        step = se3.from_rt((true[k][:3, :3].T @ T[:3, :3]), np.zeros(3))
        m.frames.append(PoseEstimate(n, t, Status.TRACKED, k, step))
    return TurningWorld(m, StandInPlaces(seen, len(points)), np.stack(true))


def _add_keyframe(
    m: SlamMap, frame: int, T: Array, drift_rad: float, seen: tuple[Ids, Array], numbers: Ids, knows_positions: bool
) -> None:  # fmt: skip
    k = len(m.keyframes)
    drift = drift_rad * np.array([np.sin(0.1 * k), np.cos(0.13 * k) - 1, np.sin(0.07 * k)])
    wrong = se3.from_rt(T[:3, :3] @ se3.so3_exp(drift), T[:3, 3] if knows_positions else np.zeros(3))
    image = np.full((24, 32, 3), 90, np.uint8)
    m.add_keyframe(Keyframe(k, frame, frame * FRAME_S, image, CAMERA, Sim3.from_T(wrong)), np.zeros(0, np.int64),
                   np.zeros((0, 2)))  # fmt: skip
    rng = np.random.default_rng(k)
    ids, px = seen[0], seen[1] + rng.normal(0, NOISE_PX, seen[1].shape)
    if k % FOLLOWED == 0:
        numbers[:] = -1
    new = numbers[ids] < 0
    xyz = CAMERA.rays(px[new])
    numbers[ids[new]] = m.landmarks.add(k, xyz, np.full(len(xyz), 0.5), np.zeros((len(xyz), 3), np.uint8))
    m.observe(k, numbers[ids], px)
    if k:
        S = m.keyframes[k - 1].S_world_keyframe.inverse() @ m.keyframes[k].S_world_keyframe
        m.edges[k - 1, k] = Edge(k - 1, k, S, np.array([0.02] * 3 + [0.1] * 3 + [0.05]), EdgeKind.ODOMETRY)
