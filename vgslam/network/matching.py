"""Local matching between frames as an input adapter (`VggtConfig.matching`): an explicit cost volume, for networks too
small to learn correspondence by attention alone.

Each frame is compared with frame 0 of its window ("first") and the frame before it ("previous"), in cells and, for
longer motions, in patches; the result is added to the patch tokens.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from vgslam.network.config import MatchingConfig
from vgslam.network.layers import LayerNorm, Linear, without_autocast
from vgslam.network.tables import image_statistics

N_REFERENCES = 2  # first and previous frame, in this order everywhere
_OUTSIDE = -20.0  # logit of a cell outside of the reference image


@dataclass(frozen=True)
class ReferenceMatches:
    """Matches of B scenes of S frames with h x w cells of `stride` px, in the references (first, previous). Frame 0 is
    matched with itself: its values are those of no motion."""

    logits: Tensor
    """(B,S,2,h,w,K): one for each of the K = (2 radius + 1)^2 displacements (row-major, dy before dx) of a cell."""
    displacement: Tensor
    """(B,S,2,h,w,2): soft-argmax (dx, dy) of the logits, in px."""
    peak: Tensor
    """(B,S,2,h,w): the largest probability."""
    coarse: "ReferenceMatches | None" = None
    """The same between whole patches; None from networks that do not compare them."""

    def inputs(self, reach_px: float) -> Tensor:
        """What a layer behind the matches reads (B,S,h,w,2 (K + 3)); reach_px: the search radius."""
        parts = (self.logits.clamp(min=_OUTSIDE / 2), self.displacement / reach_px, self.peak[..., None])
        return torch.cat([part[:, :, reference] for reference in range(N_REFERENCES) for part in parts], dim=-1)


class CellFeatures(nn.Module):
    """Images (N,3,H,W) in [0,1] -> unit feature vectors (N,C,H/stride,W/stride), stride 4."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.down1 = nn.Conv2d(3, half, 5, stride=2, padding=2)
        self.norm1 = nn.GroupNorm(4, half)
        self.down2 = nn.Conv2d(half, channels, 3, stride=2, padding=1)
        self.norm2 = nn.GroupNorm(4, channels)
        self.mix1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.mix2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        mean, std = image_statistics(images.device, images.dtype)
        x = (images - mean) / std
        x = self.norm1(self.down1(x.to(self.down1.weight.dtype))).relu()
        x = self.norm2(self.down2(x)).relu()
        x = x + self.mix2(self.mix1(x).relu())
        return functional.normalize(x, dim=1)


