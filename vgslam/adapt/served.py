"""A network's answer for a window, as it is served."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vgslam.adapt.windows import Window
from vgslam.network.pose_encoding import decode_pose
from vgslam.network.readout import relative_to_first, solved_poses
from vgslam.network.vggt import Head, Vggt

SERVED = frozenset({Head.POSE, Head.DEPTH, Head.FLOW})
"""The heads that are trained and measured, if the network has them."""


@dataclass(frozen=True)
class Guess:
    """A model's answer for a window, as it is served."""

    depth: Tensor  # (S,H,W) float32
    T_cam_first: Tensor  # (S,4,4) float32


def guess(model: Vggt, window: Window) -> Guess:
    """The answer as it is served: poses of the solver if the network has flow, else of its head."""
    device = model.aggregator.camera_token.device
    with torch.no_grad():
        out = model(window.images[None].to(device), model.heads & SERVED)
        T = relative_to_first(decode_pose(out.pose_encoding.double()))
        if out.flow is not None:
            T = solved_poses(out, window.K[None].double().to(device))
    return Guess(out.depth[0].float().cpu(), T[0].float().cpu())
