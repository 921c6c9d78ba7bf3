"""The camera head: iterative refinement of a pose encoding from the camera tokens (VGGT, section 3.3)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vgslam.network.config import CameraHeadConfig
from vgslam.network.frame_mask import FrameMask
from vgslam.network.layers import Block, LayerNorm, Linear, Mlp

POSE_CHANNELS = 9


class CameraHead(nn.Module):
    """Camera tokens of the last layer (B,S,D) -> pose encodings (B,S,9), one per iteration. A pose encoding is
    translation (3), quaternion x,y,z,w (4) and field of view (vertical, horizontal; rad, >= 0), camera from world; see
    `vgslam.network.pose_encoding`."""

    def __init__(self, config: CameraHeadConfig, width: int) -> None:
        super().__init__()
        self.n_iterations = config.n_iterations
        self.empty_pose_tokens = nn.Parameter(torch.zeros(1, 1, POSE_CHANNELS))
        self.trunk = nn.ModuleList(
            Block(width, config.n_heads, config.mlp_ratio, config.layer_scale) for _ in range(config.depth)
        )
        self.token_norm = LayerNorm(width)
        self.trunk_norm = LayerNorm(width)
        self.embed_pose = Linear(POSE_CHANNELS, width)
        self.poseLN_modulation = nn.Sequential(nn.SiLU(), Linear(width, 3 * width))
        self.pose_branch = Mlp(width, width // 2, POSE_CHANNELS)

    def forward(
        self, tokens: Tensor, n_iterations: int | None = None, mask: FrameMask | None = None
    ) -> list[Tensor]:
        """The frames of a scene attend to each other, or as `mask` allows; the raw (not activated) encoding is carried
        on."""
        normed = self.token_norm(tokens)
        raw = self.empty_pose_tokens.expand(*tokens.shape[:2], -1)
        encodings: list[Tensor] = []
        for i in range(n_iterations or self.n_iterations):
            shift, scale, gate = self.poseLN_modulation(self.embed_pose(raw)).chunk(3, dim=-1)
            plain = functional.layer_norm(normed, normed.shape[-1:], eps=1e-6)
            x = (normed + gate * (plain * (1 + scale) + shift)).unsqueeze(2)
            for block in self.trunk:
                x = block(x, mask=mask)
            delta = self.pose_branch(self.trunk_norm(x.squeeze(2)))
            raw = delta if i == 0 else raw + delta
            encodings.append(torch.cat([raw[..., :7], raw[..., 7:].relu()], dim=-1))
        return encodings
