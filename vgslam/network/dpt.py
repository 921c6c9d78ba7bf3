"""Dense heads: DPT (arXiv 2103.13413) on four aggregator layers, for depth, points and the tracker's features."""

from collections.abc import Iterator
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional

from vgslam.network.aggregator import Encoded
from vgslam.network.config import DptConfig
from vgslam.network.layers import LayerNorm, without_autocast
from vgslam.network.tables import uv_embedding


class Activation(StrEnum):
    """EXP: exp(y) (depth). INV_LOG: sign(y) (exp|y| - 1) (points)."""

    EXP = "exp"
    INV_LOG = "inv_log"


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=True)


def _join(parts: Iterator[Tensor], total: int) -> Tensor:
    """Concatenates along the first axis, of `total` rows; where no gradient is recorded without holding them twice."""
    if torch.is_grad_enabled():
        return torch.cat(list(parts))
    out, start = torch.empty(0), 0
    for part in parts:
        if start == 0:
            out = part.new_empty(total, *part.shape[1:])
        out[start : start + len(part)] = part
        start += len(part)
    return out


class ResidualUnit(nn.Module):
    """a + conv2(relu(conv1(a))) with a = relu(x), or x + conv2(...) if the skip is not rectified. VGGT's skip adds
    relu(x) and not x: it was trained with an in-place ReLU that overwrites the unit's input."""

    def __init__(self, features: int, is_skip_rectified: bool = True) -> None:
        super().__init__()
        self.is_skip_rectified = is_skip_rectified
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        a = x.relu()
        y: Tensor = self.conv2(self.conv1(a).relu_())
        return y.add_(a if self.is_skip_rectified else x)


class FusionBlock(nn.Module):
    """Adds a finer level to the coarser result, refines, upsamples, projects."""

    def __init__(self, features: int, has_skip: bool, is_skip_rectified: bool = True) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(features, features, 1)
        if has_skip:
            self.resConfUnit1 = ResidualUnit(features, is_skip_rectified)
        self.resConfUnit2 = ResidualUnit(features, is_skip_rectified)

    def forward(self, x: Tensor, size: tuple[int, int], skip: Tensor | None = None) -> Tensor:
        """x (N,F,h,w) -> (N,F,*size). The 1x1 projection comes before the upsampling, with which it commutes: a quarter
        of the cost."""
        if skip is not None:
            x = x + self.resConfUnit1(skip)
        return _resize(self.out_conv(self.resConfUnit2(x)), size)


