"""Depth of keyframes as 16-bit PNG beside an export."""

from pathlib import Path

import cv2
import numpy as np

from vgslam.atomic import write_bytes
from vgslam.results.depth_pictures import STEPS, depth_of_image, step_for
from vgslam.store.exports.component import Component
from vgslam.store.exports.images import make_folder

DEPTHS = "depth"


def write_depth_images(component: Component, out: Path, names: dict[int, str]) -> float | None:
    """OUT/depth/NAME for the keyframes with dense depth, by keyframe id in `names`; returns what a step of the images
    is, in units of the component; None where there is no depth. 0 is unknown; depth is along the optical axis, of the
    pixels of the keyframe's image. Raises OutputError."""
    with_depth = [k for k in component.keyframes if k.id in names and k.depth is not None]
    if not with_depth:
        return None
    scale = step_for(with_depth)
    make_folder(out / DEPTHS)
    for k in with_depth:
        steps = np.rint(depth_of_image(k) / scale)
        image = np.where(steps <= STEPS, steps, 0).astype(np.uint16)
        ok, data = cv2.imencode(".png", image)
        assert ok
        write_bytes(out / DEPTHS / names[k.id], data.tobytes())
    return scale
