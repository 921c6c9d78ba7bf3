"""Variations of a window: mirrored, and in other light for the network alone."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from vgslam.adapt.bundle import SparseGeometry
from vgslam.adapt.windows import Array, Window

MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


def mirrored(window: Window) -> Window:
    """Left and right exchanged: c_x becomes W - 1 - c_x."""
    width = window.images.shape[-1]
    K = window.K.clone()
    K[0, 2] = width - 1 - K[0, 2]
    matches = tuple(m.mapped(lambda px: mirrored_px(px, width)) for m in window.matches)
    return replace(window, images=window.images.flip(-1), K=K, matches=matches)


def mirrored_geometry(geometry: SparseGeometry, width: int) -> SparseGeometry:
    """The geometry of the mirrored window: poses M T M with M = diag(-1, 1, 1)."""
    T = MIRROR @ geometry.T_cam_first @ MIRROR
    return replace(geometry, T_cam_first=T, px=mirrored_px(geometry.px, width))


def mirrored_px(px: Array, width: int) -> Array:
    """Pixels (N,2) of the mirrored image."""
    return np.column_stack([width - 1 - px[:, 0], px[:, 1]])


def in_other_light(images: Tensor, rng: np.random.Generator, strength: float) -> Tensor:
    """Another exposure, contrast and tint for all frames (S,3,H,W) of a window: what the network alone sees."""
    if strength <= 0:
        return images
    gamma = float(np.exp(strength * rng.normal(0, 0.25)))
    tint = torch.from_numpy(np.exp(strength * rng.normal(0, (0.12, 0.05, 0.05, 0.05)))).to(images)
    return (images.clamp(0, 1) ** gamma * tint[0] * tint[1:, None, None]).clamp(0, 1)
