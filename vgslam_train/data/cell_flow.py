"""True flow between views at the centres of 4 px cells, from depth and pose. Torch, batched, on any device."""

import torch
from torch import Tensor
from torch.nn import functional

from vgslam.network.readout import CELL_PX, cell_depth

TOLERANCE = 0.05
"""A point counts as seen where the depth in the other view agrees with its own within this share."""


def cell_centres(height: int, width: int, device: torch.device) -> Tensor:
    """Pixel positions (h,w,2) float32 of the cells' centres: (4c + 1.5, 4r + 1.5)."""
    v = torch.arange(height // CELL_PX, device=device) * CELL_PX + 0.5 * (CELL_PX - 1)
    u = torch.arange(width // CELL_PX, device=device) * CELL_PX + 0.5 * (CELL_PX - 1)
    rows, cols = torch.meshgrid(v, u, indexing="ij")
    return torch.stack([cols, rows], dim=-1)


def cell_flow(depth: Tensor, T_reference_cam: Tensor, K: Tensor, reference_depth: Tensor) -> tuple[Tensor, Tensor]:
    """Where cells of views lie in reference views of the same camera.

    depth, reference_depth (N,H,W), 0 where unknown; T_reference_cam (N,4,4); K (N,3,3). Returns flow (N,h,w,2) px,
    reference position minus cell centre, and visible (N,h,w): depth known, inside the image, not occluded.
    """
    height, width = depth.shape[-2:]
    centres = cell_centres(height, width, depth.device)
    z = cell_depth(depth.clamp(min=0.0).masked_fill(depth <= 0, 1e9))
    cells = (depth > 0).unflatten(-2, (height // CELL_PX, CELL_PX)).unflatten(-1, (width // CELL_PX, CELL_PX))
    known = cells[..., 1:3, :, 1:3].all(-1).all(-2)
    fx, fy, cx, cy = (K[:, i, j, None, None].to(z) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    X = torch.stack([(centres[..., 0] - cx) / fx * z, (centres[..., 1] - cy) / fy * z, z], dim=-1)
    T = T_reference_cam.to(z)
    Y = torch.einsum("nij,nhwj->nhwi", T[:, :3, :3], X) + T[:, None, None, :3, 3]
    z_there = Y[..., 2]
    safe = z_there.clamp(min=1e-3)
    px = torch.stack([fx * Y[..., 0] / safe + cx, fy * Y[..., 1] / safe + cy], dim=-1)
    size = torch.tensor([width - 1.0, height - 1.0], device=px.device)
    inside = known & (z_there > 1e-3) & ((px >= 0) & (px <= size)).all(-1)
    inverse = torch.where(reference_depth > 0, 1 / reference_depth.clamp(min=1e-6), 0.0)
    grid = (px * 2 / size - 1).clamp(-2, 2)
    seen = functional.grid_sample(inverse[:, None], grid, align_corners=True)[:, 0]
    visible = inside & ((seen * z_there - 1).abs() < TOLERANCE)
    return px - centres, visible
