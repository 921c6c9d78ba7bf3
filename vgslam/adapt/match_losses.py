"""Losses on depth, poses and flow from points that were followed at full resolution: known to a fraction of a camera's
pixel, where the photometric terms see the network's small images. `bundle` makes poses and sparse depth of them."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from vgslam.adapt.bundle import SparseGeometry
from vgslam.adapt.warp import MIN_DEPTH, sampling_grid
from vgslam.adapt.windows import PointMatches
from vgslam.network.matching import Flow


def at_points(field: Tensor, px: Tensor, stride: int = 1) -> Tensor:
    """Bilinear values (M,C) of a field (C,h,w), whose cells are `stride` px wide, at pixels (M,2) of the image."""
    size = (field.shape[1], field.shape[2])
    u, v = ((px[:, k] - (stride - 1) / 2) / stride for k in (0, 1))
    grid = sampling_grid(u, v, size)[None, None]
    return functional.grid_sample(field[None], grid, padding_mode="border", align_corners=False)[0, :, 0].T


def sparse_depth_loss(depth: Tensor, geometry: SparseGeometry) -> Tensor:
    """Mean |log D - log z| of the observations, by their trust. depth (S,H,W)."""
    terms, trust = [], []
    for i in range(len(depth)):
        chosen = geometry.frame == i
        px, z, w = (
            torch.as_tensor(x[chosen], dtype=depth.dtype, device=depth.device)
            for x in (geometry.px, geometry.depth, geometry.trust)
        )
        inverse = at_points(1 / depth[i][None].clamp(min=MIN_DEPTH), px)[:, 0]
        terms.append((w * (inverse.log() + z.log()).abs()).sum())
        trust.append(w.sum())
    return torch.stack(terms).sum() / torch.stack(trust).sum().clamp(min=1e-6)


def pose_loss(T_cam_first: Tensor, geometry: SparseGeometry, median_depth: float) -> Tensor:
    """Mean over frames 1.. of |R - R*|_F + |t - t*| / median depth. T_cam_first (S,4,4)."""
    truth = torch.as_tensor(geometry.T_cam_first, dtype=T_cam_first.dtype, device=T_cam_first.device)
    difference = (T_cam_first - truth)[1:]
    turn = difference[:, :3, :3].flatten(1).square().sum(1).add(1e-12).sqrt()
    move = difference[:, :3, 3].square().sum(1).add(1e-12).sqrt() / median_depth
    return (turn + move).mean()


def flow_match_loss(flow: Flow, matches: Sequence[PointMatches], stride: int) -> Tensor:
    """Laplace likelihood of the flow's error at the matched points, to the first and to the previous frame, as the
    network was trained: |e| / b + log b with its own scale b. flow: of one scene, displacement (1,S,2,h,w,2)."""
    terms = []
    for m in matches:
        here = torch.as_tensor(m.other_px, dtype=torch.float32, device=flow.displacement.device)
        for reference, there in enumerate((m.first_px, m.previous_px)):
            truth = torch.as_tensor(there, dtype=torch.float32, device=here.device) - here
            field = flow.displacement[0, m.frame, reference].movedim(-1, 0)
            log_scale = at_points(flow.log_scale[0, m.frame, reference][None], here, stride)[:, 0]
            error = (at_points(field, here, stride) - truth).norm(dim=1)
            terms.append((error * (-log_scale).exp() + log_scale).mean())
    return torch.stack(terms).mean() if terms else flow.displacement.sum() * 0.0
