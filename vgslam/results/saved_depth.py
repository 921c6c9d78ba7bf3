"""The depth of a run's keyframes as files: 16-bit PNG or NPZ, and a JSON that says what the numbers mean."""

import io
import json
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vgslam.atomic import make_folder, write_bytes, write_text
from vgslam.errors import OutputError
from vgslam.map.slam_map import SlamMap
from vgslam.results.depth_pictures import confidence_of_image, depth_of_image, in_steps, png_of, step_for
from vgslam.types import Camera, Keyframe

Form = Literal["png", "npz"]
DEPTH_FOLDER, TABLE = "depth", "depth.json"
OWN_FILES = re.compile(r"frame_\d{6,}(_confidence)?\.(png|npz)|depth\.json")
"""What a run writes into the folder, and the next one there removes."""
CONFIDENCE_STEPS = 255


def save_depth(out: Path, slam_map: SlamMap, first_frame_id: int, form: Form) -> int:
    """OUT/depth/ of the keyframes from first_frame_id on that have dense depth; returns how many. png:
    frame_000123.png, 16 bits, in the pixels of the (undistorted) image, and frame_000123_confidence.png, 8 bits; npz:
    `depth` and `confidence` (h,w) float32 in the depth map's own pixels. depth.json says the unit, the steps and the
    camera. Depth is along the optical axis, 0 where unknown. Raises OutputError."""
    folder = out / DEPTH_FOLDER
    remove_depth(out)
    keyframes = [k for k in slam_map.keyframes if k.frame_id >= first_frame_id and k.depth is not None]
    make_folder(folder)
    steps = {
        component: step_for([k for k in keyframes if k.component_id == component])
        for component in sorted({k.component_id for k in keyframes})
    }
    rows = []
    for k in keyframes:
        name = f"frame_{k.frame_id - first_frame_id:06d}"
        step = steps[k.component_id] if form == "png" else 1.0
        files = _png(folder, name, k, step) if form == "png" else _npz(folder, name, k)
        is_metric = slam_map.world_of(k.component_id).is_metric
        rows.append({
            **files, "frame_id": k.frame_id - first_frame_id, "timestamp_s": k.timestamp_s, "component": k.component_id,
            "unit": "metres" if is_metric else "map units", "step": step,
            "camera": _told(k.camera if form == "png" else k.depth_camera),
            "T_world_cam": k.S_world_keyframe.pose.tolist(),
        })  # fmt: skip
    write_text(folder / TABLE, json.dumps({**_meaning(form), "frames": rows}, indent=1) + "\n")
    return len(rows)


def remove_depth(out: Path) -> None:
    """Removes what an earlier run saved. Raises OutputError where the folder is a link, which leads elsewhere."""
    folder = out / DEPTH_FOLDER
    if folder.is_symlink():
        raise OutputError(f"{folder} is a symbolic link, which leads the depth elsewhere; remove it")
    for file in [p for p in folder.iterdir() if OWN_FILES.fullmatch(p.name)] if folder.is_dir() else []:
        file.unlink(missing_ok=True)


def _meaning(form: Form) -> dict[str, Any]:
    return {
        "form": form, "depth": "along the optical axis; step times the number is in the frame's unit; 0 is unknown",
        "confidence_step": 1 / CONFIDENCE_STEPS if form == "png" else 1.0,
        "confidence": "step times the number is from 0 to 1; the run's cloud uses what is above 0.5",
        "pixels": "(0, 0) is the centre of the top-left pixel; no distortion",
        "T_world_cam": "camera to world, OpenCV axes, in the frame's unit",
    }  # fmt: skip


def _png(folder: Path, name: str, k: Keyframe, step: float) -> dict[str, str]:
    depth = in_steps(depth_of_image(k, min_confidence=-1.0), step)
    confidence = np.rint(confidence_of_image(k) * CONFIDENCE_STEPS).astype(np.uint8)
    files = {"file": f"{name}.png", "confidence_file": f"{name}_confidence.png"}
    write_bytes(folder / files["file"], png_of(depth))
    write_bytes(folder / files["confidence_file"], png_of(confidence))
    return files


def _npz(folder: Path, name: str, k: Keyframe) -> dict[str, str]:
    assert k.depth is not None
    known = np.isfinite(k.depth) & (k.depth > 0)
    depth = np.where(known, k.depth * k.S_world_keyframe.s, 0.0).astype(np.float32)
    confidence = known.astype(np.float32) if k.confidence is None else np.where(known, k.confidence, 0.0)
    stream = io.BytesIO()
    np.savez_compressed(stream, depth=depth, confidence=confidence.astype(np.float32))
    write_bytes(folder / f"{name}.npz", stream.getvalue())
    return {"file": f"{name}.npz"}


def _told(camera: Camera | None) -> dict[str, float] | None:
    if camera is None:
        return None
    return {name: getattr(camera, name) for name in ("fx", "fy", "cx", "cy", "width", "height")}
