"""Depth of keyframes in the pixels of their images, in steps of 16 bits, and as PNG."""

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.types import Array, Float32, Keyframe

USUAL_SCALE = 1e-3
"""Units of the world to a step of a depth image where that fits: what other programs take for granted (millimetres)."""
MIN_STEPS = 500
"""Steps that the median depth must have with USUAL_SCALE: 0.2 % of it to a step."""
FARTHEST = 4.0
"""Depth beyond this multiple of the largest median is left out where the scale is fitted to the depths."""
STEPS = 65535
MIN_CONFIDENCE = 0.5


def step_for(keyframes: list[Keyframe]) -> float:
    """Units of the world to a step of 16-bit images: USUAL_SCALE, or what fits much nearer or farther depths."""
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


def in_steps(depth: Array, step: float) -> npt.NDArray[np.uint16]:
    """Depth (H,W) in steps; 0 where it is unknown, or farther than 16 bits reach."""
    numbers = np.rint(depth / step)
    return np.where(numbers <= STEPS, numbers, 0).astype(np.uint16)


def png_of(image: npt.NDArray[np.unsignedinteger]) -> bytes:
    """An image (H,W) or (H,W,3) BGR of 8 or 16 bits as PNG."""
    ok, data = cv2.imencode(".png", image)
    assert ok
    return data.tobytes()


def depth_of_image(k: Keyframe, min_confidence: float = MIN_CONFIDENCE) -> Array:
    """(H,W): depth of each pixel of the keyframe's image, in units of its component, 0 where it is unknown or its
    confidence is not above min_confidence. The depth map may have another size: the nearest of its pixels is taken."""
    assert k.depth is not None
    depth = k.depth.astype(np.float64) * k.S_world_keyframe.s
    known = np.isfinite(depth) & (depth > 0)
    if k.confidence is not None:
        known &= k.confidence > min_confidence
    return in_image(k, np.where(known, depth, 0.0))


def confidence_of_image(k: Keyframe) -> Array:
    """(H,W) in [0,1]: confidence of each pixel of the keyframe's image; 0 without depth, 1 where no confidence is
    given."""
    assert k.depth is not None
    known = np.isfinite(k.depth) & (k.depth > 0)
    confidence: Array | Float32 = np.ones(k.depth.shape) if k.confidence is None else k.confidence
    return in_image(k, np.where(known, np.clip(confidence, 0.0, 1.0), 0.0).astype(np.float64))


def in_image(k: Keyframe, values: Array) -> Array:
    """Values (h,w) of the depth map's pixels -> (H,W) of the image's: those of the nearest, 0 outside."""
    assert k.depth_camera is not None
    c, d = k.camera, k.depth_camera
    u = np.rint((np.arange(c.width) - c.cx) / c.fx * d.fx + d.cx).astype(np.int64)
    v = np.rint((np.arange(c.height) - c.cy) / c.fy * d.fy + d.cy).astype(np.int64)
    h, w = values.shape
    is_in = ((v >= 0) & (v < h))[:, None] & ((u >= 0) & (u < w))[None, :]
    return np.where(is_in, values[np.ix_(np.clip(v, 0, h - 1), np.clip(u, 0, w - 1))], 0.0)
