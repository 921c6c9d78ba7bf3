"""On familiar images the network in training is held to its earlier answers (Li and Hoiem, arXiv 1606.09282).

The images are of worlds of the kinds that the small networks were trained on. They come with the package as one
picture, a film in each row; `tools/familiar_worlds.py` renders it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vgslam.adapt.losses import MIN_DEPTH
from vgslam.adapt.served import SERVED
from vgslam.errors import InputError
from vgslam.network.config import VggtConfig
from vgslam.network.pose_encoding import decode_pose
from vgslam.network.readout import relative_to_first
from vgslam.network.vggt import Vggt, VggtOutput


@dataclass(frozen=True)
class Memory:
    """A window's images and what the start network said of them."""

    images: Tensor  # (S,3,H,W)
    depth: Tensor  # (S,H,W)
    T_cam_first: Tensor  # (S,4,4), from the pose head
    flow: Tensor | None  # (S,2,h,w,2) in px; None for a network without flow
    log_scale: Tensor | None  # (S,2,h,w): log of the flow's expected error in px


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


PICTURE = Path(__file__).parents[1] / "assets" / "familiar.webp"
WIDTH, HEIGHT = 128, 96  # pixels of a frame; it is resized to what a network takes
FRAMES_A_FILM = 8
FRAMES_A_WINDOW = 4


def familiar_windows(network: VggtConfig) -> list[Tensor]:
    """Windows of images (4,3,H,W) in [0,1] at the network's size, and mirrored; none for a network not trained on such
    worlds. InputError."""
    if not network.keeps_area:
        return []
    height = round(0.75 * network.image_size / network.patch_size) * network.patch_size
    found = []
    for film in _films():
        sized = np.stack([cv2.resize(x, (network.image_size, height), interpolation=cv2.INTER_AREA) for x in film])
        images = torch.from_numpy(sized).permute(0, 3, 1, 2).float() / 255.0
        found += [view for window in images.split(FRAMES_A_WINDOW) for view in (window, window.flip(-1))]
    return found


def _films() -> np.ndarray:
    """(N,8,H,W,3) uint8."""
    picture = cv2.imread(str(PICTURE), cv2.IMREAD_COLOR_RGB)
    if picture is None or picture.shape[0] % HEIGHT or picture.shape[1] != FRAMES_A_FILM * WIDTH:
        raise InputError(f"{PICTURE}: missing or damaged; install vgslam again, or adapt with --no-rehearse")
    return picture.reshape(-1, HEIGHT, FRAMES_A_FILM, WIDTH, 3).transpose(0, 2, 1, 3, 4)
