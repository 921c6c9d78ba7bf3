"""Depth of keyframes as 16-bit PNG beside an export."""

from pathlib import Path

import cv2
import numpy as np

from vgslam.atomic import write_bytes
from vgslam.store.exports.component import Component
from vgslam.store.exports.images import make_folder
from vgslam.types import Array, Keyframe

DEPTHS = "depth"
USUAL_SCALE = 1e-3
"""Units of the world to a step of a depth image where that fits: what other programs take for granted (millimetres)."""
MIN_STEPS = 500
"""Steps that the median depth must have with USUAL_SCALE: 0.2 % of it to a step."""
FARTHEST = 4.0
"""Depth beyond this multiple of the largest median is left out where the scale is fitted to the depths."""
STEPS = 65535
MIN_CONFIDENCE = 0.5


def write_depth_images(component: Component, out: Path, names: dict[int, str]) -> float | None:
    """OUT/depth/NAME for the keyframes with dense depth, by keyframe id in `names`; returns what a step of the images
    is, in units of the component; None where there is no depth. 0 is unknown; depth is along the optical axis, of the
    pixels of the keyframe's image. Raises OutputError."""
    with_depth = [k for k in component.keyframes if k.id in names and k.depth is not None]
    if not with_depth:
        return None
    scale = _scale(with_depth)
    make_folder(out / DEPTHS)
    for k in with_depth:
        steps = np.rint(depth_of_image(k) / scale)
        image = np.where(steps <= STEPS, steps, 0).astype(np.uint16)
        ok, data = cv2.imencode(".png", image)
        assert ok
        write_bytes(out / DEPTHS / names[k.id], data.tobytes())
    return scale


def _scale(keyframes: list[Keyframe]) -> float:
    """USUAL_SCALE, or what fits the depths where they are much nearer or farther."""
    medians, largest = [], 0.0
    for k in keyframes:
        depth = depth_of_image(k)
        known = depth[depth > 0]
        if len(known):
            medians.append(float(np.median(known)))
            largest = max(largest, float(known.max()))
    if not medians or (min(medians) >= MIN_STEPS * USUAL_SCALE and largest <= STEPS * USUAL_SCALE):
        return USUAL_SCALE
    return min(largest, FARTHEST * max(medians)) / STEPS


def depth_of_image(k: Keyframe) -> Array:
    """(H,W): confident depth of each pixel of the keyframe's image, in units of its component, 0 where it is unknown.
    The depth map may have another size: the nearest of its pixels is taken."""
    assert k.depth is not None
    assert k.depth_camera is not None
    depth = k.depth.astype(np.float64) * k.S_world_keyframe.s
    known = np.isfinite(depth) & (depth > 0)
    if k.confidence is not None:
        known &= k.confidence > MIN_CONFIDENCE
    c, d = k.camera, k.depth_camera
    u = np.rint((np.arange(c.width) - c.cx) / c.fx * d.fx + d.cx).astype(np.int64)
    v = np.rint((np.arange(c.height) - c.cy) / c.fy * d.fy + d.cy).astype(np.int64)
    h, w = depth.shape
    is_in = ((v >= 0) & (v < h))[:, None] & ((u >= 0) & (u < w))[None, :]
    at = np.ix_(np.clip(v, 0, h - 1), np.clip(u, 0, w - 1))
    return np.where(is_in & known[at], depth[at], 0.0)
