"""A tilted textured plane behind a textured square, seen by four cameras: exact images, depth and poses."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vgslam.geometry.camera import Camera


@dataclass
class Scene:
    images: Tensor
    depth: Tensor
    T_cam_world: Tensor
    K: Tensor
    is_square: Tensor


def se3_exp(xi: Tensor) -> Tensor:
    """Twist (...,6), translation first -> (...,4,4)."""
    v, w = xi[..., :3], xi[..., 3:]
    o = torch.zeros_like(w[..., 0])
    rows = [
        torch.stack([o, -w[..., 2], w[..., 1], v[..., 0]], -1), torch.stack([w[..., 2], o, -w[..., 0], v[..., 1]], -1),
        torch.stack([-w[..., 1], w[..., 0], o, v[..., 2]], -1), torch.stack([o, o, o, o], -1),
    ]  # fmt: skip
    return torch.matrix_exp(torch.stack(rows, -2))


def _texture(x: Tensor, y: Tensor, seed: int, finest: float) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    out = torch.zeros(3, *x.shape, dtype=x.dtype)
    for c in range(3):
        for _ in range(8):
            a, p, f = (torch.rand(3, generator=g) * torch.tensor([math.pi, 2 * math.pi, 1.0])).tolist()
            k = finest * (0.25 + 0.75 * f)
            out[c] += torch.sin(k * (math.cos(a) * x + math.sin(a) * y) + p)
    return (0.5 + out / 16).clamp(0, 1)


def make_scene(
    scale: float = 1.0, with_square: bool = True, moving: tuple[float, ...] = (0, 0, 0, 0), is_static: bool = False,
    half_size: float = 0.5, xi: Tensor | None = None,
) -> Scene:  # fmt: skip
    """scale: of the resolution (1: 160x120, f 140). moving: sideways shift of the square in each frame."""
    W, H, f = int(160 * scale), int(120 * scale), 140.0 * scale
    K = torch.tensor([[f, 0, (W - 1) / 2], [0, f, (H - 1) / 2], [0, 0, 1]], dtype=torch.float64)
    xi = xi if xi is not None else torch.tensor(
        [[0, 0, 0, 0, 0, 0], [-0.3, 0.05, 0.02, 0, 0.02, 0], [0.28, -0.04, 0.1, 0.01, -0.02, 0.01],
         [0.04, 0.3, -0.05, -0.02, 0, 0.01]], dtype=torch.float64,
    )  # fmt: skip
    T = se3_exp(xi * (0 if is_static else 1))
    u, v = torch.meshgrid(torch.arange(W, dtype=torch.float64), torch.arange(H, dtype=torch.float64), indexing="xy")
    rays = torch.stack([(u - K[0, 2]) / f, (v - K[1, 2]) / f, torch.ones_like(u)], -1)
    n = torch.tensor([0.15, -0.1, 1.0], dtype=torch.float64)
    images, depths, squares = [], [], []
    for i in range(len(T)):
        R, t = T[i, :3, :3], T[i, :3, 3]
        o, d = -R.T @ t, rays @ R
        z_plane = (5.0 - n @ o) / (d @ n)
        X = o + d * z_plane[..., None]
        colour = _texture(X[..., 0], X[..., 1], 1, 4.0)
        z_square = (3.0 - o[2]) / d[..., 2]
        Y = o + d * z_square[..., None]
        x, y = Y[..., 0] - (moving[i] if i < len(moving) else 0) - 0.1, Y[..., 1]
        on = (x.abs() < half_size) & (y.abs() < half_size) & with_square
        images.append(torch.where(on, _texture(x, y, 2, 6.0), colour))
        depths.append(torch.where(on, z_square, z_plane))
        squares.append(on)
    return Scene(torch.stack(images), torch.stack(depths), T, K, torch.stack(squares))


def make_video(n: int) -> tuple[list[np.ndarray], Camera]:
    """n frames (120,160,3) uint8 of a camera that moves sideways and turns a little."""
    i = torch.arange(n, dtype=torch.float64)
    xi = torch.zeros(n, 6, dtype=torch.float64)
    xi[:, 0], xi[:, 2], xi[:, 4] = -0.5 * torch.sin(0.6 * i), 0.2 * torch.cos(0.4 * i), 0.01 * torch.sin(i / 2)
    s = make_scene(xi=xi)
    images = (255 * s.images.permute(0, 2, 3, 1)).round().to(torch.uint8).numpy()
    return list(images), Camera(140.0, 140.0, 79.5, 59.5, 160, 120)
