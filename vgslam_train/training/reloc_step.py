"""One step of training relocalization: a batch of windows, anchor first and query last -> loss and parts."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vgslam.geometry import torch_se3
from vgslam.network.pose_encoding import encode_pose
from vgslam.network.reloc.known_poses import KnownPoses, known_poses, relative_to_anchor
from vgslam.network.reloc.network import RelocNetwork
from vgslam_train.data.windows import WindowBatch
from vgslam_train.training.reloc_losses import RelocLossWeights, RelocParts, reloc_loss


@dataclass(frozen=True)
class PoseNoise:
    """How the known poses are disturbed in training."""

    dropout: float = 0.1
    """Probability that a database frame's pose is withheld."""
    rotation_deg: float = 1.0
    """Largest rotation error of the poses that are given. The anchor has none: its errors would be those of the
    world."""
    translation_share: float = 0.02
    """Largest translation error of the poses that are given, as a share of the database's scale."""
    min_scale_share: float = 0.01
    """The scale of a database counts as unobservable below this share of the median depth."""


@dataclass(frozen=True)
class RelocTruth:
    """The supervision of a batch."""

    known: KnownPoses
    """The poses that the network is given."""
    target: Tensor
    """(B,N,9): the pose encodings that should come out."""
    has_scale: Tensor
    """(B,): where the scale can be known."""


class RelocTrainingStep(nn.Module):
    """The network with its losses; the same interface as `step.TrainingStep`."""

    def __init__(
        self, model: RelocNetwork, weights: RelocLossWeights | None = None, noise: PoseNoise | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.weights, self.noise = weights or RelocLossWeights(), noise or PoseNoise()

    def forward(self, batch: WindowBatch, step: int, depth_share: float = 1.0) -> tuple[Tensor, RelocParts]:
        """Loss of a batch of at least 2 frames. `step` seeds noise and dropout; `depth_share` has no meaning here."""
        truth = told_poses(batch, self.noise, torch.Generator().manual_seed(step), self.model.config.max_translation)
        encodings = self.model(batch.images, truth.known)
        return reloc_loss(encodings, truth.target, truth.has_scale, self.weights)


def told_poses(
    batch: WindowBatch, noise: PoseNoise, generator: torch.Generator, max_translation: float = 8.0
) -> RelocTruth:
    """The poses of all frames but the last, with noise and gaps, and the truth relative to the same anchor in units of
    the same (noisy) scale. Nothing that the network is given depends on the pose of the query."""
    T, (height, width) = batch.T_world_cam.double(), (batch.images.shape[-2], batch.images.shape[-1])
    K = batch.K.double()[:, None].expand(*T.shape[:2], 3, 3)
    exact = known_poses(T[:, :-1], K[:, :-1], (height, width), max_translation)
    wrong = _errors(T[:, :-1], exact.scale, noise, generator)
    known = known_poses(T[:, :-1] @ wrong, K[:, :-1], (height, width), max_translation)
    dropped = torch.rand(known.has_pose.shape, generator=generator) < noise.dropout
    target = encode_pose(relative_to_anchor(T), K, (height, width))
    target = torch.cat([target[..., :3] / known.scale[:, None, None], target[..., 3:]], dim=-1)
    depth = batch.depth.flatten(1)
    median = torch.where(depth > 0, depth, torch.nan).nanmedian(dim=1).values.nan_to_num(0.0).to(exact.scale)
    has_scale = ~exact.is_scale_unobservable & (exact.scale > noise.min_scale_share * median)
    return RelocTruth(known.without(dropped.to(T.device)), target, has_scale)


def _errors(T: Tensor, scale: Tensor, noise: PoseNoise, generator: torch.Generator) -> Tensor:
    """Small motions (B,K,4,4), uniform in size and of any direction; none of the anchor."""
    b, k = T.shape[:2]
    size = torch.rand(b, k, 2, generator=generator, dtype=torch.float64)
    size[:, 0] = 0
    direction = torch.randn(b, k, 2, 3, generator=generator, dtype=torch.float64)
    direction = (size[..., None] * nn.functional.normalize(direction, dim=-1)).to(T.device)
    turn, shift = direction.unbind(2)
    turn = turn * (torch.pi / 180 * noise.rotation_deg)
    out = torch.eye(4, dtype=torch.float64, device=T.device).repeat(b, k, 1, 1)
    out[..., :3, :3] = torch.linalg.matrix_exp(torch_se3.skew(turn))
    out[..., :3, 3] = shift * noise.translation_share * scale[:, None, None]
    return out
