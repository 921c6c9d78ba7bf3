"""Views of a wall, and components of them, to be exported."""

import numpy as np

from vgslam.map.slam_map import SlamMap
from vgslam.store.exports.component import Component
from vgslam.types import Camera, Keyframe, Sim3

CAMERA = Camera(100.0, 100.0, 39.5, 29.5, 80, 60)
NO_IDS, NO_PIXELS = np.zeros(0, np.int64), np.zeros((0, 2))


def keyframe(number: int, S: Sim3, depth: float = 2.0, frame_id: int | None = None) -> Keyframe:
    """A view of a wall straight ahead, at a depth in units of the keyframe; its left half is red."""
    image = np.zeros((60, 80, 3), np.uint8)
    image[:, :40, 0] = 255
    k = Keyframe(number, 10 * number if frame_id is None else frame_id, 0.5 * number, image, CAMERA, S)
    k.depth, k.depth_camera = np.full((60, 80), depth, np.float32), CAMERA
    k.confidence = np.ones((60, 80), np.float32)
    return k


def component(*keyframes: Keyframe) -> Component:
    m = SlamMap()
    for k in keyframes:
        m.add_keyframe(k, NO_IDS, NO_PIXELS)
    return Component.of(m)
