"""The one transformer of Depth-Anything-3: a DINOv2 ViT whose later blocks alternate within and across views."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional

from vgslam.network.aggregator import Chunks, Encoded, PatchProjection
from vgslam.network.da3.config import Da3Config
from vgslam.network.layers import Block, LayerNorm, RopeTable
from vgslam.network.tables import image_statistics, rope_table

MIN_VIEWS = 3  # fewer views keep their order


class ReferenceChoice(StrEnum):
    """BALANCED: the view whose class token is nearest to the middle in likeness, length and spread. FIRST and MIDDLE by
    its place. RANGE: the view whose likeness to the others differs most."""

    BALANCED = "saddle_balanced"
    FIRST = "first"
    MIDDLE = "middle"
    RANGE = "saddle_sim_range"


def choose_reference(class_tokens: Tensor, choice: ReferenceChoice) -> Tensor:
    """Class tokens (B,S,C) of the views of B scenes -> index (B,) of the view to be put first."""
    b, s, _ = class_tokens.shape
    if choice in (ReferenceChoice.FIRST, ReferenceChoice.MIDDLE):
        index = 0 if choice is ReferenceChoice.FIRST else s // 2
        return torch.full((b,), index, dtype=torch.long, device=class_tokens.device)
    length = class_tokens.norm(dim=-1)
    unit = functional.normalize(class_tokens, dim=-1)
    alike = unit @ unit.mT - torch.eye(s, dtype=unit.dtype, device=unit.device)
    if choice is ReferenceChoice.RANGE:
        return (alike.amax(-1) - alike.amin(-1)).argmax(-1)
    measures = torch.stack([alike.sum(-1) / (s - 1), length, unit.var(-1)], dim=-1)
    low, high = measures.amin(1, keepdim=True), measures.amax(1, keepdim=True)
    return ((measures - low) / (high - low + 1e-8) - 0.5).abs().sum(-1).argmin(-1)


def order_with_first(reference: Tensor, n_views: int) -> tuple[Tensor, Tensor]:
    """Orders (B,S) of views: `reference` (B,) first and the others as they were; and the orders that undo them."""
    rank = torch.arange(n_views, device=reference.device).expand(len(reference), -1)
    order = rank.scatter(1, reference[:, None], -1).argsort(dim=1)
    return order, order.argsort(dim=1)


def reordered(x: Tensor, order: Tensor) -> Tensor:
    """The views (axis 1) of x (B,S,...) in the order (B,S)."""
    return x.gather(1, order.view(*order.shape, *([1] * (x.ndim - 2))).expand_as(x))


BLOCK_EPS = 1e-6  # epsilon of the two norms of each block; those of queries and keys, and the last one, have 1e-5
SCALE_OFFSET = 0.1
"""Added to the rows and columns of patches when the position embedding is resized: the network was trained so."""


@dataclass(frozen=True)
class Da3Encoded(Encoded):
    """What the heads read; the views are in the order of the images. The half of `layers` that comes from all views is
    normalised, that from within the view is not, and of `special` (B,S,1,D) neither is."""

    reference: Tensor | None = None  # (B,): the view that was put first


def resized_position(pos_embed: Tensor, grid: int, rows: int, cols: int) -> Tensor:
    """Position embedding (1, 1 + grid^2, C) -> that of the class token and rows x cols patches (1, 1 + rows*cols, C).
    Bicubic without antialiasing; the sampling positions follow from the factors (rows + 0.1) / grid and not from the
    sizes."""
    if (rows, cols) == (grid, grid):
        return pos_embed
    own = pos_embed[:, 1:].unflatten(1, (grid, grid)).permute(0, 3, 1, 2)
    factors = [(n + SCALE_OFFSET) / grid for n in (rows, cols)]
    resized = functional.interpolate(own, scale_factor=factors, mode="bicubic", align_corners=False)
    return torch.cat([pos_embed[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)


class Da3Transformer(nn.Module):
    """Images -> tokens of the blocks that the heads read."""

    def __init__(self, config: Da3Config) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.camera_token = nn.Parameter(torch.zeros(1, 2, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.grid**2, width))
        self.patch_embed = PatchProjection(width, config.patch_size)
        self.blocks = nn.ModuleList(
            Block(
                width, config.n_heads, config.mlp_ratio, config.layer_scale, i >= config.alternate_from, eps=BLOCK_EPS
            )
            for i in range(config.depth)
        )
        self.norm = LayerNorm(width)

    @property
    def linear_dtype(self) -> torch.dtype:
        """Dtype of the linear layers."""
        return self.patch_embed.proj.weight.dtype

    def embed(self, images: Tensor) -> Tensor:
        """Images (N,3,H,W) in [0,1] -> tokens (N, 1 + h*w, width) that enter the first block: class, patches."""
        mean, std = image_statistics(images.device, images.dtype)
        rows, cols = self.config.patches(images.shape[-2], images.shape[-1])
        patches = self.patch_embed((images - mean) / std).to(self.pos_embed.dtype)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], dim=1)
        return tokens + resized_position(self.pos_embed, self.config.grid, rows, cols)

    def rope(self, grid: tuple[int, int], device: torch.device) -> tuple[RopeTable, RopeTable]:
        """Rotary tables of one view's tokens, within views and across them: there all patches are at (1,1)."""
        c = self.config
        rest = (c.head_dim, c.rope_base, device, self.camera_token.dtype)
        here, flat = rope_table(grid, c.n_special, *rest), rope_table((1, 1), c.n_special, *rest)
        n = grid[0] * grid[1]
        cos, sin = (torch.cat([t[:1], t[1:].expand(n, -1, -1, -1)]) for t in flat)
        return here, (cos, sin)

    def forward(
        self, images: Tensor, layers: Collection[int], camera_tokens: Tensor | None = None,
        choice: ReferenceChoice = ReferenceChoice.BALANCED, chunks: Chunks | None = None,
    ) -> Da3Encoded:  # fmt: skip
        """Images (B,S,3,H,W) in [0,1] -> the asked `layers`. camera_tokens (B,S,C): of given cameras; the first view is
        the reference then. ConfigError for sides that are no multiples of the patch size."""
        c, chunks = self.config, chunks or Chunks()
        b, s, _, height, width = images.shape
        grid = c.patches(height, width)
        x = self._first_blocks(images, chunks)
        class_tokens = x[:, :, 0].detach().clone()
        reference, back = torch.zeros(b, dtype=torch.long, device=x.device), None
        if s >= MIN_VIEWS and camera_tokens is None:
            reference = choose_reference(class_tokens, choice)
            order, back = order_with_first(reference, s)
            x = reordered(x, order)
        x = self._block(c.alternate_from - 1).within_frames(x, None, chunks.frames(x.shape[2]))
        first = self._camera_tokens(b, s) if camera_tokens is None else camera_tokens
        x = torch.cat([first[:, :, None].to(x.dtype), x[:, :, 1:]], dim=2)
        kept, special = self._alternate(x, self.rope(grid, x.device), layers, back, chunks)
        descriptor = functional.normalize(class_tokens, dim=-1)
        return Da3Encoded(kept, special, descriptor, (height, width), grid, reference=reference)

    def describe(self, images: Tensor, chunks: Chunks | None = None) -> Da3Encoded:
        """The descriptors alone, for a third of the blocks: class tokens, before any view has seen another."""
        class_tokens = self._first_blocks(images, chunks or Chunks())[:, :, 0].detach()
        height, width = images.shape[-2:]
        grid, empty = self.config.patches(height, width), class_tokens[:, :, None, :0]
        return Da3Encoded({}, empty, functional.normalize(class_tokens, dim=-1), (height, width), grid)

    def _first_blocks(self, images: Tensor, chunks: Chunks) -> Tensor:
        """Images (B,S,3,H,W) -> tokens (B,S,T,width) after the blocks before the reference view is chosen."""
        n = chunks.frames(self.config.tokens_per_frame(images.shape[-2], images.shape[-1]))
        tokens = torch.cat([self.embed(part) for part in images.flatten(0, 1).split(n)])
        x = tokens.unflatten(0, images.shape[:2])
        for i in range(self.config.alternate_from - 1):
            x = self._block(i).within_frames(x, None, n)
        return x

    def _block(self, i: int) -> Block:
        block = self.blocks[i]
        assert isinstance(block, Block)
        return block

    def _camera_tokens(self, b: int, s: int) -> Tensor:
        """The learned tokens (B,S,C) of cameras that are not given: one for the first view, one for all others."""
        first, other = self.camera_token[:, :1], self.camera_token[:, 1:]
        return torch.cat([first, other.expand(-1, s - 1, -1)], dim=1).expand(b, -1, -1)

    def _alternate(
        self, x: Tensor, tables: tuple[RopeTable, RopeTable], layers: Collection[int], back: Tensor | None,
        chunks: Chunks,
    ) -> tuple[dict[int, Tensor], Tensor]:  # fmt: skip
        """The alternating blocks on tokens x (B,S,T,width), which inference overwrites; `back` is the order (B,S) that
        restores that of the images. Returns the asked layers (B,S,T,D) and the last one's special tokens (B,S,1,D)."""
        c, last = self.config, self.config.depth - 1
        n = chunks.frames(x.shape[2])
        dtype = x.dtype if torch.is_grad_enabled() else chunks.cache_dtype or self.linear_dtype
        kept: dict[int, Tensor] = {}
        special, within = x[:, :, :1], x
        for i in range(c.alternate_from, c.depth):
            if not c.is_global(i):
                x = self._block(i).within_frames(x, tables[0], n)
                is_read = i + 1 in layers or i + 1 == last
                within = x.clone() if is_read and not torch.is_grad_enabled() else x
                continue
            x = self._block(i).across_frames(x, tables[1], None, n)
            if i in layers:
                joined = torch.cat([within.to(dtype), self.norm(x).to(dtype)], dim=-1)
                kept[i] = joined if back is None else reordered(joined, back)
            if i == last:
                special = torch.cat([within[:, :, :1], x[:, :, :1]], dim=-1)
        return kept, special if back is None else reordered(special, back)
