"""Hyper-parameters of the network, typed: they span VGGT-1B, the small models and the tiny ones of the tests."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Self, get_args, get_type_hints

from vgslam.config import typed
from vgslam.errors import ConfigError

MOST = 100_000  # largest whole number in the configuration of a network that a file names
MOST_LAYERS = 256
"""Most layers, blocks and rounds of one kind: a file with more would keep the program building a network for hours."""
REPEATED = frozenset({
    "depth", "camera_depth", "block_size", "n_iterations", "corr_levels", "corr_radius", "radius", "coarse_radius",
    "n_registers",
})  # fmt: skip
"""The numbers that count such things."""


def _check(ok: bool, message: str, what: str = "network configuration") -> None:
    if not ok:
        raise ConfigError(f"{what}: {message}")


@dataclass(frozen=True)
class EncoderConfig:
    """Patch encoder (a DINOv2 ViT with registers)."""

    depth: int = 24
    """Blocks."""
    n_heads: int = 16
    """Attention heads of a block."""
    grid: int = 37
    """Side of the square position embedding, in patches."""
    mlp_ratio: float = 4.0
    """Width of the MLPs over the model width."""
    layer_scale: float = 1.0
    """Factor on the branches before training (LayerScale)."""


@dataclass(frozen=True)
class AggregatorConfig:
    """Alternating attention within frames and over all of them."""

    depth: int = 24
    """Frame blocks, and as many global blocks."""
    n_heads: int = 16
    """Attention heads of a block."""
    block_size: int = 1
    """Blocks of one kind in a row."""
    mlp_ratio: float = 4.0
    """Width of the MLPs over the model width."""
    rope_base: float = 100.0
    """Base of the frequencies of the rotary position embedding."""
    layer_scale: float = 0.01
    """Factor on the branches before training (LayerScale)."""

    def __post_init__(self) -> None:
        ok = self.block_size > 0 and self.depth % self.block_size == 0
        _check(ok, "aggregator depth must be a multiple of block_size")


@dataclass(frozen=True)
class CameraHeadConfig:
    """Iterative camera head on the camera tokens (width 2 x model width)."""

    depth: int = 4
    """Blocks."""
    n_heads: int = 16
    """Attention heads of a block."""
    n_iterations: int = 4
    """Times that the pose is refined."""
    mlp_ratio: float = 4.0
    """Width of the MLPs over that of the tokens."""
    layer_scale: float = 0.01
    """Factor on the branches before training (LayerScale)."""


@dataclass(frozen=True)
class DptConfig:
    """A dense (DPT) head."""

    features: int = 256
    """Channels in which the levels are fused; a multiple of 4."""
    out_channels: tuple[int, int, int, int] = (256, 512, 1024, 1024)
    """Channels of the four levels before that."""
    layers: tuple[int, int, int, int] = (4, 11, 17, 23)
    """Aggregator layers (0-based) read at the four levels, fine to coarse."""
    hidden: int = 32
    """Channels before the output."""

    def __post_init__(self) -> None:
        _check(len(self.layers) == 4 and len(self.out_channels) == 4, "a dense head has four levels")
        _check(all(c % 4 == 0 for c in self.out_channels), "dense head out_channels must be multiples of 4")


@dataclass(frozen=True)
class TrackHeadConfig:
    """Point tracker: a DPT feature extractor without position embedding and an iterative update transformer."""

    features: int = 128
    """Channels of the features; a multiple of 4."""
    out_channels: tuple[int, int, int, int] = (256, 512, 1024, 1024)
    """Channels of the four levels of the feature extractor."""
    layers: tuple[int, int, int, int] = (4, 11, 17, 23)
    """Aggregator layers (0-based) read at the four levels, fine to coarse."""
    stride: int = 2
    """Image pixels per feature cell."""
    n_iterations: int = 4
    """Times that the tracks are refined."""
    corr_levels: int = 7
    """Levels of the correlation pyramid."""
    corr_radius: int = 4
    """Cells around a point that are correlated, in each level."""
    hidden: int = 384
    """Width of the update transformer."""
    n_heads: int = 8
    """Its attention heads."""
    depth: int = 6
    """Its blocks over time, and as many over points."""
    n_virtual: int = 64
    """Virtual tracks, through which points attend to one another."""
    max_scale_px: float = 518.0
    """Image size that displacements are divided by, in px."""
    mlp_ratio: float = 4.0
    """Width of the MLPs over that of the transformer."""

    def __post_init__(self) -> None:
        _check(self.features % 4 == 0, "track head features must be a multiple of 4")

    @property
    def dpt(self) -> DptConfig:
        return DptConfig(self.features, self.out_channels, self.layers)

    @property
    def corr_channels(self) -> int:
        return self.corr_levels * (2 * self.corr_radius + 1) ** 2

    @property
    def token_channels(self) -> int:
        """Flow embedding + (dx, dy, dx, dy) + correlation + features."""
        return 3 * self.features + 4


@dataclass(frozen=True)
class MatchingConfig:
    """Local cost volume as an input adapter (see `matching`)."""

    features: int = 32
    """Channels of the features that are compared; a multiple of 8."""
    stride: int = 4
    """Side of a cell, in px."""
    radius: int = 6
    """Cells are compared within this distance, in cells."""
    hidden: int = 64
    """Width of the layers behind the cost volume."""
    initial_scale: float = 20.0
    """Factor on the scalar products of unit features before training."""
    coarse_radius: int = 0
    """Patches are compared too, within this distance in patches, for longer motions; 0: they are not."""

    def __post_init__(self) -> None:
        _check(self.stride == 4, "matching cells are 4 px wide")
        _check(self.features % 8 == 0 and self.radius > 0, "matching features must be a multiple of 8, radius positive")
        _check(self.coarse_radius >= 0, "the coarse radius of matching must be 0 or more")

    @property
    def n_displacements(self) -> int:
        return (2 * self.radius + 1) ** 2


class PatchNetwork:
    """What the configurations of networks that see images in patches have in common."""

    patch_size: int

    @property
    def n_special(self) -> int:
        """Tokens of a frame before its patches."""
        raise NotImplementedError

    def patches(self, height_px: int, width_px: int) -> tuple[int, int]:
        """(rows, columns) of patches of an image. ConfigError unless both sides are multiples of the patch size."""
        p = self.patch_size
        if min(height_px, width_px) < p or height_px % p or width_px % p:
            raise ConfigError(f"images of {width_px}x{height_px} px: both sides must be multiples of {p}")
        return height_px // p, width_px // p

    def tokens_per_frame(self, height_px: int, width_px: int) -> int:
        rows, cols = self.patches(height_px, width_px)
        return self.n_special + rows * cols

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]  # what inherits is a dataclass

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_dict`; an unknown field is a ConfigError, a missing one takes its default."""
        config: Self = from_plain_data(cls, data)
        return config


