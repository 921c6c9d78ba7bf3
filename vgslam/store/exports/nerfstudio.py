"""A component as a nerfstudio data set: transforms.json, images, sparse cloud.

Format: https://docs.nerf.studio/quickstart/data_conventions.html. Camera axes there are OpenGL's (x right, y up, z
backward); the world is ours, so that cameras and cloud agree; the centre of the top-left pixel is (0.5, 0.5).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from vgslam.atomic import make_folder, write_bytes, write_text
from vgslam.results.ply import write_ply
from vgslam.results.saved_depth import depth_of_image, in_steps, png_of, step_for
from vgslam.store.exports.component import Component
from vgslam.store.exports.images import IMAGES, OTHER_PLACE, write_images
from vgslam.types import Keyframe

OPENGL_AXES = np.diag([1.0, -1.0, -1.0, 1.0])
TRANSFORMS, SPARSE, DEPTHS = "transforms.json", "sparse_pc.ply", "depth"


def export_nerfstudio(component: Component, out: Path) -> str:
    """OUT/transforms.json, images, depth, images.csv (times), sparse_pc.ply. Returns what was written, in words. Depth
    images are 16-bit PNG; a step is `depth_unit_scale_factor` of the scene, and of each frame, in units of the poses.
    Raises OutputError."""
    names = write_images(component, out)
    scale = _write_depth_images(component, out, names)
    frames = [_frame(k, names[k.id], scale) for k in component.keyframes]
    points, colors = component.landmarks()
    write_ply(out / SPARSE, points, colors)
    unit = "metres" if component.world.is_metric else "map units"
    scene: dict[str, Any] = {"camera_model": "OPENCV", "ply_file_path": SPARSE, "unit": unit}
    if scale is not None:
        scene["depth_unit_scale_factor"] = scale
    write_text(out / TRANSFORMS, json.dumps({**scene, "frames": frames}, indent=1) + "\n")
    depths = ", no depth is sure enough" if any(k.depth is not None for k in component.keyframes) else ""
    if scale is not None:
        n_depths = sum(map(_knows_depth, component.keyframes))
        depths = f", {len(frames)} depth images ({scale:.4g} {unit} to a step)"
        depths += f", {len(frames) - n_depths} of them of unknown depth" if n_depths < len(frames) else ""
    return f"{len(frames)} images, {len(points)} points{depths}"


def _write_depth_images(component: Component, out: Path, names: dict[int, str]) -> float | None:
    """OUT/depth/NAME for every keyframe, by its id in `names`: nerfstudio takes depth for all images or for none.
    Returns what a step of the images is, in units of the component; None, and no images, where no
    depth is sure. 0 is unknown; depth is along the optical axis, of the pixels of the keyframe's image. Raises
    OutputError."""
    with_depth = [k for k in component.keyframes if _knows_depth(k)]
    if not with_depth:
        return None
    scale = step_for(with_depth)
    make_folder(out / DEPTHS, OTHER_PLACE)
    for k in component.keyframes:
        depth = np.zeros((k.camera.height, k.camera.width)) if k.depth is None else depth_of_image(k)
        write_bytes(out / DEPTHS / names[k.id], png_of(in_steps(depth, scale)))
    return scale


def _knows_depth(k: Keyframe) -> bool:
    """Whether any depth of the keyframe is sure."""
    return k.depth is not None and bool((depth_of_image(k) > 0).any())


def _frame(k: Keyframe, name: str, depth_scale: float | None) -> dict[str, Any]:
    c = k.camera
    frame: dict[str, Any] = {
        "file_path": f"{IMAGES}/{name}", "timestamp_s": k.timestamp_s,
        "transform_matrix": (k.S_world_keyframe.pose @ OPENGL_AXES).tolist(),
        "fl_x": c.fx, "fl_y": c.fy, "cx": c.cx + 0.5, "cy": c.cy + 0.5, "w": c.width, "h": c.height,
    }  # fmt: skip
    if depth_scale is not None:
        frame |= {"depth_file_path": f"{DEPTHS}/{name}", "depth_unit_scale_factor": depth_scale}
    return frame
