"""Alternating attention within frames and across frames (VGGT, arXiv 2503.11651, section 3.2)."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vgslam.network.config import VggtConfig
from vgslam.network.encoder import PatchEncoder
from vgslam.network.frame_mask import FrameMask
from vgslam.network.layers import Block, RopeTable
from vgslam.network.matching import MatchAdapter, ReferenceMatches
from vgslam.network.tables import rope_table


@dataclass(frozen=True)
class Chunks:
    """How much is computed at once without gradients: bounds memory; results agree up to rounding."""

    tokens: int = 8192
    """Tokens whose wide intermediate results (qkv, MLP) exist at one time."""
    dpt_frames: int = 4
    """Frames per pass of a dense head."""
    cache_dtype: torch.dtype | None = None
    """Dtype of the kept aggregator layers; None for that of the linear layers."""

    def frames(self, tokens_per_frame: int) -> int:
        return max(1, self.tokens // tokens_per_frame)


@dataclass(frozen=True)
class Encoded:
    """What the heads read, for B scenes of S frames, with T tokens per frame and D = 2 x model width."""

    layers: dict[int, Tensor]
    """Aggregator layer (0-based) -> (B,S,T,D); only those that were asked for."""
    special: Tensor
    """(B,S,1+R,D): camera and register tokens of the last layer."""
    descriptor: Tensor
    """(B,S,width): global descriptor of each frame alone, unit length."""
    image_size: tuple[int, int]
    """(height, width) px."""
    grid: tuple[int, int]
    """(rows, cols) of patches."""
    matches: ReferenceMatches | None = None
    """From the matching adapter; None without one."""

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
        grid = self.config.grid(height, width)
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
