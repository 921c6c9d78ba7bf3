"""Hyper-parameters of Depth-Anything-3 networks: one vision transformer, a dense head, a camera encoder and decoder."""

from dataclasses import dataclass, field

from vgslam.errors import ConfigError
from vgslam.network.config import DptConfig, PatchNetwork


@dataclass(frozen=True)
class Da3Config(PatchNetwork):
    """Sizes of a network; the defaults are those of DA3-SMALL."""

    name: str = "da3-small"
    """What `--network` calls it."""
    width: int = 384
    """Channels of a token."""
    depth: int = 12
    """Blocks."""
    n_heads: int = 6
    """Attention heads of a block."""
    alternate_from: int = 4
    """First block (0-based) with query/key norm and rotary embedding; from it on odd blocks see all views."""
    dense: DptConfig = field(default_factory=lambda: DptConfig(64, (48, 96, 192, 384), (5, 7, 9, 11)))
    """The dense head; its layers are blocks of the transformer that see all views."""
    camera_depth: int = 4
    """Blocks of the camera encoder."""
    camera_heads: int = 16
    """Attention heads of the camera encoder."""
    patch_size: int = 14
    """Side of a patch, in px."""
    grid: int = 37
    """Side of the square position embedding, in patches."""
    mlp_ratio: float = 4.0
    """Width of the MLPs over that of the tokens."""
    rope_base: float = 100.0
    """Base of the frequencies of the rotary position embedding."""
    layer_scale: float = 1.0
    """Factor on the branches before training (LayerScale)."""
    has_rays: bool = True
    """Whether the dense head has its second branch, which predicts rays."""

    def __post_init__(self) -> None:
        readouts = self.dense.layers
        problems = {
            "width must be a multiple of 4 n_heads and of camera_heads": self.width % (4 * self.n_heads)
            or self.width % self.camera_heads,
            "alternate_from must be at least 1 and at most depth": not 1 <= self.alternate_from <= self.depth,
            "the dense head must read blocks that see all views": any(not self.is_global(i) for i in readouts),
            "the dense head must read the last block": readouts[-1] != self.depth - 1,
        }
        for message, is_wrong in problems.items():
            if is_wrong:
                raise ConfigError(f"network configuration: {message}")

    @property
    def token_width(self) -> int:
        """Channels that the heads read: those of a block within views and of one over all."""
        return 2 * self.width

    @property
    def n_special(self) -> int:
        """Tokens of a view before its patches."""
        return 1

    @property
    def head_dim(self) -> int:
        return self.width // self.n_heads

    def is_global(self, block: int) -> bool:
        """Whether the tokens of all views see each other in a block (0-based)."""
        return block >= self.alternate_from and block % 2 == 1


DA3_SMALL = Da3Config()  # depth-anything/DA3-SMALL: 437 tensors, 34,299,463 parameters

DA3_BASE = Da3Config(
    name="da3-base", width=768, n_heads=12, dense=DptConfig(128, (96, 192, 384, 768), (5, 7, 9, 11))
)
"""depth-anything/DA3-BASE: 437 tensors, 135,366,599 parameters."""

DA3_LARGE = Da3Config(
    name="da3-large", width=1024, n_heads=16, depth=24, alternate_from=8,
    dense=DptConfig(256, (256, 512, 1024, 1024), (11, 15, 19, 23)),
)  # fmt: skip
"""depth-anything/DA3-LARGE, whose weights are for non-commercial use."""

ARCHITECTURES = {c.name: c for c in (DA3_SMALL, DA3_BASE, DA3_LARGE)}
"""The published networks that can be built, by the names in their config.json."""
