"""Alternating attention within frames and across frames (VGGT, arXiv 2503.11651, section 3.2), after a DINOv2 patch
encoder (arXiv 2304.07193) with registers (arXiv 2309.16588).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vgslam.network.config import VggtConfig
from vgslam.network.frame_mask import FrameMask
from vgslam.network.layers import Block, LayerNorm, RopeTable
from vgslam.network.matching import MatchAdapter, ReferenceMatches
from vgslam.network.tables import image_statistics, rope_table


@dataclass(frozen=True)
class Chunks:
    """How much is computed at once without gradients: bounds memory; results agree up to rounding."""

    tokens: int = 8192  # tokens whose wide intermediate results (qkv, MLP) exist at one time
    dpt_frames: int = 4  # frames per pass of a dense head
    cache_dtype: torch.dtype | None = None  # dtype of the kept aggregator layers; None for that of the linear layers

    def frames(self, tokens_per_frame: int) -> int:
        return max(1, self.tokens // tokens_per_frame)


@dataclass(frozen=True)
class Encoded:
    """What the heads read, for B scenes of S frames, with T tokens per frame and D = 2 x model width."""

    layers: dict[int, Tensor]  # aggregator layer (0-based) -> (B,S,T,D); only those that were asked for
    special: Tensor  # (B,S,1+R,D): camera and register tokens of the last layer
    descriptor: Tensor  # (B,S,width): global descriptor of each frame alone, unit length
    image_size: tuple[int, int]  # (height, width) px
    grid: tuple[int, int]  # (rows, cols) of patches
    matches: ReferenceMatches | None = None  # from the matching adapter; None without one

    def patches(self, layer: int) -> Tensor:
        """Patch tokens (B, S, h*w, D) of a kept layer."""
        return self.layers[layer][:, :, self.special.shape[2] :]


def frame_descriptor(patches: Tensor, power: float = 3.0) -> Tensor:
    """Global descriptor (..., width), unit length, of the patch encoder's tokens (..., h*w, width) of a frame alone:
    signed generalised mean (Radenovic et al., arXiv 1711.02512; on signed ViT tokens: AnyLoc, arXiv 2308.00688)."""
    signed = patches.sign() * patches.abs() ** power
    mean = signed.mean(dim=-2)
    pooled = mean.sign() * mean.abs() ** (1.0 / power)
    return nn.functional.normalize(pooled, dim=-1)


def _descriptors(patches: Tensor) -> Tensor:
    """`frame_descriptor` of each frame (N, h*w, width); without gradients one by one, so that company changes no
    bit."""
    if torch.is_grad_enabled():
        return frame_descriptor(patches)
    return torch.stack([frame_descriptor(frame) for frame in patches])


class Aggregator(nn.Module):
    """Patch encoder and alternating attention: images -> tokens of the layers that the heads read."""

    def __init__(self, config: VggtConfig) -> None:
        super().__init__()
        c, width = config.aggregator, config.width
        self.config = config
        self.camera_token = nn.Parameter(torch.zeros(1, 2, 1, width))
        self.register_token = nn.Parameter(torch.zeros(1, 2, config.n_registers, width))
        self.patch_embed = PatchEncoder(config)
        self.matching = MatchAdapter(config.matching, width, config.patch_size) if config.matching else None
        self.frame_blocks, self.global_blocks = (
            nn.ModuleList(
                Block(width, c.n_heads, c.mlp_ratio, c.layer_scale, qk_norm=True) for _ in range(c.depth)
            )
            for _ in range(2)
        )

    @property
    def linear_dtype(self) -> torch.dtype:
        """Dtype of the linear layers."""
        return self.patch_embed.patch_embed.proj.weight.dtype

    def rope(self, grid: tuple[int, int], device: torch.device) -> RopeTable:
        """Rotary table of one frame's tokens; float32, or float64 in a float64 model."""
        c = self.config
        head_dim = c.width // c.aggregator.n_heads
        return rope_table(grid, c.n_special, head_dim, c.aggregator.rope_base, device, self.camera_token.dtype)

    def assemble(self, patches: Tensor) -> Tensor:
        """Patch tokens (B, S, h*w, width) -> tokens (B, S, T, width): camera, registers, patches of each frame. Frame 0
        of a scene takes slot 0 of the learned tokens, every other frame slot 1."""
        b, s = patches.shape[:2]
        special = torch.cat([self.camera_token, self.register_token], dim=2)
        special = torch.cat([special[:, :1], special[:, 1:].expand(-1, s - 1, -1, -1)], dim=1)
        return torch.cat([special.expand(b, -1, -1, -1), patches], dim=2)

    def encode_patches(self, images: Tensor, chunks: Chunks) -> Tensor:
        """Images (B,S,3,H,W) in [0,1] -> patch tokens (B, S, h*w, width)."""
        b, s, _, height, width = images.shape
        chunk = chunks.frames(self.config.tokens_per_frame(height, width))
        patches: Tensor = self.patch_embed(images.flatten(0, 1), chunk)
        return patches.unflatten(0, (b, s))

    def forward(
        self, images: Tensor, layers: Collection[int], mask: FrameMask | None = None, chunks: Chunks | None = None
    ) -> Encoded:
        """Images (B,S,3,H,W) in [0,1], sides multiples of the patch size (else ConfigError) -> the asked `layers`.
        `mask` restricts the global blocks to the allowed pairs of frames."""
        chunks = chunks or Chunks()
        height, width = images.shape[-2:]
        grid = self.config.patches(height, width)
        patches = self.encode_patches(images, chunks)
        descriptor = _descriptors(patches.detach().flatten(0, 1))
        matches = None
        if self.matching is not None:
            matches = self.matching(images)
            patches = patches + self.matching.embed(matches)
        tokens = self.assemble(patches)
        del patches
        kept, special = self.alternate(tokens, grid, layers, mask, chunks)
        return Encoded(kept, special, descriptor.view(*images.shape[:2], -1), (height, width), grid, matches)

    def alternate(
        self, x: Tensor, grid: tuple[int, int], layers: Collection[int], mask: FrameMask | None, chunks: Chunks,
        after_frame: Callable[[int, Tensor], Tensor] | None = None,
    ) -> tuple[dict[int, Tensor], Tensor]:  # fmt: skip
        """Runs all blocks on tokens x (B,S,T,width), which inference overwrites. after_frame: what frame block i is
        followed by. Returns the asked layers (B,S,T,D), frame part before global part, and the special tokens of the
        last layer, always in the dtype of the residual stream."""
        rope = self.rope(grid, x.device)
        size, n_special, last = self.config.aggregator.block_size, self.config.n_special, len(self.frame_blocks) - 1
        kept: dict[int, Tensor] = {}
        special: list[Tensor] = []
        dtype = x.dtype if torch.is_grad_enabled() else chunks.cache_dtype or self.linear_dtype
        for start in range(0, len(self.frame_blocks), size):
            for i in range(start, start + size):
                x = self._frame_block(i, x, rope, chunks)
                if after_frame is not None:
                    x = after_frame(i, x)
                if i in layers:
                    kept[i] = x.new_empty(*x.shape[:3], 2 * x.shape[3], dtype=dtype)
                    kept[i][..., : x.shape[3]] = x
                if i == last:
                    special.append(x[:, :, :n_special].clone())
            for i in range(start, start + size):
                x = self._global_block(i, x, rope, mask, chunks)
                if i in kept:
                    kept[i][..., x.shape[3] :] = x
                if i == last:
                    special.append(x[:, :, :n_special])
        return kept, torch.cat(special, dim=-1)

    def _frame_block(self, i: int, x: Tensor, rope: RopeTable, chunks: Chunks) -> Tensor:
        block: Block = self.frame_blocks[i]  # type: ignore[assignment]
        return block.within_frames(x, rope, chunks.frames(x.shape[2]))

    def _global_block(self, i: int, x: Tensor, rope: RopeTable, mask: FrameMask | None, chunks: Chunks) -> Tensor:
        block: Block = self.global_blocks[i]  # type: ignore[assignment]
        return block.across_frames(x, rope, mask, chunks.frames(x.shape[2]))


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
