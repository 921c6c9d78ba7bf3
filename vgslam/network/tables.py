"""Constant tables, computed once per size and device, and then shared.

Made on the CPU (in float64 where it matters) and moved when first asked for, so that a forward pass transfers nothing;
outside inference mode, so that the same table serves training.
"""

from functools import lru_cache

import torch
from torch import Tensor

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


@lru_cache(maxsize=16)
def image_statistics(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (3,1,1) that the patch encoder normalises RGB images in [0,1] with."""
    with torch.inference_mode(False):
        mean, std = (torch.tensor(v, dtype=dtype).view(3, 1, 1).to(device) for v in (IMAGE_MEAN, IMAGE_STD))
    return mean, std


@lru_cache(maxsize=32)
def rope_table(
    grid: tuple[int, int], n_special: int, head_dim: int, base: float, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Cosine and sine (T, 2, 1, head_dim/4) of the rotary position embedding of one frame's tokens. The patch in row i,
    column j is at (y, x) = (i+1, j+1), the `n_special` tokens before the patches at (0, 0), where the rotation is the
    identity. Axis 1 is (y, x); the angle of frequency k is p * base^(-2k/n), n = head_dim/2."""
    rows, cols = grid
    with torch.inference_mode(False):
        y = torch.arange(1, rows + 1, dtype=torch.float32).repeat_interleave(cols)
        x = torch.arange(1, cols + 1, dtype=torch.float32).repeat(rows)
        positions = torch.cat([torch.zeros(n_special, 2), torch.stack([y, x], dim=1)])
        n = head_dim // 2
        exponents = torch.arange(0, n, 2, dtype=torch.float64) / n
        angles = positions.double()[:, :, None] * base ** -exponents
        cos, sin = (t[:, :, None, :].to(dtype).to(device) for t in (angles.cos(), angles.sin()))
    return cos, sin


def _sinusoids(positions: Tensor, frequencies: Tensor) -> Tensor:
    """(2n, len(positions)): sines of all frequencies, then cosines."""
    angles = frequencies[:, None] * positions[None, :]
    return torch.cat([angles.sin(), angles.cos()])


@lru_cache(maxsize=64)
def uv_embedding(
    shape: tuple[int, int], channels: int, aspect: float, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Position embedding of the dense heads, already scaled by 0.1: (channels/2, 1, cols) and (channels/2, rows, 1).
    `shape` is (rows, cols) of the feature map, `aspect` width / height of the image. The first half of the channels
    encodes u (across), the second v (down); each is [sin(p f_k), cos(p f_k)] with f_k = 100^(-k/(channels/4))."""
    rows, cols = shape
    with torch.inference_mode(False):
        diagonal = (aspect**2 + 1) ** 0.5
        span_u, span_v = aspect / diagonal * (cols - 1) / cols, 1 / diagonal * (rows - 1) / rows
        u = torch.linspace(-span_u, span_u, cols, dtype=torch.float64)
        v = torch.linspace(-span_v, span_v, rows, dtype=torch.float64)
        frequencies = 100.0 ** (-torch.arange(channels // 4, dtype=torch.float64) / (channels // 4))
        across, down = (0.1 * _sinusoids(p, frequencies).float() for p in (u, v))
        return across[:, None, :].to(dtype).to(device), down[:, :, None].to(dtype).to(device)


@lru_cache(maxsize=16)
def grid_embedding(
    shape: tuple[int, int], channels: int, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Position of pixels, each [sin, cos] of channels/4 frequencies: by x (channels/2, 1, cols), by y (.., rows, 1)."""
    rows, cols = shape
    with torch.inference_mode(False):
        frequencies = 10000.0 ** (-torch.arange(channels // 4, dtype=torch.float64) / (channels // 4))
        across, down = (_sinusoids(torch.arange(n, dtype=torch.float64), frequencies) for n in (cols, rows))
        return across[:, None, :].to(dtype).to(device), down[:, :, None].to(dtype).to(device)
