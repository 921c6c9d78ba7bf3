"""The dense head of Depth-Anything-3: DPT with a branch for depth and one for rays on shared projections."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from vgslam.network.aggregator import Encoded
from vgslam.network.da3.config import Da3Config
from vgslam.network.dpt import DptHead, FusionBlock
from vgslam.network.layers import LayerNorm, without_autocast

N_LEVELS = 4
RAY_CHANNELS = 7  # direction (3), origin (3), confidence


class ChannelsLast(nn.Module):
    """(N,C,H,W) -> (N,H,W,C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


class ChannelsFirst(nn.Module):
    """(N,H,W,C) -> (N,C,H,W)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)


class DualHead(DptHead):
    """Tokens -> depth with confidence, as `DptHead`; and rays with confidence at 8 x the resolution of the patches. The
    residual units keep their input as it is (VGGT's rectify it). The coarser three of the ray branch's four output
    convolutions are in the published files and reach no output; the norm of the four is one."""

    def __init__(self, config: Da3Config) -> None:
        super().__init__(config.dense, config.token_width, config.patch_size, 2, is_skip_rectified=False)
        self.has_rays = config.has_rays
        if not config.has_rays:
            return
        f, hidden = config.dense.features, config.dense.hidden
        for level in range(1, N_LEVELS + 1):
            self.scratch.add_module(f"refinenet{level}_aux", FusionBlock(f, level < N_LEVELS, is_skip_rectified=False))
        self.scratch.output_conv1_aux = nn.ModuleList(_linear_chain(f) for _ in range(N_LEVELS))
        norm = LayerNorm(hidden)
        self.scratch.output_conv2_aux = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(f // 2, hidden, 3, padding=1), ChannelsLast(), norm, ChannelsFirst(), nn.ReLU(),
                nn.Conv2d(hidden, RAY_CHANNELS, 1),
            )
            for _ in range(N_LEVELS)
        )  # fmt: skip

    def with_rays(self, encoded: Encoded, frames_per_pass: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """((depth (B,S,H,W,1), confidence (B,S,H,W)), (rays (B,S,8h,8w,6), confidence (B,S,8h,8w))). A ray is its
        direction, not normalised, then its origin; confidences are > 1."""
        depth, rays = [], []
        for tokens in self._token_passes(encoded, frames_per_pass):
            levels = self._levels(tokens, encoded)
            depth.append(self._activate(self._logits(list(levels), encoded)))
            y = self._ray_logits(levels, encoded).permute(0, 2, 3, 1)
            rays.append(torch.cat([y[..., :-1], 1 + y[..., -1:].exp()], dim=-1))
        shape = encoded.special.shape[:2]
        joined = [torch.cat(parts).unflatten(0, shape) for parts in (depth, rays)]
        (z, z_conf), (r, r_conf) = ((x[..., :-1], x[..., -1]) for x in joined)
        return (z, z_conf), (r, r_conf)

    def _ray_logits(self, levels: list[Tensor], encoded: Encoded) -> Tensor:
        """Maps of the four levels -> (N,7,8h,8w). Empties the list."""
        height, width = encoded.image_size
        x = self.scratch.merge(levels, "_aux")
        with without_autocast(x):
            convolved = self.scratch.get_submodule(f"output_conv1_aux.{N_LEVELS - 1}")(x)
            output = self.scratch.get_submodule(f"output_conv2_aux.{N_LEVELS - 1}")
            logits: Tensor = output(self._add_position(convolved, width / height))
        return logits


def _linear_chain(features: int) -> nn.Sequential:
    """Five convolutions without activations between."""
    half = features // 2
    channels = (features, half, features, half, features, half)
    return nn.Sequential(*(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(channels)))
