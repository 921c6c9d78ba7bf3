"""On familiar images the network in training is held to its earlier answers (Li and Hoiem, arXiv 1606.09282)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vgslam.adapt.losses import MIN_DEPTH
from vgslam.adapt.served import SERVED
from vgslam.network.pose_encoding import decode_pose
from vgslam.network.readout import relative_to_first
from vgslam.network.vggt import Vggt, VggtOutput


@dataclass(frozen=True)
class Memory:
    """A window's images and what the start network said of them."""

    images: Tensor
    """(S,3,H,W)."""
    depth: Tensor
    """(S,H,W)."""
    T_cam_first: Tensor
    """(S,4,4), from the pose head."""
    flow: Tensor | None
    """(S,2,h,w,2) in px; None for a network without flow."""
    log_scale: Tensor | None
    """(S,2,h,w): log of the flow's expected error in px."""


@torch.no_grad()
def remember(model: Vggt, images: Sequence[Tensor]) -> list[Memory]:
    """The model's present answers for windows of images (S,3,H,W) in [0,1], kept on the model's device."""
    return [_memory(window.to(model.aggregator.camera_token.device), model) for window in images]


def _memory(images: Tensor, model: Vggt) -> Memory:
    out = model(images[None], model.heads & SERVED)
    flow = None if out.flow is None else (out.flow.displacement[0], out.flow.log_scale[0])
    return Memory(images, out.depth[0], _poses(out), *(flow or (None, None)))


def rehearsal_loss(model: Vggt, memory: Memory) -> Tensor:
    """Sum of the mean changes of log depth, head poses (|R - R*|_F + |t - t*| / median D*), flow in units of its
    expected error b*, and log b. Small changes count quadratically: forgetting alone is held back."""
    out = model(memory.images[None], model.heads & SERVED)
    depth, before = out.depth[0].clamp(min=MIN_DEPTH), memory.depth.clamp(min=MIN_DEPTH)
    difference = (_poses(out) - memory.T_cam_first)[1:]
    turn, move = difference[:, :3, :3].flatten(1), difference[:, :3, 3] / before.median()
    total = _robust(depth.log() - before.log(), 0.1) + 3 * _robust(torch.cat([turn, move], dim=1), 0.05)
    if out.flow is not None and memory.flow is not None and memory.log_scale is not None:
        error = (out.flow.displacement[0] - memory.flow) * (-memory.log_scale).exp()[..., None]
        total = total + _robust(error[1:], 1.0) + _robust((out.flow.log_scale[0] - memory.log_scale)[1:], 0.5)
    return total


def _robust(x: Tensor, beta: float) -> Tensor:
    """Mean of |x| - beta / 2 beyond beta, of x^2 / (2 beta) below."""
    return functional.smooth_l1_loss(x, torch.zeros_like(x), beta=beta)


def _poses(out: VggtOutput) -> Tensor:
    assert out.pose_encoding is not None
    return relative_to_first(decode_pose(out.pose_encoding))[0]
