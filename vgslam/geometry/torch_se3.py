"""Rigid motions as tensors (...,4,4), `T_a_b` taking coordinates in b to a; differentiable. As arrays: `se3`."""

import torch
from torch import Tensor


def inverse(T: Tensor) -> Tensor:
    """Inverse of rigid motions (...,4,4)."""
    R = T[..., :3, :3].mT
    return torch.cat([torch.cat([R, -R @ T[..., :3, 3:]], dim=-1), T[..., 3:, :]], dim=-2)


def skew(v: Tensor) -> Tensor:
    """(...,3) -> (...,3,3) with skew(v) @ w = v x w."""
    x, y, z = v.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))


def exp(xi: Tensor) -> Tensor:
    """Tangent (...,6) = (rotation, translation) -> T (...,4,4)."""
    out = torch.zeros(*xi.shape[:-1], 4, 4, dtype=xi.dtype, device=xi.device)
    out[..., :3, :3] = skew(xi[..., :3])
    out[..., :3, 3] = xi[..., 3:]
    return torch.linalg.matrix_exp(out)