class Scratch(nn.Module):
    """The parts that state dicts name `scratch`: level convolutions, fusion blocks and output convolutions."""

    def __init__(self, config: DptConfig, out_channels: int | None, is_skip_rectified: bool = True) -> None:
        super().__init__()
        f = config.features
        for level, channels in enumerate(config.out_channels, start=1):
            self.add_module(f"layer{level}_rn", nn.Conv2d(channels, f, 3, padding=1, bias=False))
        for level in range(1, 5):
            self.add_module(f"refinenet{level}", FusionBlock(f, level < 4, is_skip_rectified))
        if out_channels is None:
            self.output_conv1 = nn.Conv2d(f, f, 3, padding=1)
            return
        self.output_conv1 = nn.Conv2d(f, f // 2, 3, padding=1)
        self.output_conv2 = nn.Sequential(
            nn.Conv2d(f // 2, config.hidden, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(config.hidden, out_channels, 1),
        )

    def level(self, number: int, x: Tensor) -> Tensor:
        out: Tensor = self.get_submodule(f"layer{number}_rn")(x)
        return out

    def fuse(self, levels: list[Tensor]) -> Tensor:
        """Level maps, fine to coarse, F channels each -> fused map (N, F, 2 x size of level 1). Empties the list."""
        out: Tensor = self.output_conv1(self.merge(levels))
        return out

    def merge(self, levels: list[Tensor], suffix: str = "") -> Tensor:
        """Level maps through the fusion blocks whose names end with `suffix`, coarse to fine; empties the list."""
        sizes = [(x.shape[-2], x.shape[-1]) for x in levels]
        sizes = [(2 * sizes[0][0], 2 * sizes[0][1]), *sizes]
        x = levels.pop()
        x = self.get_submodule(f"refinenet4{suffix}")(x, sizes[3])
        for number in (3, 2, 1):
            x = self.get_submodule(f"refinenet{number}{suffix}")(x, sizes[number - 1], levels.pop())
        return x


class DptHead(nn.Module):
    """Aggregator tokens -> a map with confidence, at the resolution of the images. out_channels counts the confidence;
    None makes a feature extractor (the tracker's) at 1 / `stride` of it, without position embedding."""

    def __init__(
        self, config: DptConfig, width: int, patch_size: int, out_channels: int | None = None,
        activation: Activation = Activation.EXP, stride: int = 1, is_skip_rectified: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.config, self.patch_size, self.activation, self.stride = config, patch_size, activation, stride
        self.is_feature_extractor = out_channels is None
        c = config.out_channels
        self.norm = LayerNorm(width)
        self.projects = nn.ModuleList(nn.Conv2d(width, channels, 1) for channels in c)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(c[0], c[0], 4, 4),
                nn.ConvTranspose2d(c[1], c[1], 2, 2),
                nn.Identity(),
                nn.Conv2d(c[3], c[3], 3, stride=2, padding=1),
            ]
        )
        self.scratch = Scratch(config, out_channels, is_skip_rectified)

    def forward(self, encoded: Encoded, frames_per_pass: int) -> tuple[Tensor, Tensor]:
        """Values (B,S,H,W,out_channels-1) and confidence (B,S,H,W), > 1."""
        shape = encoded.special.shape[:2]
        joined = _join((self._activate(logits) for logits in self._passes(encoded, frames_per_pass)), shape.numel())
        return joined[..., :-1].unflatten(0, shape), joined[..., -1].unflatten(0, shape)

    def features(self, encoded: Encoded, frames_per_pass: int, norm: LayerNorm) -> Tensor:
        """Feature maps (B, S, F, H/stride, W/stride) of a feature extractor, normalised over the channels."""
        maps = (norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) for x in self._passes(encoded, frames_per_pass))
        shape = encoded.special.shape[:2]
        return _join(maps, shape.numel()).unflatten(0, shape)

    def _activate(self, logits: Tensor) -> Tensor:
        """Logits (N,C,H,W) -> values and, last, confidence (N,H,W,C)."""
        y, c = logits[:, :-1], logits[:, -1:]
        values = y.exp() if self.activation is Activation.EXP else y.sign() * y.abs().expm1()
        return torch.cat([values, 1 + c.exp()], dim=1).permute(0, 2, 3, 1)

    def _passes(self, encoded: Encoded, frames_per_pass: int) -> Iterator[Tensor]:
        for tokens in self._token_passes(encoded, frames_per_pass):
            yield self._logits(self._levels(tokens, encoded), encoded)

    def _token_passes(self, encoded: Encoded, frames_per_pass: int) -> Iterator[list[Tensor]]:
        levels = [encoded.patches(layer).flatten(0, 1) for layer in self.config.layers]
        for i in range(0, len(levels[0]), frames_per_pass):
            yield [level[i : i + frames_per_pass] for level in levels]

    def _levels(self, tokens: list[Tensor], encoded: Encoded) -> list[Tensor]:
        """Patch tokens (N, h*w, D) of the four levels -> their maps, F channels each, fine to coarse."""
        height, width = encoded.image_size
        maps = []
        for i, level in enumerate(tokens):
            x = self.projects[i](self.norm(level).transpose(1, 2).unflatten(2, encoded.grid))
            if not self.is_feature_extractor:
                x = self._add_position(x, width / height)
            maps.append(self.scratch.level(i + 1, self.resize_layers[i](x)))
        return maps

    def _logits(self, levels: list[Tensor], encoded: Encoded) -> Tensor:
        """Maps of the four levels -> result of the last convolution (N, out_channels, H, W). Empties the list."""
        height, width = encoded.image_size
        x = self.scratch.fuse(levels)
        x = _resize(x, (height // self.stride, width // self.stride))
        if self.is_feature_extractor:
            return x
        with without_autocast(x):  # the last steps are exact also where the others are not
            wide = x if x.dtype is torch.float64 else x.float()
            logits: Tensor = self.scratch.output_conv2(self._add_position(wide, width / height))
        return logits

    def _add_position(self, x: Tensor, aspect: float) -> Tensor:
        half = x.shape[1] // 2
        across, down = uv_embedding((x.shape[-2], x.shape[-1]), x.shape[1], aspect, x.device, x.dtype)
        x[:, :half].add_(across)
        x[:, half:].add_(down)
        return x
