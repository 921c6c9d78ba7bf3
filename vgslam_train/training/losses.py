"""Losses of supervised training (VGGT, arXiv 2503.11651, section 3.4), and the auxiliary ones of the matching adapter.

Every loss is a mean over what is known; a batch in which nothing is known costs 0.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vgslam.multiview.pose_solver import robust_weights
from vgslam.network.matching import Flow, ReferenceMatches
from vgslam.network.pose_encoding import rotation_from_quaternion
from vgslam_train.data.truth import Truth

_DEG = 57.29577951308232
MAX_SOLVER_WEIGHT = 5.0
"""Most that one cell counts in the flow loss, in means of its frame: no cell is a frame's only teacher."""


@dataclass(frozen=True)
class LossWeights:
    """Factors of the terms."""

    rotation: float = 1.0
    translation: float = 1.0
    field_of_view: float = 0.5
    depth: float = 1.0
    gradient: float = 0.5
    points: float = 1.0
    tracks: float = 0.05
    matching: float = 0.2
    coarse: float = 0.2
    flow: float = 0.3
    scale: float = 0.0
    """The depth of a window as a whole; needed where `aligned` is set."""
    gamma: float = 0.8
    """Factor for each earlier refinement iteration."""
    alpha: float = 0.2
    """Factor of the log confidence. With 1, depth is a Laplace likelihood of scale 1 / confidence."""
    aligned: bool = False
    """Judge depth and its confidence by what is left when the window's median error of log depth is taken out."""
    solver_share: float = 0.0
    """Share of the flow loss that goes by the weights of the pose solver, the rest counts all cells alike."""


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask` is set; 0 where it is set nowhere."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def rotation_vector(R: Tensor) -> Tensor:
    """Axis times the sine of the angle, (...,3): for small errors the rotation vector, finite gradient everywhere."""
    skew = R - R.transpose(-1, -2)
    return 0.5 * torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], dim=-1)


@dataclass(frozen=True)
class CameraTerms:
    """rotation in units of 10 deg, translation relative to the true one, field of view in rad."""

    rotation: Tensor
    translation: Tensor
    field_of_view: Tensor


def camera_terms(encodings: list[Tensor], truth: Truth, gamma: float) -> CameraTerms:
    """Robust errors of the poses of frames 1.. (and the gauge: frame 0), weighted gamma^(last - i) over iterations."""
    R, t = truth.T_cam_world[..., :3, :3], truth.T_cam_world[..., :3, 3]
    length = t.norm(dim=-1, keepdim=True) + 0.05
    total = torch.zeros(3, device=t.device)
    weights = [gamma ** (len(encodings) - 1 - i) for i in range(len(encodings))]
    for weight, encoding in zip(weights, encodings, strict=True):
        q = encoding[..., 3:7] + torch.tensor([0.0, 0.0, 0.0, 1e-6], device=t.device)
        error = rotation_from_quaternion(q) @ R.transpose(-1, -2)
        # (3 - trace)/2 = 1 - cos keeps a pull beyond 90 degrees, where the sine alone falls again
        beyond = (1 - error.diagonal(dim1=-2, dim2=-1).sum(-1)).clamp(min=0)
        angle = rotation_vector(error) * _DEG
        rotation = functional.smooth_l1_loss(angle, torch.zeros_like(angle), beta=1.0, reduction="none").sum(-1)
        rotation = rotation / 10 + beyond
        moved = (encoding[..., :3] - t) / length
        translation = functional.smooth_l1_loss(moved, torch.zeros_like(moved), beta=0.1, reduction="none").sum(-1)
        fov = functional.smooth_l1_loss(encoding[..., 7:], truth.fov, beta=0.05)
        total = total + weight * torch.stack([rotation.mean(), translation.mean(), fov])
    total = total / sum(weights)
    return CameraTerms(total[0], total[1], total[2])


def log_depth_error(depth: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """log d - log d* (...,H,W), 0 where the truth is not known (0), and where it is known."""
    known = truth > 0
    error = depth.clamp(min=1e-6).log() - truth.clamp(min=1e-6).log()
    return torch.where(known, error, torch.zeros_like(error)), known


def depth_terms(
    depth: Tensor, confidence: Tensor, truth: Tensor, alpha: float, aligned: bool = False
) -> tuple[Tensor, Tensor]:
    """Confidence-weighted log-depth error, and its gradient's. All (B,...,H,W); truth 0 where unknown.

    c |log d - log d*| - alpha log c; with alpha 1 the negative log likelihood of a Laplace distribution of scale 1 / c,
    up to a constant. aligned: without the median of the errors of each of the B windows, through which no gradient
    goes. The gradient is over 1 and 4 px of the log error (scale cancels within an object).
    """
    error, known = log_depth_error(depth, truth)
    left = error - window_median(error, known) if aligned else error
    value = masked_mean(confidence * left.abs() - alpha * confidence.log(), known)
    gradient = torch.zeros((), device=depth.device)
    for step in (1, 4):
        for d, k in (
            (error[..., step:, :] - error[..., :-step, :], known[..., step:, :] & known[..., :-step, :]),
            (error[..., :, step:] - error[..., :, :-step], known[..., :, step:] & known[..., :, :-step]),
        ):
            gradient = gradient + masked_mean(d.abs(), k)
    return value, gradient / 4


@torch.no_grad()
def window_median(values: Tensor, known: Tensor) -> Tensor:
    """Median of each window's known values (B,...) -> (B,1,...), 0 for a window without any. No gradient."""
    median = values.masked_fill(~known, torch.nan).flatten(1).nanmedian(dim=1).values
    return torch.nan_to_num(median).view(-1, *[1] * (values.ndim - 1))


def scale_loss(depth: Tensor, truth: Tensor) -> Tensor:
    """How far the windows as a whole are too deep or too flat: |mean of the log-depth error| of each (B,...,H,W)."""
    error, known = log_depth_error(depth, truth)
    count = known.flatten(1).sum(1)
    mean = error.flatten(1).sum(1) / count.clamp(min=1)
    return masked_mean(functional.smooth_l1_loss(mean, torch.zeros_like(mean), beta=0.1, reduction="none"), count > 0)


def points_loss(points: Tensor, confidence: Tensor, truth: Truth, alpha: float) -> Tensor:
    """c |X - X*| - alpha log c over pixels with known depth; points (B,S,H,W,3), confidence (B,S,H,W)."""
    known = truth.depth > 0
    error = (points - truth.points).norm(dim=-1)
    return masked_mean(confidence * error - alpha * confidence.log(), known)


def tracks_loss(positions: list[Tensor], visibility: Tensor, truth_px: Tensor, visible: Tensor, gamma: float) -> Tensor:
    """L1 in px over the iterations where visible, plus cross entropy of the visibility. (B,S,N,2), (B,S,N)."""
    total = torch.zeros((), device=truth_px.device)
    for i, p in enumerate(positions):
        error = torch.where(visible, (p - truth_px).abs().sum(-1), torch.zeros_like(visibility))
        total = total + gamma ** (len(positions) - 1 - i) * masked_mean(error, visible)
    seen = functional.binary_cross_entropy(visibility.clamp(1e-5, 1 - 1e-5), visible.to(visibility))
    return total + seen


def patch_flow(flow: Tensor, visible: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Flow (B,S,2,h,w,2) of cells -> that of patches of side x side cells (B,S,2,h/side,w/side,2): the mean, where all
    of a patch's cells are visible, and where that is (B,S,2,h/side,w/side)."""
    seen = visible.unflatten(-2, (-1, side)).unflatten(-1, (-1, side)).transpose(-2, -3).flatten(-2).all(-1)
    known = torch.where(visible[..., None], torch.nan_to_num(flow), 0.0)
    mean = known.unflatten(-3, (-1, side)).unflatten(-2, (-1, side)).mean(dim=(-4, -2))
    return mean, seen


def matching_loss(matches: ReferenceMatches, flow: Tensor, visible: Tensor, stride_px: int) -> Tensor:
    """Cross entropy of the cost volume against the true displacement, shared by the four cells around it.

    flow (B,S,2,h,w,2) px, visible (B,S,2,h,w), for cells of stride_px; displacements beyond the search radius are left
    out.
    """
    side = math.isqrt(matches.logits.shape[-1])
    r = side // 2
    at = torch.nan_to_num(flow) / stride_px + r
    inside = visible & ((at >= 0) & (at <= 2 * r)).all(-1)
    low = at.clamp(0, 2 * r - 1e-3).floor()
    share = (at - low).clamp(0, 1)
    log_p = matches.logits.log_softmax(-1)
    loss = torch.zeros_like(log_p[..., 0])
    for dy in (0, 1):
        for dx in (0, 1):
            index = ((low[..., 1] + dy) * side + low[..., 0] + dx).long().clamp(0, side * side - 1)
            wx = share[..., 0] if dx else 1 - share[..., 0]
            wy = share[..., 1] if dy else 1 - share[..., 1]
            loss = loss - wx * wy * log_p.gather(-1, index[..., None])[..., 0]
    return masked_mean(loss, inside)


def flow_loss(flow: Flow, true_flow: Tensor, visible: Tensor, solver_share: float = 0.0) -> Tensor:
    """Laplace likelihood |e| / b + log b of the flow error e (px) with the predicted scale b; shapes as above.

    solver_share of it goes by the weights that the pose solver gives the cells, through which no gradient goes
    (arXiv 2406.07785): what poses are made of is learned first. A cell's best b does not depend on its weight.
    """
    difference = flow.displacement - torch.nan_to_num(true_flow)
    cost = difference.norm(dim=-1) * flow.weight + flow.log_scale
    if solver_share:
        cost = cost * (1 - solver_share + solver_share * solver_weights(difference, flow, visible))
    return masked_mean(cost, visible)


@torch.no_grad()
def solver_weights(error_px: Tensor, flow: Flow, visible: Tensor) -> Tensor:
    """Weights (B,S,2,h,w) of the pose solver at the true poses, 1 in the mean over a frame's visible cells in a
    reference, at most MAX_SOLVER_WEIGHT; 0 where nothing is visible. error_px (B,S,2,h,w,2). No gradient."""
    inverse_variance = (-2 * flow.log_scale.double()).exp() * visible
    weight = robust_weights(error_px.double().flatten(-3, -2), inverse_variance.flatten(-2))
    mean = weight.sum(-1, keepdim=True) / visible.flatten(-2).sum(-1, keepdim=True).clamp(min=1)
    share = (weight / mean.clamp(min=1e-30)).clamp(max=MAX_SOLVER_WEIGHT)
    return share.unflatten(-1, visible.shape[-2:]).to(error_px)
