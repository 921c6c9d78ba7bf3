"""Self-supervised losses of a window, after GPA-VGGT (arXiv 2601.16885) with additions where the paper leaves gaps.

Poses are T_cam_world. Costs are per target, source and pixel: (k, S-1, H, W). They see the network's small images;
matched points are known to a fraction of a camera's pixel, and what `bundle` makes of them is taught too. Pixel (0,0)
is the centre of the top-left pixel, in K, in grids and in the sampling alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vgslam.adapt.bundle import SparseGeometry
from vgslam.adapt.windows import PointMatches
from vgslam.geometry import torch_se3
from vgslam.network.matching import Flow


@dataclass(frozen=True)
class LossConfig:
    """Weights and gates of the loss."""

    ssim_weight: float = 0.85
    """Share of SSIM in the photometric cost: mu of `photometric_cost`."""
    geometry: float = 0.5
    """Weight of the geometric cost."""
    smoothness: float = 1e-3
    """Weight of the smoothness of depth."""
    scale: float = 10.0
    """Weight of the scale anchor."""
    mixed: float = 0.5
    """Weight of the cost over all sources (see `mixed_cost`)."""
    sparse_depth: float = 3.0
    """Weight of the depth of matched points."""
    flow: float = 1.0
    """Weight of the flow of matched points."""
    pose: float = 0.3
    """Weight of the poses that matched points give."""
    photometric: float = 0.5
    """Weight of the sum of the terms that compare whole images."""
    correction: float = 0.5
    """Weight of how unsmooth the change of depth is."""
    rehearsal: float = 10.0
    """Weight of what was said before of familiar images."""
    mask_margin: float | None = 1e-3
    """How much better than no motion a pixel has to be explained; None keeps all pixels."""
    hidden_gate: float = 0.2
    """Signed relative depth above which a point counts as hidden from a source."""
    open_gate: float = 0.05
    """Geometric cost below which a point surely is seen."""
    min_kept: float = 0.05
    """Least share of a target's visible pixels that must be kept."""


@dataclass(frozen=True)
class Costs:
    """Costs of k targets with S-1 sources each, all (k,S-1,H,W)."""

    photometric: Tensor  # cost of the source warped to the target
    geometric: Tensor  # cost of the disagreement in depth
    joint: Tensor  # both together; infinite where not seen
    seen: Tensor  # valid and not hidden
    static: Tensor  # the photometric cost of the source as it is, not warped


@dataclass(frozen=True)
class WindowLoss:
    """The loss of a window. With no targets, the total is 0 with gradient 0."""

    total: Tensor  # what is minimised
    hard: float  # the part with the per-pixel minimum, as a mean over the kept pixels
    kept: float  # share of the visible pixels that count
    n_targets: int  # targets that were not skipped


