"""Source images seen from target cameras: the differentiable warp of GPA-VGGT (arXiv 2601.16885). Pixel (0,0) is the
centre of the top-left pixel, in K, in the grid and in the sampling alike."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

MIN_DEPTH = 1e-6


@dataclass(frozen=True)
class Warped:
    """P pairs of target and source. Values are 0 where not valid."""

    image: Tensor
    """(P,3,H,W): the source at the target's pixels."""
    depth_computed: Tensor
    """(P,H,W): depth of the target's points before the source camera."""
    depth_projected: Tensor
    """(P,H,W): the source's own depth at the same pixels."""
    valid: Tensor
    """(P,H,W): before the camera and within the outermost pixel centres."""


def sampling_grid(u: Tensor, v: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels u, v (...,H,W) of an image of `size` (height, width) -> grid (...,H,W,2) for `grid_sample` without
    align_corners, -1 the outer edge of the first pixel: g = (2u + 1) / W - 1."""
    height, width = size
    return torch.stack([(2 * u + 1) / width - 1, (2 * v + 1) / height - 1], dim=-1)


def project(depth: Tensor, T_source_target: Tensor, K: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where the target's pixels lie in the source: X = D K^-1 [u,v,1]^T, Y = R X + t, (u',v') = K Y / Y_z. depth
    (P,H,W), T_source_target (P,4,4), K (3,3) or (P,3,3) -> u', v', Y_z, each (P,H,W)."""
    height, width = depth.shape[-2:]
    u = torch.arange(width, dtype=depth.dtype, device=depth.device).expand(height, width)
    v = torch.arange(height, dtype=depth.dtype, device=depth.device)[:, None].expand(height, width)
    K = K.expand(len(depth), 3, 3)
    fx, fy, cx, cy = (K[:, i, j, None, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    X = torch.stack([(u - cx) / fx * depth, (v - cy) / fy * depth, depth], dim=1).flatten(2)
    Y = (T_source_target[:, :3, :3] @ X + T_source_target[:, :3, 3:]).unflatten(2, (height, width))
    z = Y[:, 2]
    safe = z.clamp(min=MIN_DEPTH)
    return fx * Y[:, 0] / safe + cx, fy * Y[:, 1] / safe + cy, z


def warp(images: Tensor, depth_source: Tensor, depth_target: Tensor, T_source_target: Tensor, K: Tensor) -> Warped:
    """Bilinear sampling of sources (P,3,H,W) and their depth (P,H,W) at the projections of the targets' pixels. Pixels
    that are not valid read no source pixel and pass no gradient."""
    height, width = depth_target.shape[-2:]
    u, v, z = project(depth_target, T_source_target, K)
    inside = (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    valid = inside & (z > MIN_DEPTH) & torch.isfinite(z)
    u, v = (torch.where(valid, x, 0.0) for x in (u, v))
    stack = torch.cat([images, depth_source[:, None]], dim=1)
    grid = sampling_grid(u, v, (height, width))
    sampled = functional.grid_sample(stack, grid, mode="bilinear", padding_mode="border", align_corners=False)
    sampled = torch.where(valid[:, None], sampled, 0.0)
    return Warped(sampled[:, :3], torch.where(valid, z, 0.0), sampled[:, 3], valid)
