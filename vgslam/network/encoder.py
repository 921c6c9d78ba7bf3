"""The patch encoder: DINOv2 (arXiv 2304.07193) ViT with registers (arXiv 2309.16588)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vgslam.network.config import VggtConfig
from vgslam.network.layers import Block, LayerNorm
from vgslam.network.tables import image_statistics


class PatchProjection(nn.Module):
    """One convolution, kernel = stride = patch size: images (N,3,H,W) -> patches, row-major (N, h*w, width)."""

    def __init__(self, width: int, patch_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch_size, patch_size)

    def forward(self, images: Tensor) -> Tensor:
        patches: Tensor = self.proj(images.to(self.proj.weight.dtype))
        return patches.flatten(2).transpose(1, 2)


class PatchEncoder(nn.Module):
    """Images (N,3,H,W) in [0,1] -> normalised patch tokens (N, h*w, width)."""

    def __init__(self, config: VggtConfig) -> None:
        super().__init__()
        c, width = config.encoder, config.width
        self.grid = c.grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + c.grid**2, width))
        self.register_tokens = nn.Parameter(torch.zeros(1, config.n_registers, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))  # part of the state dict, never used
        self.patch_embed = PatchProjection(width, config.patch_size)
        self.blocks = nn.ModuleList(
            Block(width, c.n_heads, c.mlp_ratio, c.layer_scale, eps=1e-6) for _ in range(c.depth)
        )
        self.norm = LayerNorm(width, eps=1e-6)

    def position_embedding(self, rows: int, cols: int) -> Tensor:
        """Position of cls and patches (1, 1 + rows*cols, width); bicubic with antialiasing if the grid is another."""
        if (rows, cols) == (self.grid, self.grid):
            return self.pos_embed
        own = self.pos_embed[:, 1:].unflatten(1, (self.grid, self.grid)).permute(0, 3, 1, 2)
        resized = functional.interpolate(own, size=(rows, cols), mode="bicubic", antialias=True, align_corners=False)
        return torch.cat([self.pos_embed[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)

    def embed(self, images: Tensor) -> Tensor:
        """Tokens (N, 1 + R + h*w, width) that enter the first block: cls, registers, patches."""
        mean, std = image_statistics(images.device, images.dtype)
        n, patch = len(images), self.patch_embed.proj.kernel_size[0]
        patches = self.patch_embed((images - mean) / std).to(self.pos_embed.dtype)
        position = self.position_embedding(images.shape[-2] // int(patch), images.shape[-1] // int(patch))
        cls_token = (self.cls_token + position[:, :1]).expand(n, -1, -1)
        return torch.cat([cls_token, self.register_tokens.expand(n, -1, -1), patches + position[:, 1:]], dim=1)

    def forward(self, images: Tensor, chunk: int = 8) -> Tensor:
        """`chunk` images at a time where no gradient is recorded: bounds the memory only."""
        if torch.is_grad_enabled():
            return self._encode(images)
        return torch.cat([self._encode(part) for part in images.split(chunk)])

    def _encode(self, images: Tensor) -> Tensor:
        x = self.embed(images)
        first_patch = 1 + self.register_tokens.shape[1]
        for block in self.blocks:
            assert isinstance(block, Block)
            if torch.is_grad_enabled():
                x = block(x.unsqueeze(1)).squeeze(1)
            else:
                block.update_frames_(x, None, len(x))
        return self.norm(x[:, first_patch:])
