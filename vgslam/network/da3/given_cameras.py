"""Cameras as Depth-Anything-3 reads and writes them: encodings (...,9) as in `vgslam.network.pose_encoding`, but of the
inverse pose: the camera's centre and the rotation from camera to world."""

from dataclasses import dataclass

from torch import Tensor

from vgslam.geometry import torch_se3
from vgslam.network.pose_encoding import decode_intrinsics, decode_pose, encode_pose

MIN_TAN = 1e-6
"""Least tangent of half a field of view: zero and impossible ones get a huge focal length, never an infinite one."""
MIN_UNIT = 0.1
"""Least unit of length of given cameras."""


@dataclass(frozen=True)
class NormalisedCameras:
    """Poses of S cameras as the network is given them."""

    T_cam_first: Tensor
    """(S,4,4): each camera from the first one, lengths in units of `unit`."""
    unit: float
    """Length of one of the network's units, in those of the given poses."""


def normalise(T_cam_world: Tensor) -> NormalisedCameras:
    """Poses T_cam_world (S,4,4) with the world at the first camera, in units of the median distance from it. The lower
    median, the first camera's 0 included, and at least MIN_UNIT: that of two cameras is always MIN_UNIT."""
    T = T_cam_world @ torch_se3.inverse(T_cam_world[:1])
    distances = torch_se3.inverse(T)[:, :3, 3].norm(dim=-1)
    unit = max(float(distances.median()), MIN_UNIT)
    scaled = T.clone()
    scaled[:, :3, 3] /= unit
    return NormalisedCameras(scaled, unit)


def encode_cameras(T_cam_world: Tensor, K: Tensor, image_size: tuple[int, int]) -> Tensor:
    """T_cam_world (...,4,4), K (...,3,3) px of images of (height, width) -> encodings (...,9), without principal
    points."""
    return encode_pose(torch_se3.inverse(T_cam_world), K, image_size)


def decode_cameras(encoding: Tensor, image_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Encodings (...,9) -> T_cam_world (...,4,4) and K (...,3,3), principal points at (W/2, H/2)
    (`to_pixel_centres`)."""
    return torch_se3.inverse(decode_pose(encoding)), decode_intrinsics(encoding, image_size, MIN_TAN)
