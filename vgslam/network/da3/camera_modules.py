"""The camera encoder, which gives the transformer known cameras, and the camera decoder, which reads them off."""

import torch
from torch import Tensor, nn

from vgslam.network.camera_head import POSE_CHANNELS
from vgslam.network.da3.config import Da3Config
from vgslam.network.layers import Block, LayerNorm, Linear, Mlp


class CameraEncoder(nn.Module):
    """Pose encodings (B,S,9) of given cameras -> tokens (B,S,C) that stand for them; the views see each other."""

    def __init__(self, config: Da3Config) -> None:
        super().__init__()
        width = config.width
        self.trunk = nn.ModuleList(
            Block(width, config.camera_heads, config.mlp_ratio, config.layer_scale) for _ in range(config.camera_depth)
        )
        self.token_norm = LayerNorm(width)
        self.trunk_norm = LayerNorm(width)
        self.pose_branch = Mlp(POSE_CHANNELS, width // 2, width)

    def forward(self, encoding: Tensor) -> Tensor:
        x: Tensor = self.token_norm(self.pose_branch(encoding)).unsqueeze(2)
        for block in self.trunk:
            x = block(x)
        out: Tensor = self.trunk_norm(x.squeeze(2))
        return out


class CameraDecoder(nn.Module):
    """Camera features (...,D) -> pose encodings (...,9), each view by itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.backbone = nn.Sequential(Linear(width, width), nn.ReLU(), Linear(width, width), nn.ReLU())
        self.fc_t = Linear(width, 3)
        self.fc_qvec = Linear(width, 4)
        self.fc_fov = nn.Sequential(Linear(width, 2), nn.ReLU())

    @property
    def fov(self) -> Linear:
        """The layer that gives the field of view."""
        layer = self.fc_fov[0]
        assert isinstance(layer, Linear)
        return layer

    def forward(self, features: Tensor) -> Tensor:
        x = self.backbone(features)
        return torch.cat([self.fc_t(x), self.fc_qvec(x), self.fc_fov(x)], dim=-1)