def ssim_cost(a: Tensor, b: Tensor) -> Tensor:
    """(1 - SSIM) / 2 in [0,1] of images (N,3,H,W), 3x3 windows, reflected borders, mean of channels (N,H,W) (Wang et
    al. 2004, eq. 13; C1 = 0.01^2, C2 = 0.03^2)."""
    c1, c2 = 0.01**2, 0.03**2
    a, b = (functional.pad(x, (1, 1, 1, 1), mode="reflect") for x in (a, b))

    def mean(x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, 3, 1)

    ma, mb = mean(a), mean(b)
    va, vb, vab = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    ssim = (2 * ma * mb + c1) * (2 * vab + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
    return ((1 - ssim) / 2).clamp(0, 1).mean(dim=1)


def photometric_cost(a: Tensor, b: Tensor, ssim_weight: float) -> Tensor:
    """mu (1 - SSIM) / 2 + (1 - mu) |a - b|_1, (N,3,H,W) -> (N,H,W) (Godard et al., arXiv 1806.01260, eq. 3)."""
    return ssim_weight * ssim_cost(a, b) + (1 - ssim_weight) * (a - b).abs().mean(dim=1)


def geometric_cost(computed: Tensor, projected: Tensor) -> Tensor:
    """|D_c - D_p| / (D_c + D_p) in [0,1], symmetric (Bian et al., arXiv 1908.10553, eq. 5)."""
    return (computed - projected).abs() / (computed + projected + 1e-7)


def smoothness(depth: Tensor, images: Tensor) -> Tensor:
    """Mean over pixels of |dx d| e^-|dx I| + |dy d| e^-|dy I|, d = (1/D) / mean(1/D) (arXiv 1806.01260, eq. 4). depth
    (N,H,W), images (N,3,H,W) -> scalar."""
    d = 1 / depth.clamp(min=1e-6)
    d = d / d.mean(dim=(1, 2), keepdim=True)
    gx, gy = (images.diff(dim=-1).abs().mean(1), images.diff(dim=-2).abs().mean(1))
    return (d.diff(dim=-1).abs() * (-gx).exp()).mean() + (d.diff(dim=-2).abs() * (-gy).exp()).mean()


def correction_smoothness(depth: Tensor, start: Tensor) -> Tensor:
    """Mean |gradient| of log D - log D_start, both (N,H,W): between the points that are taught depth keeps its
    detail."""
    c = depth.clamp(min=1e-6).log() - start.clamp(min=1e-6).log()
    return c.diff(dim=-1).abs().mean() + c.diff(dim=-2).abs().mean()


def scale_anchor(depth: Tensor, log_median_reference: Tensor) -> Tensor:
    """(log median D - log median D_ref)^2: the other terms do not see a joint scale of depth and translation."""
    return (depth.median().clamp(min=1e-6).log() - log_median_reference) ** 2


def pair_costs(
    images: Tensor, depth: Tensor, T_cam_world: Tensor, K: Tensor, targets: Sequence[int], config: LossConfig
) -> Costs:
    """Every other frame warped to every target. images (S,3,H,W), depth (S,H,W), T_cam_world (S,4,4), K (3,3)."""
    n, k = len(images), len(targets)
    t = torch.tensor([i for i in targets for _ in range(n - 1)], device=images.device)
    s = torch.tensor([j for i in targets for j in range(n) if j != i], device=images.device)
    w = warp(images[s], depth[s], depth[t], T_cam_world[s] @ torch_se3.inverse(T_cam_world[t]), K)
    signed = (w.depth_computed - w.depth_projected) / (w.depth_computed + w.depth_projected + 1e-7)
    seen = w.valid & (signed.detach() < config.hidden_gate)
    image = torch.where(seen[:, None], w.image, images[t])
    photo = photometric_cost(images[t], image, config.ssim_weight)
    geo = torch.where(seen, geometric_cost(w.depth_computed, w.depth_projected), 0.0)
    joint = torch.where(seen, photo + config.geometry * geo, torch.inf)
    static = photometric_cost(images[t], images[s], config.ssim_weight).detach()
    return Costs(*(x.unflatten(0, (k, n - 1)) for x in (photo, geo, joint, seen, static)))


def kept_pixels(costs: Costs, config: LossConfig) -> Tensor:
    """Auto-mask (k,H,W): seen by a source, and min_s L_photo < min_s L_static - margin (arXiv 1806.01260, eq. 5)."""
    visible = costs.seen.any(dim=1)
    if config.mask_margin is None:
        return visible
    best = costs.photometric.detach().masked_fill(~costs.seen, torch.inf).amin(1)
    return visible & (best < costs.static.amin(1) - config.mask_margin)


def mixed_cost(costs: Costs, kept: Tensor, config: LossConfig) -> Tensor:
    """Mean over all sources of the joint cost where a kept pixel is surely seen (L_geo below the gate, detached). The
    minimum gives sources that rarely win no gradient; this term does."""
    use = costs.seen & kept[:, None] & (costs.geometric.detach() < config.open_gate)
    return torch.where(use, costs.joint, 0.0).sum() / use.sum().clamp(min=1)


def unmasked_photometric(images: Tensor, depth: Tensor, T_cam_world: Tensor, K: Tensor, config: LossConfig) -> float:
    """Mean over all pixels of all frames of min_s L_photo, and of the unmoved sources' where none sees the pixel. For
    comparing models: the auto-mask of the loss keeps other pixels for each of them."""
    costs = pair_costs(images, depth, T_cam_world, K, range(len(images)), config)
    best = costs.photometric.masked_fill(~costs.seen, torch.inf).amin(1)
    return float(torch.where(costs.seen.any(dim=1), best, costs.static.amin(1)).mean())


def window_loss(
    images: Tensor, depth: Tensor, T_cam_world: Tensor, K: Tensor, targets: Sequence[int],
    config: LossConfig | None = None, log_median_reference: Tensor | None = None,
) -> WindowLoss:  # fmt: skip
    """mean over targets of mean_V min_s (L_photo + lambda L_geo), and the weighted other terms. images (S,3,H,W) in
    [0,1], depth (S,H,W) > 0, T_cam_world (S,4,4), K (3,3); log_median_reference: of the start model's depth, None for
    no anchor. Targets with too few kept pixels are skipped."""
    config = config or LossConfig()
    costs = pair_costs(images, depth, T_cam_world, K, targets, config)
    kept = kept_pixels(costs, config)
    n_kept, n_visible = kept.sum(dim=(1, 2)), costs.seen.any(dim=1).sum(dim=(1, 2))
    use = (n_kept > 0) & (n_kept >= config.min_kept * n_visible)
    share = float(n_kept.sum() / n_visible.sum().clamp(min=1))
    if not bool(use.any()):
        return WindowLoss((depth.sum() + T_cam_world.sum()) * 0.0, 0.0, share, 0)
    kept = kept & use[:, None, None]
    best = torch.where(kept, costs.joint.amin(dim=1), 0.0).sum(dim=(1, 2))
    hard = (best[use] / n_kept[use]).mean()
    total = hard + config.mixed * mixed_cost(costs, kept, config)
    total = total + config.smoothness * smoothness(depth[list(targets)], images[list(targets)])
    if log_median_reference is not None:
        total = total + config.scale * scale_anchor(depth, log_median_reference)
    return WindowLoss(total, float(hard.detach()), share, int(use.sum()))


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


MIN_DEPTH = 1e-6


@dataclass(frozen=True)
class Warped:
    """P pairs of target and source. Values are 0 where not valid."""

    image: Tensor  # (P,3,H,W): the source at the target's pixels
    depth_computed: Tensor  # (P,H,W): depth of the target's points before the source camera
    depth_projected: Tensor  # (P,H,W): the source's own depth at the same pixels
    valid: Tensor  # (P,H,W): before the camera and within the outermost pixel centres


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
