"""The supervision of a window of frames, in the network's unit."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vgslam.geometry import torch_se3
from vgslam_train.data.windows import WindowBatch


@dataclass(frozen=True)
class Truth:
    """The supervision of B windows of S frames. The unit is the mean distance of all seen points from camera 0, as VGGT
    is trained (arXiv 2503.11651, section 3.4)."""

    T_cam_world: Tensor
    """(B,S,4,4)."""
    fov: Tensor
    """(B,S,2): vertical and horizontal, rad, as if the principal point were central."""
    depth: Tensor
    """(B,S,H,W), 0 where unknown."""
    points: Tensor
    """(B,S,H,W,3) in camera 0."""
    scale: Tensor
    """(B,): metres per unit."""


def truth_of(batch: WindowBatch) -> Truth:
    """Supervision of a batch, float32 on its device. Windows that see nothing but sky keep their unit."""
    T_cam_world = torch_se3.inverse(batch.T_world_cam.double())
    K = batch.K.double()[:, None].expand(*T_cam_world.shape[:2], 3, 3)
    points = unproject(batch.depth.double(), T_cam_world, K)
    known = batch.depth > 0
    distance = points.norm(dim=-1).masked_fill(~known, 0.0)
    count = known.flatten(1).sum(1)
    scale = distance.flatten(1).sum(1) / count.clamp(min=1)
    scale = torch.where((count > 0) & (scale > 1e-6), scale, torch.ones_like(scale))
    T_cam_world[..., :3, 3] /= scale[:, None, None]
    height, width = batch.depth.shape[-2:]
    fov = torch.stack([2 * torch.atan(height / 2 / K[..., 1, 1]), 2 * torch.atan(width / 2 / K[..., 0, 0])], dim=-1)
    return Truth(
        T_cam_world.float(), fov.float(), (batch.depth.double() / scale[:, None, None, None]).float(),
        (points / scale[:, None, None, None, None]).float(), scale.float(),
    )  # fmt: skip


def unproject(depth: Tensor, T_cam_world: Tensor, K: Tensor) -> Tensor:
    """Depth (...,H,W) along the optical axis -> points (...,H,W,3) in the world: R^T (X_cam - t).

    X_cam = ((u-cx) z/fx, (v-cy) z/fy, z) at integer pixels (u, v), in whichever pixel convention K has.
    """
    height, width = depth.shape[-2:]
    u = torch.arange(width, dtype=depth.dtype, device=depth.device)
    v = torch.arange(height, dtype=depth.dtype, device=depth.device)[:, None]
    fx, fy, cx, cy = (K[..., i, j, None, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    X_cam = torch.stack([(u - cx) * depth / fx, (v - cy) * depth / fy, depth], dim=-1)
    R, t = T_cam_world[..., :3, :3], T_cam_world[..., :3, 3]
    return torch.einsum("...hwi,...ij->...hwj", X_cam - t[..., None, None, :], R)
