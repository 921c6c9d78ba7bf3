"""A component as a nerfstudio data set: transforms.json, images, sparse cloud.

Format: https://docs.nerf.studio/quickstart/data_conventions.html. Camera axes there are OpenGL's (x right, y up, z
backward); the world is ours, so that cameras and cloud agree; the centre of the top-left pixel is (0.5, 0.5).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from vgslam.atomic import write_text
from vgslam.results.ply import write_ply
from vgslam.store.exports.component import Component
from vgslam.store.exports.images import IMAGES, image_name, write_images

OPENGL_AXES = np.diag([1.0, -1.0, -1.0, 1.0])
SPARSE = "sparse_pc.ply"


def export_nerfstudio(component: Component, out: Path) -> str:
    """OUT/transforms.json, OUT/images, OUT/sparse_pc.ply. Returns what was written, in words. Raises OutputError."""
    write_images(component, out)
    frames: list[dict[str, Any]] = []
    for k in component.keyframes:
        c = k.camera
        frames.append({
            "file_path": f"{IMAGES}/{image_name(k)}",
            "transform_matrix": (k.S_world_keyframe.pose @ OPENGL_AXES).tolist(),
            "fl_x": c.fx, "fl_y": c.fy, "cx": c.cx + 0.5, "cy": c.cy + 0.5, "w": c.width, "h": c.height,
        })  # fmt: skip
    points, colors = component.landmarks()
    write_ply(out / SPARSE, points, colors)
    scene = {"camera_model": "OPENCV", "ply_file_path": SPARSE, "frames": frames}
    write_text(out / "transforms.json", json.dumps(scene, indent=1) + "\n")
    return f"{len(frames)} images, {len(points)} points"