@dataclass(frozen=True)
class VggtConfig(PatchNetwork):
    """The whole network. Raises ConfigError if values contradict each other."""

    image_size: int = 518
    """Width of the training images, in px; a multiple of patch_size."""
    patch_size: int = 14
    """Side of a patch, in px."""
    width: int = 1024
    """Model width: channels of a token."""
    n_registers: int = 4
    """Register tokens of a frame."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """Patch encoder."""
    aggregator: AggregatorConfig = field(default_factory=AggregatorConfig)
    """Alternating attention."""
    camera: CameraHeadConfig | None = field(default_factory=CameraHeadConfig)
    """Camera head; None: there is none."""
    depth: DptConfig | None = field(default_factory=DptConfig)
    """Depth head; None: there is none."""
    points: DptConfig | None = field(default_factory=DptConfig)
    """Head of point maps; None: there is none."""
    track: TrackHeadConfig | None = field(default_factory=TrackHeadConfig)
    """Track head; None: there is none."""
    matching: MatchingConfig | None = None
    """Matching adapter with its flow head; None, as in the published networks: there is none."""
    keeps_area: bool = False
    """Trained on images of many shapes with about 3/4 image_size^2 pixels, instead of on images of one width."""
    depth_precision: bool = False
    """The depth's confidence is an inverse deviation: 1 / confidence is the scale of a Laplace distribution of the
    error of log depth, the window's own scale aside. Without it, confidence only ranks pixels."""

    def __post_init__(self) -> None:
        _check(self.image_size % self.patch_size == 0, "image_size must be a multiple of patch_size")
        _check(self.width % self.encoder.n_heads == 0, "width must be a multiple of the encoder's heads")
        _check(self.width % (4 * self.aggregator.n_heads) == 0, "head width of the aggregator must be a multiple of 4")
        if self.matching is not None:
            _check(self.patch_size % self.matching.stride == 0, "patch_size must be a multiple of the matching stride")
        for name in ("depth", "points", "track"):
            head = getattr(self, name)
            if head is not None:
                _check(max(head.layers) < self.aggregator.depth, f"{name} head reads a layer that does not exist")

    @property
    def token_width(self) -> int:
        """Channels of the aggregator's output (frame and global part side by side)."""
        return 2 * self.width

    @property
    def n_special(self) -> int:
        """Tokens of a frame before the patches: one camera token and the registers."""
        return 1 + self.n_registers


def from_plain_data(cls: Any, data: Any, prefix: str = "", what: str = "network configuration") -> Any:
    """An instance of a configuration's class from what `dataclasses.asdict` makes of it. Raises ConfigError, naming the
    field, for one that is unknown, or has a value of another type or beyond all sense."""
    hints = get_type_hints(cls)
    _check(isinstance(data, dict), f"{prefix or 'it'} holds no fields", what)
    unknown = sorted(map(str, set(data) - set(hints)))
    _check(not unknown, f"unknown field {prefix}{unknown[0] if unknown else ''}", what)
    values: dict[str, Any] = {}
    for name, value in data.items():
        inner = [t for t in get_args(hints[name]) or (hints[name],) if dataclasses.is_dataclass(t)]
        if isinstance(value, dict) and inner:
            value = from_plain_data(inner[0], value, f"{prefix}{name}.", what)
        else:
            value = typed(value, hints[name], f"{what}: {prefix}{name}")
            each, most = value if isinstance(value, tuple) else (value,), MOST_LAYERS if name in REPEATED else MOST
            is_sane = all(math.isfinite(v) if isinstance(v, float) else 0 <= v <= most
                          for v in each if isinstance(v, int | float))  # fmt: skip
            _check(len(each) <= MOST_LAYERS and is_sane, f"{prefix}{name} is too large or negative", what)
        values[name] = value
    return cls(**values)


VGGT_1B = VggtConfig()  # facebook/VGGT-1B: 1797 tensors, 1,256,537,516 parameters

VGGT_TINY = VggtConfig(
    image_size=224,
    width=48,
    encoder=EncoderConfig(depth=2, n_heads=4, grid=16),
    aggregator=AggregatorConfig(depth=4, n_heads=4),
    camera=CameraHeadConfig(depth=2, n_heads=4),
    depth=DptConfig(32, (16, 24, 32, 32), (0, 1, 2, 3)),
    points=DptConfig(32, (16, 24, 32, 32), (0, 1, 2, 3)),
    track=TrackHeadConfig(
        16, (16, 24, 32, 32), (0, 1, 2, 3), corr_levels=3, corr_radius=2, hidden=48, n_heads=4, depth=2
    ),
)
"""A network of the same structure that is small enough for trials with random weights."""
