"""One step of supervised training: a batch of windows in, the loss and its parts out."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from vgslam.errors import ConfigError
from vgslam.network.aggregator import Chunks, Encoded
from vgslam.network.vggt import Head, Vggt
from vgslam_train.data.truth import Truth, truth_of
from vgslam_train.data.windows import WindowBatch, true_flow, true_tracks
from vgslam_train.training.losses import (
    LossWeights,
    camera_terms,
    depth_terms,
    flow_loss,
    matching_loss,
    patch_flow,
    points_loss,
    scale_loss,
    tracks_loss,
)

N_QUERIES = 64
_ALL = Chunks(dpt_frames=1 << 20)
_NONE = torch.zeros(())


@dataclass(frozen=True)
class LossParts:
    """The terms before weighting, scalars; 0 where the network has no such head."""

    rotation: Tensor = _NONE
    translation: Tensor = _NONE
    field_of_view: Tensor = _NONE
    depth: Tensor = _NONE
    gradient: Tensor = _NONE
    points: Tensor = _NONE
    tracks: Tensor = _NONE
    matching: Tensor = _NONE
    coarse: Tensor = _NONE
    flow: Tensor = _NONE
    scale: Tensor = _NONE

    def weighted(self, weights: LossWeights) -> Tensor:
        parts = [getattr(self, f.name) * getattr(weights, f.name) for f in fields(self)]
        return torch.stack([p.to(parts[0].device) for p in parts]).sum()

    def to_floats(self) -> dict[str, float]:
        """Numbers for the log."""
        return {f.name: float(getattr(self, f.name).detach()) for f in fields(self)}


class TrainingStep(nn.Module):
    """The network with its losses; a separate module, so that data-parallel training can wrap it."""

    def __init__(self, model: Vggt, weights: LossWeights) -> None:
        super().__init__()
        if not model.heads:
            raise ConfigError("a network without heads cannot be trained")
        self.model, self.weights = model, weights

    def forward(self, batch: WindowBatch, step: int, depth_share: float = 1.0) -> tuple[Tensor, LossParts]:
        """Loss of a batch. `step` seeds the draw of the frames whose dense maps are supervised and of query points."""
        encoded = self.model.encode(batch.images, self.model.heads)
        device = batch.images.device.type
        is_half = torch.is_autocast_enabled(device)
        with torch.autocast(device, enabled=False):  # poses, flow and losses, whatever encoder and dense heads do
            return self._loss(encoded, batch, step, depth_share, is_half)

    def _loss(
        self, encoded: Encoded, batch: WindowBatch, step: int, depth_share: float, is_half: bool
    ) -> tuple[Tensor, LossParts]:
        truth = truth_of(batch)
        generator = torch.Generator().manual_seed(step)
        want = self.model.heads
        parts = self._sparse_parts(encoded, batch, truth, generator)
        dense = want & {Head.DEPTH, Head.POINTS}
        if dense:
            s = batch.images.shape[1]
            chosen = torch.randperm(s, generator=generator)[: max(1, round(depth_share * s))].sort().values
            parts = self._dense_parts(parts, some_frames(encoded, chosen), frames_of(truth, chosen), is_half)
        return parts.weighted(self.weights), parts

    def _sparse_parts(
        self, encoded: Encoded, batch: WindowBatch, truth: Truth, generator: torch.Generator
    ) -> LossParts:
        model, weights = self.model, self.weights
        want = model.heads & {Head.POSE, Head.TRACKS, Head.FLOW}
        queries = None
        if Head.TRACKS in want:
            height, width = encoded.image_size
            size = torch.tensor([width - 1.0, height - 1.0])
            queries = torch.rand(len(batch.images), N_QUERIES, 2, generator=generator) * size
            queries = queries.to(batch.images.device)
        out = model.decode(encoded, want, queries, _ALL)
        parts = LossParts()
        if out.pose_encodings is not None:
            camera = camera_terms(out.pose_encodings, truth, weights.gamma)
            parts = replace(
                parts, rotation=camera.rotation, translation=camera.translation, field_of_view=camera.field_of_view
            )
        if out.tracks is not None and queries is not None:
            px, visible = true_tracks(batch, queries)
            tracks = tracks_loss(out.tracks.positions, out.tracks.visibility, px, visible, weights.gamma)
            parts = replace(parts, tracks=tracks)
        config = model.config.matching
        if out.flow is not None and encoded.matches is not None and config is not None:
            pairs = [true_flow(batch, reference) for reference in ("first", "previous")]
            flow, visible = (torch.stack(x, dim=2) for x in zip(*pairs, strict=True))
            visible = visible.clone()
            visible[:, 0] = False
            parts = replace(
                parts, matching=matching_loss(encoded.matches, flow, visible, config.stride),
                flow=flow_loss(out.flow, flow, visible, weights.solver_share),
            )  # fmt: skip
            if encoded.matches.coarse is not None:
                patch_px = model.config.patch_size
                whole = patch_flow(flow, visible, patch_px // config.stride)
                parts = replace(parts, coarse=matching_loss(encoded.matches.coarse, *whole, patch_px))
        return parts

    def _dense_parts(self, parts: LossParts, encoded: Encoded, truth: Truth, is_half: bool) -> LossParts:
        model, alpha = self.model, self.weights.alpha
        with torch.autocast(encoded.special.device.type, torch.bfloat16, enabled=is_half):
            out = model.decode(encoded, model.heads & {Head.DEPTH, Head.POINTS}, None, _ALL)
        if out.depth is not None and out.depth_confidence is not None:
            aligned = self.weights.aligned
            value, gradient = depth_terms(out.depth, out.depth_confidence, truth.depth, alpha, aligned)
            parts = replace(parts, depth=value, gradient=gradient, scale=scale_loss(out.depth, truth.depth))
        if out.points is not None and out.points_confidence is not None:
            parts = replace(parts, points=points_loss(out.points, out.points_confidence, truth, alpha))
        return parts


def some_frames(encoded: Encoded, frames: Tensor) -> Encoded:
    """The tokens of some frames (indices), for the dense heads, which look at each frame alone."""
    frames = frames.to(encoded.special.device)
    layers = {i: x[:, frames] for i, x in encoded.layers.items()}
    return replace(encoded, layers=layers, special=encoded.special[:, frames], matches=None)


def frames_of(truth: Truth, frames: Tensor) -> Truth:
    """The truth of the same frames."""
    frames = frames.to(truth.depth.device)
    return Truth(
        truth.T_cam_world[:, frames], truth.fov[:, frames], truth.depth[:, frames], truth.points[:, frames], truth.scale
    )
