"""Depth-Anything-3: images of a scene -> camera poses and depth in one pass, with given cameras or without.

The module tree carries the names of the published state dicts, without their prefix `model.`.
"""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vgslam.errors import ConfigError
from vgslam.network.aggregator import Chunks
from vgslam.network.camera_head import POSE_CHANNELS
from vgslam.network.da3.config import Da3Config
from vgslam.network.da3.dense_head import DualHead
from vgslam.network.da3.transformer import Da3Encoded, Da3Transformer, ReferenceChoice
from vgslam.network.initialise import scatter
from vgslam.network.layers import Block, LayerNorm, Linear, Mlp
from vgslam.network.vggt import Head

HEADS = frozenset({Head.POSE, Head.DEPTH})


@dataclass(frozen=True)
class Da3Output:
    """Results for B scenes of S views of H x W px with h x w patches; None if not asked for. The world is the reference
    view's camera, lengths are in the network's own unit."""

    pose_encoding: Tensor | None = None  # (B,S,9); see `given_cameras`
    depth: Tensor | None = None  # (B,S,H,W) along the optical axis
    depth_confidence: Tensor | None = None  # (B,S,H,W), > 1
    rays: Tensor | None = None  # (B,S,8h,8w,6): direction, of length 1 along the optical axis, and origin, in the world
    ray_confidence: Tensor | None = None  # (B,S,8h,8w), > 1


class _Backbone(nn.Module):
    """A name in the published state dicts."""

    def __init__(self, config: Da3Config) -> None:
        super().__init__()
        self.pretrained = Da3Transformer(config)


class Da3(nn.Module):
    """The network. Its parameters may lie on any device; it never moves anything between devices by itself."""

    def __init__(self, config: Da3Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = _Backbone(config)
        self.head = DualHead(config)
        self.cam_dec = CameraDecoder(config.token_width)
        self.cam_enc = CameraEncoder(config)

    @property
    def transformer(self) -> Da3Transformer:
        return self.backbone.pretrained

    def encode(
        self, images: Tensor, want: Collection[Head], camera_encoding: Tensor | None = None,
        choice: ReferenceChoice = ReferenceChoice.BALANCED, chunks: Chunks | None = None,
    ) -> Da3Encoded:  # fmt: skip
        """Images (B,S,3,H,W) in [0,1] -> the tokens that the heads in `want` need; of no head, descriptors alone.
        camera_encoding (B,S,9): cameras of all views, normalised (`given_cameras`). ConfigError for a size or a head
        that cannot be."""
        _check_heads(want)
        if images.ndim != 5 or images.shape[2] != 3:
            raise ConfigError(f"images must be (scenes, views, 3, height, width), got {tuple(images.shape)}")
        if not want:
            return self.transformer.describe(images, chunks)
        tokens = None if camera_encoding is None else self.cam_enc(camera_encoding)
        layers = self.config.dense.layers if Head.DEPTH in want else ()
        encoded: Da3Encoded = self.transformer(images, layers, tokens, choice, chunks)
        return encoded

    def decode(
        self, encoded: Da3Encoded, want: Collection[Head], rays: bool = False, chunks: Chunks | None = None
    ) -> Da3Output:
        """Runs the heads in `want`, and no other; with `rays`, DEPTH brings them too, which takes more time."""
        _check_heads(want)
        n = (chunks or Chunks()).dpt_frames
        pose = self.cam_dec(encoded.special[:, :, 0]) if Head.POSE in want else None
        if Head.DEPTH not in want:
            return Da3Output(pose)
        if not rays:
            depth, confidence = self.head(encoded, n)
            return Da3Output(pose, depth.squeeze(-1), confidence)
        if not self.head.has_rays:
            raise ConfigError("this network was loaded without its rays")
        (depth, confidence), (ray, ray_confidence) = self.head.with_rays(encoded, n)
        return Da3Output(pose, depth.squeeze(-1), confidence, ray, ray_confidence)

    def forward(
        self, images: Tensor, want: Collection[Head] = HEADS, camera_encoding: Tensor | None = None,
        choice: ReferenceChoice = ReferenceChoice.BALANCED, rays: bool = False, chunks: Chunks | None = None,
    ) -> Da3Output:  # fmt: skip
        """`encode` and `decode` in one."""
        return self.decode(self.encode(images, want, camera_encoding, choice, chunks), want, rays, chunks)


def _check_heads(want: Collection[Head]) -> None:
    absent = sorted(set(want) - HEADS)
    if absent:
        raise ConfigError(f"this network has no head for {', '.join(absent)}")


@torch.no_grad()
def random_network(config: Da3Config, seed: int) -> Da3:
    """A network with random values that make every path visible (`initialise.scatter`), for tests and trials."""
    model = Da3(config)
    scatter(model, seed)
    model.cam_dec.fov.bias.fill_(0.9)
    model.cam_dec.fc_qvec.bias.copy_(torch.tensor([0.1, -0.2, 0.2, 1.0]))
    return model.eval()


def skeleton(config: Da3Config) -> Da3:
    """The network without memory (on the meta device), to load weights into or to count."""
    with torch.device("meta"):
        return Da3(config).eval()


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
