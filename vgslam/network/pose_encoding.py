"""Pose encodings to poses and intrinsics and back: torch, any leading dimensions.

A pose encoding (...,9) is the translation t (3) of the camera-from-world transform, its rotation as a quaternion
x,y,z,w (4, any length) and the field of view in radians (vertical, horizontal).

Intrinsics here are the *network's own*: the principal point is (W/2, H/2) while pixels are integers, which is half a
pixel beside the convention of `vgslam.geometry.camera` (pixel (0,0) is the centre of the top-left pixel).
`to_pixel_centres` is the only place that converts.
"""

import torch
from torch import Tensor
from torch.nn import functional

MIN_FOV_RAD = 1e-6  # the field of view comes out of a ReLU and may be exactly 0; smaller values are read as this one


def rotation_from_quaternion(q: Tensor) -> Tensor:
    """Quaternion x,y,z,w (...,4) of any length > 0 -> rotation matrix (...,3,3)."""
    x, y, z, w = q.unbind(-1)
    s = 2.0 / (q * q).sum(-1)
    rows = (
        1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w),
        s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w),
        s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def quaternion_from_rotation(R: Tensor) -> Tensor:
    """Rotation matrix (...,3,3) -> unit quaternion x,y,z,w (...,4) with w >= 0. Takes, per matrix, the best conditioned
    of the four formulas (Shepperd 1978)."""
    m = R.flatten(-2)
    xx, xy, xz, yx, yy, yz, zx, zy, zz = m.unbind(-1)
    candidates = torch.stack(
        [
            torch.stack([1 + xx - yy - zz, xy + yx, xz + zx, zy - yz], -1),
            torch.stack([xy + yx, 1 - xx + yy - zz, yz + zy, xz - zx], -1),
            torch.stack([xz + zx, yz + zy, 1 - xx - yy + zz, yx - xy], -1),
            torch.stack([zy - yz, xz - zx, yx - xy, 1 + xx + yy + zz], -1),
        ],
        dim=-2,
    )  # row k is 4 q_k q
    best = candidates.diagonal(dim1=-2, dim2=-1).argmax(-1)
    q = candidates.gather(-2, best[..., None, None].expand(*best.shape, 1, 4)).squeeze(-2)
    q = functional.normalize(q, dim=-1)
    return torch.where(q[..., 3:] < 0, -q, q)


def decode_pose(encoding: Tensor) -> Tensor:
    """Pose encoding (...,9) -> T_cam_world (...,4,4), OpenCV axes, the network's own length unit."""
    top = torch.cat([rotation_from_quaternion(encoding[..., 3:7]), encoding[..., :3, None]], dim=-1)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 3] = 1
    return torch.cat([top, bottom], dim=-2)


def decode_intrinsics(encoding: Tensor, image_size: tuple[int, int], min_tan: float | None = None) -> Tensor:
    """Pose encoding (...,9) -> K (...,3,3) in px of the network input of `image_size` (height, width). Fields of view
    below MIN_FOV_RAD are read as that; with `min_tan` the tangent of their half is limited instead, from below, so that
    those beyond 180 degrees have a focal length too."""
    height, width = image_size
    fov = encoding[..., 7:]
    if min_tan is None:
        tan = torch.tan(fov.clamp(min=MIN_FOV_RAD) / 2)
    else:
        tan = torch.tan(fov / 2).clamp(min=min_tan)
    fy, fx = (height / 2) / tan[..., 0], (width / 2) / tan[..., 1]
    K = torch.zeros(*encoding.shape[:-1], 3, 3, dtype=encoding.dtype, device=encoding.device)
    K[..., 0, 0], K[..., 1, 1] = fx, fy
    K[..., 0, 2], K[..., 1, 2], K[..., 2, 2] = width / 2, height / 2, 1
    return K


def encode_pose(T_cam_world: Tensor, K: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Inverse of the two decoders: T_cam_world (...,4,4) or (...,3,4), K (...,3,3) -> (...,9), quaternion w >= 0."""
    height, width = image_size
    fov = torch.stack([2 * torch.atan(height / 2 / K[..., 1, 1]), 2 * torch.atan(width / 2 / K[..., 0, 0])], dim=-1)
    q = quaternion_from_rotation(T_cam_world[..., :3, :3])
    return torch.cat([T_cam_world[..., :3, 3], q, fov], dim=-1)


def to_pixel_centres(K: Tensor) -> Tensor:
    """K of the network (principal point W/2, H/2) -> K whose pixel (0,0) is the centre of the top-left pixel."""
    shift = torch.zeros_like(K)
    shift[..., :2, 2] = 0.5
    return K - shift
