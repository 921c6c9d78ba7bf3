"""Maps of walks past the same places, in frames of reference of their own, without anything to recognise."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vgslam.errors import VgslamError
from vgslam.fleet.calls import in_one_line
from vgslam.fleet.sights import Sight
from vgslam.fleet.ties import Tie
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.store.map_folder import MapFolder
from vgslam.types import Edge, EdgeKind, Keyframe, PoseEstimate, Status

CAMERA = Camera.from_fov(32, 24, 70.0)
IMAGE = np.zeros((24, 32, 3), np.uint8)
N = 6
"""Keyframes of a walk."""
ODOMETRY = np.array([0.01] * 3 + [0.1] * 3 + [0.05])
TIE = np.array([0.01] * 3 + [0.05] * 3 + [0.02])
FRAMES = (
    Sim3.identity(), Sim3(se3.so3_exp(np.array([0.0, 0.6, 0.1])), np.array([3.0, 1.0, 50.0]), 1.5),
    Sim3(se3.so3_exp(np.array([0.4, 0.0, -1.0])), np.array([-7.0, 2.0, 5.0]), 0.5),
)  # fmt: skip
"""S_walk_truth: the frame of reference of each walk."""


def true_pose(k: int) -> Sim3:
    """Keyframe k of every walk."""
    return Sim3(se3.so3_exp(np.array([0.0, 0.1 * k, 0.0])), np.array([1.0 * k, 0.0, 0.0]))


def walk(S: Sim3) -> SlamMap:
    """The walk in a frame of reference."""
    m = SlamMap()
    m.begin_session("walk", "2026-01-01T00:00:00+00:00")
    for k in range(N):
        m.add_keyframe(
            Keyframe(k, k, 0.1 * k, IMAGE, CAMERA, S @ true_pose(k)), np.zeros(0, np.int64), np.zeros((0, 2))
        )
        ids = m.landmarks.add(k, np.array([[0.0, 0.0, 4.0]]), np.array([0.1]), IMAGE[0, :1])
        m.observe(k, ids, np.array([[16.0, 12.0]]))
        m.frames.append(PoseEstimate(k, 0.1 * k, Status.TRACKED, k, np.eye(4)))
        if k:
            step = m.keyframes[k - 1].S_world_keyframe.inverse() @ m.keyframes[k].S_world_keyframe
            m.edges[k - 1, k] = Edge(k - 1, k, step, ODOMETRY, EdgeKind.ODOMETRY)
    return m


def saved(m: SlamMap, path: Path) -> Path:
    with MapFolder(path) as folder:
        folder.save(m)
    return path


def tie(a: int, b: int, wrong: Sim3 | None = None) -> Tie:
    """Keyframe b of a walk seen from keyframe a of another; right without `wrong`."""
    S = true_pose(a).inverse() @ true_pose(b) @ (wrong or Sim3.identity())
    return Tie(a, b, 0, 0, S, TIE, 0.9, Sim3.identity(), 1.0, sight_from(a), sight_from(b))


def sight_from(k: int) -> Sight:
    """What keyframe k of every walk sees, 4 ahead of it."""
    S = true_pose(k)
    return Sight(S.t, S.apply(np.array([[0.0, 0.0, 4.0]]))[0])


class Here:
    """Implements `Calls` in this process."""

    def each(self, do: Callable[..., Any], given: Sequence[tuple[Any, ...]]):
        for i, arguments in enumerate(given):
            try:
                yield i, do(*arguments)
            except VgslamError as error:
                yield i, in_one_line(error)
