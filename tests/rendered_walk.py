"""Rendered walks that the tests of this folder share."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest
from synthetic import CAMERA, pose, render, room

from vgslam.frontend.features import detect_corners
from vgslam.frontend.tracker import Tracker, TrackerConfig
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Float32, Ids, Image, Keyframe


@dataclass(frozen=True)
class Walk:
    """Rendered images with their true depth maps and poses T_world_cam (N,4,4), the first at the identity."""

    images: list[Image]
    depth: list[Float32]
    T_world_cam: Array

    def __len__(self) -> int:
        return len(self.images)


def walk_pose(i: int) -> Array:
    """A hand-held walk to the right, in front of the room."""
    return pose(
        (1.5 * np.sin(i / 5), -3 * np.sin(i / 8), np.sin(i / 4)),
        (0.09 * i, 0.12 * np.sin(i / 3), 0.15 * (1 - np.cos(i / 6))),
    )


@pytest.fixture(scope="session")
def walk() -> Walk:
    """32 frames; the third keyframe comes after about half of them."""
    planes = room()
    T = np.stack([walk_pose(i) for i in range(32)])
    views = [render(planes, CAMERA, x) for x in T]
    return Walk([image for image, _ in views], [depth for _, depth in views], T)


class KnownMap:
    """A map whose keyframes have true poses and whose landmarks have true depths, and a tracker on it."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.map = SlamMap()
        self.tracker = Tracker(CAMERA, self.map, TrackerConfig())

    def add(self, frame: int, component_id: int = 0, is_triangulated: bool = True) -> tuple[Ids, Array]:
        """Frame `frame` as a keyframe with new landmarks at its corners; returns their ids and pixels."""
        image, T = self.walk.images[frame], self.walk.T_world_cam[frame]
        k = len(self.map.keyframes)
        px = detect_corners(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.zeros((0, 2), np.float32), 300,
                            self.tracker.config.features).astype(np.float64)  # fmt: skip
        u, v = px.round().astype(int).T
        z = self.walk.depth[frame][v, u].astype(np.float64)
        px, z = px[z > 0], z[z > 0]
        self.map.add_keyframe(
            Keyframe(k, frame, frame / 30, image, CAMERA, Sim3.from_T(T), component_id), np.zeros(0), np.zeros((0, 2))
        )
        ids = self.map.landmarks.add(
            k, CAMERA.rays(px) * z[:, None], np.full(len(px), 0.01), np.zeros((len(px), 3), np.uint8)
        )
        self.map.landmarks.is_triangulated[ids] = is_triangulated
        self.map.observe(k, ids, px)
        return ids, px

    def true_pixels(self, ids: Ids, frame: int) -> tuple[Ids, Array]:
        """Which of the landmarks lie inside another frame, and where."""
        local = se3.transform(se3.inverse(self.walk.T_world_cam[frame]), self.map.landmarks_world(ids))
        px = CAMERA.project(local)
        inside = (local[:, 2] > 0.1) & ((px > 5) & (px < [CAMERA.width - 6, CAMERA.height - 6])).all(1)
        return ids[inside], px[inside]


@pytest.fixture
def known_map(walk: Walk) -> KnownMap:
    """Its list of images is its own: a test may exchange some."""
    return KnownMap(replace(walk, images=list(walk.images)))
