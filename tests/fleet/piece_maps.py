"""Maps of pieces of one recording whose truth is known: a camera that walks along a gentle bend past points."""

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.types import Edge, EdgeKind, Keyframe, PoseEstimate, Status

CAMERA = Camera.from_fov(64, 48, 80.0)
EVERY = 3
"""Every so many frames there is a keyframe."""
STEP_S = 0.1
_RNG = np.random.default_rng(0)
POINTS = np.column_stack([_RNG.uniform(-20, 40, 4000), _RNG.uniform(-4, 4, 4000), _RNG.uniform(3, 12, 4000)])
SIGMAS = np.array([0.01] * 3 + [0.1] * 3 + [0.05])
ELSEWHERE = Sim3(se3.so3_exp(np.array([0.3, 0.6, -0.2])), np.array([3.0, -1.0, 20.0]), 2.5)


def true_pose(n: int) -> np.ndarray:
    """T_world_cam (4,4) of frame n."""
    return se3.from_rt(se3.so3_exp(np.array([0.0, 0.004 * n, 0.0])), np.array([0.2 * n, 0.0, 0.1 * np.sin(0.1 * n)]))


def piece(S: Sim3, frames: range, lost: range = range(0), first_keyframe: int = 0) -> SlamMap:
    """The map of some frames in a frame of reference of its own (S_own_true); those of `lost` have no pose."""
    m = SlamMap()
    m.begin_session("piece", "2026-01-01T00:00:00+00:00")
    image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    known: dict[int, int] = {}
    last = -1
    for own, n in enumerate(frames):
        if n in lost:
            m.frames.append(PoseEstimate(own, STEP_S * n, Status.LOST))
            continue
        T = S.compose_pose(true_pose(n))
        if own % EVERY == first_keyframe or last < 0:
            last = len(m.keyframes)
            m.add_keyframe(Keyframe(last, own, STEP_S * n, image, CAMERA, Sim3.from_T(T, S.s)), np.zeros(0, np.int64),
                           np.zeros((0, 2)))  # fmt: skip
            _see(m, last, n, known)
            if last:
                step = m.keyframes[last - 1].S_world_keyframe.inverse() @ m.keyframes[last].S_world_keyframe
                m.edges[last - 1, last] = Edge(last - 1, last, step, SIGMAS, EdgeKind.ODOMETRY)
        m.frames.append(PoseEstimate(own, STEP_S * n, Status.TRACKED, last, m.relative_to(last, T)))
    return m


def _see(m: SlamMap, k: int, n: int, known: dict[int, int]) -> None:
    """Landmarks of the points that frame n shows, in the frame of their first keyframe; one for each point."""
    T = true_pose(n)
    local = (POINTS - T[:3, 3]) @ T[:3, :3]
    pixels = CAMERA.project(local)
    inside = ((pixels > 1) & (pixels < [CAMERA.width - 2, CAMERA.height - 2])).all(1)
    shown = np.flatnonzero((local[:, 2] > 0.1) & inside)
    new = [i for i in shown.tolist() if i not in known]
    ids = m.landmarks.add(k, local[new], np.full(len(new), 0.02), np.zeros((len(new), 3), np.uint8))
    m.landmarks.is_triangulated[ids] = True
    known.update(zip(new, ids.tolist(), strict=True))
    m.observe(k, np.array([known[i] for i in shown.tolist()], np.int64), pixels[shown])
