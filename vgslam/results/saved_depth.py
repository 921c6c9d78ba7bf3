"""The depth of keyframes as files: 16-bit PNG, in the pixels of their images, or NPZ or EXR, and a JSON that says what
the numbers mean."""

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.atomic import make_folder, write_bytes, write_text
from vgslam.errors import OutputError
from vgslam.map.slam_map import SlamMap
from vgslam.results.exr import exr_of
from vgslam.types import Array, Camera, Float32, Keyframe

USUAL_SCALE = 1e-3
"""Units of the world to a step of a depth image where that fits: what other programs take for granted (millimetres)."""
MIN_STEPS = 500  # steps that the median depth must have with USUAL_SCALE: 0.2 % of it to a step
FARTHEST = 4.0  # depth beyond this multiple of the largest median is left out where the scale is fitted to the depths
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


Form = Literal["png", "npz", "exr"]
DEPTH_FOLDER, TABLE = "depth", "depth.json"
OWN_FILES = re.compile(r"frame_\d{6,}(_confidence)?\.(png|npz|exr)|depth\.json")
"""What a run writes into the folder, and the next one there removes."""
CONFIDENCE_STEPS = 255
DEPTH_CHANNEL, CONFIDENCE_CHANNEL = "Z", "confidence"
"""Names of the channels of an EXR file; Z is what other programs take for depth."""


@dataclass(frozen=True)
class NamedDepth:
    """A keyframe with depth, what its files are called, and its frame's number in the source."""

    keyframe: Keyframe
    name: str
    frame: int


def save_depth(out: Path, slam_map: SlamMap, first_frame_id: int, form: Form) -> int:
    """OUT/depth/ of the keyframes from first_frame_id on that have dense depth, as frame_000123.png and so on (see
    `write_depth`); returns how many. Raises OutputError."""
    folder = out / DEPTH_FOLDER
    remove_depth(out)
    keyframes = [k for k in slam_map.keyframes if k.frame_id >= first_frame_id and k.depth is not None]
    make_folder(folder)
    numbers = [k.frame_id - first_frame_id for k in keyframes]
    named = [NamedDepth(k, f"frame_{i:06d}", i) for k, i in zip(keyframes, numbers, strict=True)]
    write_depth(folder, slam_map, named, form)
    return len(keyframes)


def write_depth(folder: Path, slam_map: SlamMap, named: Sequence[NamedDepth], form: Form) -> None:
    """png: NAME.png, 16 bits, in the pixels of the (undistorted) image, and NAME_confidence.png, 8 bits; npz: `depth`
    and `confidence` (h,w) float32 in the depth map's own pixels; exr: the same as channels `Z` and `confidence`.
    depth.json says the unit, the steps and the camera. Depth is along the optical axis, 0 where unknown. Raises
    OutputError."""
    keyframes = [n.keyframe for n in named]
    steps = {
        component: step_for([k for k in keyframes if k.component_id == component])
        for component in sorted({k.component_id for k in keyframes})
    }
    rows = []
    for n in named:
        k = n.keyframe
        step = steps[k.component_id] if form == "png" else 1.0
        files = _png(folder, n.name, k, step) if form == "png" else _floats(folder, n.name, k, form)
        is_metric = slam_map.world_of(k.component_id).is_metric
        rows.append({
            **files, "frame_id": n.frame, "timestamp_s": k.timestamp_s, "component": k.component_id,
            "unit": "metres" if is_metric else "map units", "step": step,
            "camera": _told(k.camera if form == "png" else k.depth_camera),
            "T_world_cam": k.S_world_keyframe.pose.tolist(),
        })  # fmt: skip
    write_text(folder / TABLE, json.dumps({**_meaning(form), "frames": rows}, indent=1) + "\n")


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


def _floats(folder: Path, name: str, k: Keyframe, form: Form) -> dict[str, str]:
    assert k.depth is not None
    known = np.isfinite(k.depth) & (k.depth > 0)
    depth = np.where(known, k.depth * k.S_world_keyframe.s, 0.0).astype(np.float32)
    given = np.ones(k.depth.shape) if k.confidence is None else k.confidence
    confidence = np.where(known, given, 0.0).astype(np.float32)
    if form == "exr":
        data = exr_of({DEPTH_CHANNEL: depth, CONFIDENCE_CHANNEL: confidence})
    else:
        stream = io.BytesIO()
        np.savez_compressed(stream, depth=depth, confidence=confidence)
        data = stream.getvalue()
    write_bytes(folder / f"{name}.{form}", data)
    return {"file": f"{name}.{form}"}


def _told(camera: Camera | None) -> dict[str, float] | None:
    if camera is None:
        return None
    return {name: getattr(camera, name) for name in ("fx", "fy", "cx", "cy", "width", "height")}
