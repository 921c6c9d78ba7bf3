"""What a feed-forward geometry network behind the protocol `interfaces.Backbone` can do and returns.

docs/extend.md shows how one is added. A `SceneGeometry` has poses camera-from-world with OpenCV axes, depth along the
optical axis, confidences > 1, cameras with pixel (0,0) at the centre of the top-left pixel. Callers rely on nothing
else: a backbone may have no point map and no tracks, its first pose is only nearly the identity, lengths are in its own
unit, and a predicted field of view may be unusable (`is_fov_valid`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vgslam.errors import ConfigError
from vgslam.geometry.camera import Camera
from vgslam.network.pose_encoding import decode_intrinsics, decode_pose, to_pixel_centres
from vgslam.network.preprocess import NetworkImages, PixelMap
from vgslam.network.vggt import Head, VggtOutput

Float = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]

PLAUSIBLE_FOV_RAD = (0.1, 2.8)  # predicted fields of view outside of this are not used
FALLBACK_FOV_RAD = 1.05


@dataclass(frozen=True)
class BackboneSpec:
    """What a backbone can do."""

    name: str
    patch_size_px: int
    n_special_tokens: int
    heads: frozenset[Head]
    """The kinds of results that `decode` can be asked for."""
    descriptor_size: int
    poses_from: str = "head"
    """"head", "solver" if poses are solved from the network's flow and depth, or "rays" if from rays."""
    takes_cameras: bool = False
    """Whether `encode` takes given cameras; callers pass them only then."""


@dataclass(frozen=True)
class GivenCameras:
    """The cameras of all images of a window, known beforehand. ValueError unless there are as many poses as cameras."""

    T_cam_world: Float  # (S,4,4), in any world and any unit
    cameras: tuple[Camera, ...]  # pinhole cameras of the *source* images

    def __post_init__(self) -> None:
        if self.T_cam_world.shape != (len(self.cameras), 4, 4):
            raise ValueError(f"{len(self.cameras)} cameras and poses of shape {self.T_cam_world.shape}")


@dataclass(frozen=True)
class SceneGeometry:
    """Results for S frames, on the CPU; None if not asked for. Lengths are in the network's own unit, or, where it took
    given cameras, in that of their poses, about the same world."""

    descriptors: Float32  # (S,D), unit length; each depends on its own frame alone
    maps: tuple[PixelMap, ...]  # each takes the network's pixels to an image's own
    T_cam_world: Float | None = None  # (S,4,4)
    cameras: tuple[Camera, ...] | None = None  # cameras of the network's images, given or predicted
    is_fov_valid: npt.NDArray[np.bool_] | None = None  # (S,), for predicted cameras
    depth: Float32 | None = None  # (S,H,W) along the optical axis
    depth_confidence: Float32 | None = None  # (S,H,W), c >= 1: read as a relative deviation of 0.3 / c
    points: Float32 | None = None  # (S,H,W,3) in the frame of camera 0
    points_confidence: Float32 | None = None  # (S,H,W), > 1
    tracks: Float | None = None  # (S,N,2) px of the network's images; frame 0 equals the queries
    visibility: Float32 | None = None  # (S,N) in [0,1]
    track_confidence: Float32 | None = None  # (S,N) in [0,1]


def geometry_from_tensors(
    out: VggtOutput, descriptors: Tensor, images: NetworkImages, known_cameras: Sequence[Camera] | None = None
) -> SceneGeometry:
    """Network outputs of one scene (batch of 1), on any device -> `SceneGeometry`."""
    T_cam_world = cameras = is_valid = None
    if known_cameras is not None:
        cameras = tuple(m.camera_to_network(c) for m, c in zip(images.maps, known_cameras, strict=True))
        is_valid = np.ones(len(cameras), bool)
    if out.pose_encoding is not None:
        encoding = out.pose_encoding[0].detach().cpu().double()
        T_cam_world = decode_pose(encoding).numpy()
        if cameras is None:
            cameras, is_valid = predicted_cameras(encoding, images.size)
    tracks = out.tracks
    return SceneGeometry(
        np.asarray(_numpy(descriptors)), images.maps, T_cam_world, cameras, is_valid, _numpy(out.depth),
        _numpy(out.depth_confidence), _numpy(out.points), _numpy(out.points_confidence),
        None if tracks is None else tracks.positions[-1][0].detach().cpu().double().numpy(),
        _numpy(tracks.visibility if tracks else None), _numpy(tracks.confidence if tracks else None),
    )  # fmt: skip


def _numpy(x: Tensor | None) -> Float32 | None:
    """The only scene of a batch, as float32 on the CPU."""
    return None if x is None else x[0].detach().float().cpu().numpy()


def predicted_cameras(encoding: Tensor, size: tuple[int, int]) -> tuple[tuple[Camera, ...], npt.NDArray[np.bool_]]:
    """Cameras of pose encodings (S,9), pixel (0,0) at the centre of the first one, and whether each field of view is
    usable; one that is not is replaced by the median of the others, or by a common one."""
    height, width = size
    fov = encoding[:, 7:]
    is_valid = ((fov > PLAUSIBLE_FOV_RAD[0]) & (fov < PLAUSIBLE_FOV_RAD[1])).all(dim=1)
    across = torch.tensor(FALLBACK_FOV_RAD, dtype=torch.float64)
    down = 2 * torch.atan(torch.tan(across / 2) * height / width)
    other = fov[is_valid].median(dim=0).values if is_valid.any() else torch.stack([down, across])
    usable = encoding.clone()
    usable[~is_valid, 7:] = other
    K = to_pixel_centres(decode_intrinsics(usable, size)).numpy()
    cameras = tuple(
        Camera(float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]), width, height) for k in K
    )  # fmt: skip
    return cameras, is_valid.numpy()


def check_window(images: NetworkImages, most: int) -> None:
    """ConfigError for a window of more frames than `most`, which fit into the memory budget."""
    n, (height, width) = len(images.images), images.size
    if n > most:
        raise ConfigError(
            f"{n} frames of {width}x{height} px do not fit into the memory budget, which allows {most}; use a smaller "
            "window or a larger --gpu-memory"
        )


@contextmanager
def inference(images: NetworkImages) -> Iterator[None]:
    """A block without gradients, in which a device without memory is a ConfigError, whatever was estimated."""
    try:
        with torch.inference_mode():
            yield
    except torch.OutOfMemoryError as error:
        raise ConfigError(
            f"the device ran out of memory at {len(images.images)} frames: pass a smaller --gpu-memory or window"
        ) from error