def window_indices(rows: int, cols: int, radius: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Indices (rows*cols, K) of the cells around every cell, and which of them lie outside the grid."""
    d = torch.arange(-radius, radius + 1, device=device)
    r = torch.arange(rows, device=device)[:, None, None, None] + d[:, None]
    c = torch.arange(cols, device=device)[None, :, None, None] + d[None, :]
    r, c = r.expand(rows, cols, len(d), len(d)), c.expand(rows, cols, len(d), len(d))
    outside = (r < 0) | (r >= rows) | (c < 0) | (c >= cols)
    index = r.clamp(0, rows - 1) * cols + c.clamp(0, cols - 1)
    return index.reshape(rows * cols, -1), outside.reshape(rows * cols, -1)


def take_frames(x: Tensor, frames: Tensor) -> Tensor:
    """Frames (B,R) of x (B,S,...) -> (B,R,...)."""
    batch = torch.arange(len(x), device=x.device)[:, None]
    return x[batch, frames]


def cost_volume(f: Tensor, references: Tensor, scale: Tensor, radius: int, stride_px: int) -> ReferenceMatches:
    """Matches of unit features f (B,S,C,h,w) in references (B,S,2,C,h,w): scalar products times `scale`."""
    b, s, _, rows, cols = f.shape
    full = torch.einsum("bsci,bsrcj->bsrij", f.flatten(3) * scale, references.flatten(4))
    index, outside = window_indices(rows, cols, radius, f.device)
    logits = full.gather(-1, index.expand(b, s, N_REFERENCES, -1, -1))
    logits = logits.masked_fill(outside, _OUTSIDE)
    probability = logits.softmax(-1)
    displacement = torch.einsum("bsrik,kd->bsrid", probability, _offsets(radius, f)) * stride_px
    cells = (rows, cols)
    return ReferenceMatches(
        logits.unflatten(3, cells), displacement.unflatten(3, cells), probability.amax(-1).unflatten(3, cells)
    )


def _offsets(radius: int, like: Tensor) -> Tensor:
    """(K,2): dx, dy in cells."""
    d = torch.arange(-radius, radius + 1, device=like.device, dtype=like.dtype)
    dy, dx = torch.meshgrid(d, d, indexing="ij")
    return torch.stack([dx, dy], dim=-1).reshape(-1, 2)


class CoarseMatcher(nn.Module):
    """Compares whole patches: cell features -> matches, and matches -> what is added to the patch tokens."""

    def __init__(self, config: MatchingConfig, width: int, patch_size: int) -> None:
        super().__init__()
        self.config, self.patch_size = config, patch_size
        side = patch_size // config.stride
        self.reduce = nn.Conv2d(config.features, config.features, side, side)
        self.log_temperature = nn.Parameter(torch.zeros(()))
        per_patch = N_REFERENCES * ((2 * config.coarse_radius + 1) ** 2 + 3)
        self.norm = LayerNorm(per_patch)
        self.hidden = Linear(per_patch, config.hidden)
        self.out = Linear(config.hidden, width)

    def compare(self, f: Tensor, references: Tensor) -> ReferenceMatches:
        """Cell features f (B,S,C,h,w), references (B,S,2,C,h,w)."""
        scale = self.config.initial_scale * self.log_temperature.exp()
        patches, others = self._patches(f), self._patches(references)
        return cost_volume(patches, others, scale, self.config.coarse_radius, self.patch_size)

    def embed(self, matches: ReferenceMatches) -> Tensor:
        """What the matches add to the patch tokens (B,S,patches,width)."""
        x = matches.inputs(float(self.patch_size * self.config.coarse_radius))
        out: Tensor = self.out(functional.gelu(self.hidden(self.norm(x))))
        return out.flatten(2, 3)

    def _patches(self, f: Tensor) -> Tensor:
        found = self.reduce(f.flatten(0, -4).to(self.reduce.weight.dtype)).to(f.dtype)
        return functional.normalize(found, dim=1).unflatten(0, f.shape[:-3])


class MatchAdapter(nn.Module):
    """Images -> matches, and matches -> what is added to the patch tokens."""

    def __init__(self, config: MatchingConfig, width: int, patch_size: int) -> None:
        super().__init__()
        self.config = config
        self.cells_per_patch = patch_size // config.stride
        self.features = CellFeatures(config.features)
        self.log_temperature = nn.Parameter(torch.zeros(()))
        per_cell = N_REFERENCES * (config.n_displacements + 3)
        self.cell_norm = LayerNorm(per_cell)
        self.cell = Linear(per_cell, config.hidden)
        self.patch = nn.Conv2d(config.hidden, width, self.cells_per_patch, self.cells_per_patch)
        self.coarse = CoarseMatcher(config, width, patch_size) if config.coarse_radius else None

    def forward(self, images: Tensor, second: Tensor | None = None) -> ReferenceMatches:
        """Images (B,S,3,H,W) in [0,1], sides multiples of the patch size. `second` (B,S): index of the frame that each
        frame is compared with in the place of the one before it."""
        f = self.cells(images)
        previous = torch.cat([f[:, :1], f[:, :-1]], dim=1) if second is None else take_frames(f, second)
        return self.compare(f, torch.stack([f[:, :1].expand_as(f), previous], dim=2))

    def cells(self, images: Tensor) -> Tensor:
        """Unit feature vectors (B,S,C,h,w) of the cells of images (B,S,3,H,W)."""
        found: Tensor = self.features(images.flatten(0, 1))
        return found.unflatten(0, images.shape[:2])

    def compare(self, f: Tensor, references: Tensor) -> ReferenceMatches:
        """Cell features f (B,S,C,h,w) against those of two reference frames each (B,S,2,C,h,w). Never in half
        precision, whatever the features come in: logits of 20 would be off by 0.06."""
        if f.dtype in (torch.bfloat16, torch.float16):
            f, references = f.float(), references.float()
        with without_autocast(f):
            scale = self.config.initial_scale * self.log_temperature.exp()
            matches = cost_volume(f, references, scale, self.config.radius, self.config.stride)
            return matches if self.coarse is None else replace(matches, coarse=self.coarse.compare(f, references))

    def embed(self, matches: ReferenceMatches) -> Tensor:
        """What the matches add to the patch tokens (B,S,patches,width)."""
        b, s = matches.logits.shape[:2]
        x = matches.inputs(float(self.config.stride * self.config.radius))
        x = functional.gelu(self.cell(self.cell_norm(x)))
        x = self.patch(x.flatten(0, 1).permute(0, 3, 1, 2))
        x = x.flatten(2).transpose(1, 2).unflatten(0, (b, s))
        return x if self.coarse is None or matches.coarse is None else x + self.coarse.embed(matches.coarse)


@dataclass(frozen=True)
class Flow:
    """Where each cell's point lies in the reference frames (first, previous)."""

    displacement: Tensor  # (B,S,2,h,w,2) in px of the network's images, at the cells' centres
    log_scale: Tensor  # (B,S,2,h,w): log of the expected error in px

    @property
    def weight(self) -> Tensor:
        """Inverse expected error (B,S,2,h,w), in 1/px."""
        return (-self.log_scale).exp()


class FlowHead(nn.Module):
    """Patch tokens of the last layer and the matches they came from -> flow at the cells."""

    def __init__(self, config: MatchingConfig, token_width: int, patch_size: int) -> None:
        super().__init__()
        self.side = patch_size // config.stride
        self.norm = LayerNorm(token_width)
        self.hidden = Linear(token_width, 2 * config.hidden)
        self.out = Linear(2 * config.hidden, self.side**2 * N_REFERENCES * 3)
        self.reach = float(config.stride * config.radius)

    def forward(self, patches: Tensor, matches: ReferenceMatches, grid: tuple[int, int]) -> Flow:
        """patches (B,S,rows*cols,token_width) of a grid of patches."""
        x = self.out(functional.gelu(self.hidden(self.norm(patches))))
        x = x.unflatten(2, grid).unflatten(-1, (self.side, self.side, N_REFERENCES, 3))
        x = x.permute(0, 1, 6, 2, 4, 3, 5, 7)  # (B,S,refs,rows,side,cols,side,3)
        x = x.flatten(5, 6).flatten(3, 4)
        displacement = matches.displacement + self.reach * x[..., :2]
        return Flow(displacement, x[..., 2].clamp(-5.0, 5.0) + 1.0)
