"""Windows of recorded sequences at a small network's resolution, for validation only: never trained on.

Images are resized as for the network itself (`preprocess`, AREA): whole, in their own shape, every pixel a mean.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from vgslam.errors import InputError
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.network.preprocess import ResizeMode, preprocess
from vgslam.sources import SourceOptions, open_source
from vgslam.types import Trajectory
from vgslam_train.data.windows import WindowBatch

Float32 = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

_SAME_TIME_S = 2e-3
_SAMPLES = 5
"""Most measurements across a pixel: of finer ones every n-th is used."""
_MIN_FILLED = 0.25
"""A pixel has a depth when at least this share of the measurements that would fill it is there."""


@dataclass(frozen=True)
class DepthFiles:
    """16-bit depth images in depth/ of a sequence. Its calib.json has depth_scale (units per metre) and
    depth_intrinsics (fx, fy, cx, cy; by default those of the images)."""

    every: int = 1
    """There is a depth image for every n-th image."""
    offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Position of the colour camera in the depth camera; their axes are taken as parallel."""


@dataclass(frozen=True)
class RealSet:
    """A sequence in a folder."""

    name: str
    folder: str
    stride: int = 1
    """Use every n-th frame."""
    truth: str | None = None
    """Trajectory file; None for the source's own."""
    depth: DepthFiles | None = None


REAL_SETS = (
    RealSet("kitti00, stride 1", "kitti00_f000-199", 1),
    RealSet("kitti00, stride 2", "kitti00_f000-199", 2),
    RealSet(
        "redkitchen, stride 5", "7scenes_redkitchen_seq01", 5, "groundtruth_sfm.txt",
        DepthFiles(every=5, offset_m=(0.0255, 0.0, 0.0)),
    ),
    RealSet("cabinet, stride 1", "tum_fr3_cabinet_58", 1, None, DepthFiles()),
)  # fmt: skip
"""The shared sequences; the colour camera of the kitchen is 25.5 mm to the right of its depth camera."""


def real_windows(
    root: Path, chosen: RealSet, n_frames: int, max_windows: int = 64, size_px: int = 64, patch_px: int = 8
) -> WindowBatch:
    """At most `max_windows` windows of `n_frames` consecutive selected frames, spread evenly over a sequence in `root`.

    size_px, patch_px: as in `preprocess`: 64 and 8 make 64x48 of a 4:3 image. Depth is 0 where there is none. Raises
    InputError when the sequence is not there, has no calibration or truth, or too few frames with a true pose.
    """
    folder = root / chosen.folder
    truth_file = None if chosen.truth is None else folder / chosen.truth
    source = open_source(folder, SourceOptions(stride=chosen.stride, truth=truth_file))
    camera, truth = source.camera, source.truth
    if camera is None or truth is None:
        raise InputError(f"{folder}: has no {'calibration' if camera is None else 'truth'}; choose another sequence")
    images, maps, ids, times_s = [], [], [], []
    for frame in source:
        small = preprocess([frame.image], ResizeMode.AREA, size_px, patch_px)
        images.append(small.images[0])
        maps.append(small.maps[0])
        ids.append(frame.id)
        times_s.append(frame.timestamp_s)
    small_camera = maps[0].camera_to_network(camera)
    T_world_cam = _true_poses(truth, np.array(times_s))
    index = _windows(T_world_cam, n_frames, max_windows)
    if not len(index):
        raise InputError(f"{folder}: no {n_frames} frames in a row with a true pose; give 2 or more, a smaller stride")
    depth = np.zeros((len(images), *images[0].shape[1:]), np.float32)
    for k in np.unique(index):
        depth[k] = _depth(folder, ids[k] * chosen.stride, chosen.depth, camera, small_camera)
    T = se3.inverse(T_world_cam[index[:, :1]]) @ T_world_cam[index]
    T[:, 0] = np.eye(4)
    K = np.broadcast_to(small_camera.K, (len(index), 3, 3)).copy()
    return WindowBatch(*(torch.from_numpy(a) for a in (np.stack(images)[index], depth[index], T, K)))


def _windows(T_world_cam: Array, n_frames: int, max_windows: int) -> npt.NDArray[np.int64]:
    """Indices (B,S) of the frames of the windows."""
    if n_frames < 2:
        return np.zeros((0, n_frames), np.int64)
    known = np.isfinite(T_world_cam[:, 0, 3])
    starts = np.array([k for k in range(len(known) - n_frames + 1) if known[k : k + n_frames].all()], np.int64)
    picked = np.linspace(0, len(starts) - 1, min(max_windows, len(starts))).round().astype(int)
    return starts[picked][:, None] + np.arange(n_frames)


def _true_poses(truth: Trajectory, times_s: Array) -> Array:
    """(N,4,4), NaN where there is none at that time."""
    apart = np.abs(truth.timestamps_s - times_s[:, None])
    T = truth.T_world_cam[apart.argmin(1)].copy()
    T[apart.min(1) > _SAME_TIME_S] = np.nan
    return T


def _depth(folder: Path, index: int, files: DepthFiles | None, camera: Camera, small_camera: Camera) -> Float32:
    """The depth of the image with this index; zeros if it has no depth image."""
    if files is None or index % files.every:
        return np.zeros((small_camera.height, small_camera.width), np.float32)
    paths = sorted((folder / "depth").glob("*.png"))
    index //= files.every
    raw = cv2.imread(str(paths[index]), cv2.IMREAD_UNCHANGED) if index < len(paths) else None
    if raw is None or raw.ndim != 2:
        raise InputError(f"{folder / 'depth'}: depth image {index} is missing or cannot be read")
    calib = json.loads((folder / "calib.json").read_text())
    fx, fy, cx, cy = calib.get("depth_intrinsics", (camera.fx, camera.fy, camera.cx, camera.cy))
    depth_camera = Camera(fx, fy, cx, cy, raw.shape[1], raw.shape[0])
    depth_m = raw.astype(np.float32) / float(calib["depth_scale"])
    return register_depth(depth_m, depth_camera, small_camera, files.offset_m)


def register_depth(
    depth_m: Float32, depth_camera: Camera, camera: Camera, offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> Float32:
    """Depth (H,W), 0 unknown, of one camera as the depth (h,w) of a coarser one with parallel axes at `offset_m` in it.

    A pixel gets the lower median of the points that fall into it; 0 where too few do.
    """
    expected = depth_camera.fx / camera.fx * depth_camera.fy / camera.fy
    step = max(1, int(expected**0.5 / _SAMPLES))
    v, u = np.nonzero(depth_m[::step, ::step] > 0)
    v, u = v * step, u * step
    points = depth_camera.rays(np.stack([u, v], 1)) * depth_m[v, u, None] - np.asarray(offset_m)
    points = points[points[:, 2] > 1e-3]
    cells = np.floor(camera.project(points) + 0.5).astype(int)
    inside = ((cells >= 0) & (cells < (camera.width, camera.height))).all(1)
    index, z = cells[inside] @ (1, camera.width), points[inside, 2]
    order = np.lexsort((z, index))
    index, z = index[order], z[order]
    filled, first, count = np.unique(index, return_index=True, return_counts=True)
    enough = count >= _MIN_FILLED * expected / step**2
    out = np.zeros(camera.width * camera.height, np.float32)
    out[filled[enough]] = z[first + (count - 1) // 2][enough]
    return out.reshape(camera.height, camera.width)
