"""A calibration as a file of our own, which `--calib` reads."""

import json

from vgslam.types import Camera


def camera_json(camera: Camera) -> str:
    """The camera of images as they are recorded: size and intrinsics in pixels, OpenCV's distortion k1 k2 p1 p2 k3."""
    distortion = [*camera.distortion, 0.0, 0.0, 0.0, 0.0][: max(4, len(camera.distortion))]
    entries = {
        "width": camera.width, "height": camera.height, "fx": camera.fx, "fy": camera.fy, "cx": camera.cx,
        "cy": camera.cy, "distortion": distortion,
    }  # fmt: skip
    return json.dumps(entries, indent=1) + "\n"
