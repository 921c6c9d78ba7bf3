"""VGGT (arXiv 2503.11651): images of a scene -> camera poses, depth, points and tracks in one pass.

The module tree carries the names of the published state dicts, so `facebook/VGGT-1B` loads strictly.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn

from vgslam.errors import ConfigError
from vgslam.network.aggregator import Aggregator, Chunks, Encoded
from vgslam.network.camera_head import CameraHead
from vgslam.network.config import VggtConfig
from vgslam.network.dpt import Activation, DptHead
from vgslam.network.frame_mask import FrameMask
from vgslam.network.matching import Flow, FlowHead
from vgslam.network.track_head import TrackHead, Tracks


class Head(StrEnum):
    """The results that the network can be asked for. TRACKS needs query points."""

    POSE = "pose"
    DEPTH = "depth"
    POINTS = "points"
    TRACKS = "tracks"
    FLOW = "flow"


PUBLISHED_HEADS = frozenset(Head) - {Head.FLOW}  # the heads of the published networks


@dataclass(frozen=True)
class VggtOutput:
    """Results for B scenes of S frames of H x W px, in the network's unit of length; None if a head was not asked
    for."""

    pose_encodings: list[Tensor] | None = None
    """One (B,S,9) per refinement iteration; the last is the result (see `pose_encoding`)."""
    depth: Tensor | None = None
    """(B,S,H,W)."""
    depth_confidence: Tensor | None = None
    """(B,S,H,W), > 1."""
    points: Tensor | None = None
    """(B,S,H,W,3) in the frame of camera 0."""
    points_confidence: Tensor | None = None
    """(B,S,H,W), > 1."""
    tracks: Tracks | None = None
    flow: Flow | None = None
    """Only from networks with a matching adapter."""

    @property
    def pose_encoding(self) -> Tensor | None:
        return self.pose_encodings[-1] if self.pose_encodings else None


class Vggt(nn.Module):
    """The network. Its parameters may lie on any device; it never moves anything between devices by itself."""

    def __init__(self, config: VggtConfig) -> None:
        super().__init__()
        self.config = config
        width, patch = config.token_width, config.patch_size
        self.aggregator = Aggregator(config)
        self.camera_head = CameraHead(config.camera, width) if config.camera else None
        self.point_head = DptHead(config.points, width, patch, 4, Activation.INV_LOG) if config.points else None
        self.depth_head = DptHead(config.depth, width, patch, 2, Activation.EXP) if config.depth else None
        self.track_head = TrackHead(config.track, width, patch) if config.track else None
        self.flow_head = FlowHead(config.matching, width, patch) if config.matching else None

    @property
    def heads(self) -> frozenset[Head]:
        """The heads that this network has."""
        modules = {
            Head.POSE: self.camera_head, Head.DEPTH: self.depth_head, Head.POINTS: self.point_head,
            Head.TRACKS: self.track_head, Head.FLOW: self.flow_head,
        }  # fmt: skip
        return frozenset(head for head, module in modules.items() if module is not None)

    def layers_read(self, want: Collection[Head]) -> frozenset[int]:
        """Aggregator layers that the heads in `want` read besides the special tokens of the last one."""
        c = self.config
        dense = {Head.DEPTH: c.depth, Head.POINTS: c.points, Head.TRACKS: c.track}
        last = {c.aggregator.depth - 1} if Head.FLOW in want and c.matching is not None else set()
        return frozenset(i for head, d in dense.items() if head in want and d is not None for i in d.layers) | last

    def encode(
        self, images: Tensor, want: Collection[Head], mask: FrameMask | None = None, chunks: Chunks | None = None
    ) -> Encoded:
        """Images (B,S,3,H,W) in [0,1] -> the tokens that the heads in `want` need. ConfigError for a size that is no
        multiple of the patch size, or a head that the network does not have."""
        self._check_heads(want)
        if images.ndim != 5 or images.shape[2] != 3:
            raise ConfigError(f"images must be (scenes, frames, 3, height, width), got {tuple(images.shape)}")
        encoded: Encoded = self.aggregator(images, self.layers_read(want), mask, chunks)
        return encoded

    def decode(
        self, encoded: Encoded, want: Collection[Head], queries: Tensor | None = None, chunks: Chunks | None = None
    ) -> VggtOutput:
        """Runs the heads in `want`, and no other. queries (N,2) or (B,N,2): points of frame 0 in px, for TRACKS."""
        self._check_heads(want)
        frames = (chunks or Chunks()).dpt_frames
        poses = depth = points = tracks = None
        if Head.POSE in want and self.camera_head is not None:
            tokens = encoded.special[:, :, 0]
            poses = self.camera_head(tokens)
        if Head.DEPTH in want and self.depth_head is not None:
            depth = self.depth_head(encoded, frames)
        if Head.POINTS in want and self.point_head is not None:
            points = self.point_head(encoded, frames)
        if Head.TRACKS in want and self.track_head is not None:
            if queries is None:
                raise ConfigError("tracks need query points (N,2) in pixels of frame 0")
            batch = len(encoded.special)
            tracks = self.track_head(encoded, queries.expand(batch, -1, -1), frames)
        flow = None
        if Head.FLOW in want and self.flow_head is not None and encoded.matches is not None:
            flow = self.flow_head(
                encoded.patches(self.config.aggregator.depth - 1), encoded.matches, encoded.grid
            )  # fmt: skip
        z, z_confidence = (depth[0].squeeze(-1), depth[1]) if depth else (None, None)
        xyz, xyz_confidence = points or (None, None)
        return VggtOutput(poses, z, z_confidence, xyz, xyz_confidence, tracks, flow)

    def forward(
        self, images: Tensor, want: Collection[Head], queries: Tensor | None = None, mask: FrameMask | None = None,
        chunks: Chunks | None = None,
    ) -> VggtOutput:  # fmt: skip
        """`encode` and `decode` in one."""
        return self.decode(self.encode(images, want, mask, chunks), want, queries, chunks)

    def _check_heads(self, want: Collection[Head]) -> None:
        absent = sorted(set(want) - self.heads)
        if absent:
            raise ConfigError(f"this network has no head for {', '.join(absent)}")


def build(config: VggtConfig, seed: int, device: torch.device | str = "cpu") -> Vggt:
    """A network with random weights: built without memory first, then filled once on `device`."""
    from vgslam.network.initialise import initialise

    with torch.device("meta"):
        model = Vggt(config)
    model = model.to_empty(device=device)
    initialise(model, seed)
    return model.eval()


def skeleton(config: VggtConfig) -> Vggt:
    """The network without memory (on the meta device), to load weights into or to count."""
    with torch.device("meta"):
        return Vggt(config).eval()
