"""Losses of relocalization (Reloc-VGGT, arXiv 2512.21883: absolute pose of all frames, and the angle of rotation)."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from vgslam.network.pose_encoding import rotation_from_quaternion

_MAX_TRANSLATION_ERROR = 100.0


@dataclass(frozen=True)
class RelocLossWeights:
    """Factors of the terms of the query."""

    translation: float = 1.0
    quaternion: float = 1.0
    field_of_view: float = 0.5
    angle: float = 1.0
    database: float = 1.0
    """Factor of the same terms of the database frames, averaged."""
    database_angle: float = 0.1
    """Factor of the angle of the database frames."""
    gamma: float = 0.6
    """Factor for each earlier refinement iteration."""


@dataclass(frozen=True)
class RelocParts:
    """The terms before weighting, as scalars."""

    translation: Tensor
    """Term of the query, in units of the database's scale."""
    quaternion: Tensor
    """Term of the query."""
    field_of_view: Tensor
    """Term of the query."""
    angle: Tensor
    """Angle of the query's rotation error in rad."""
    database: Tensor
    """Weighted sum of the database frames' terms."""

    def to_floats(self) -> dict[str, float]:
        """Numbers for the log."""
        return {f.name: float(getattr(self, f.name).detach()) for f in fields(self)}


def rotation_angle(R_a: Tensor, R_b: Tensor) -> Tensor:
    """Angle (...) in rad, 0..pi, between rotations (...,3,3): atan2 of its sine and cosine, so that the gradient stays
    finite and does not vanish at small angles, where that of arccos does."""
    R = R_a.mT @ R_b
    skew = R - R.mT
    vee = torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], dim=-1)
    sine = 0.5 * torch.linalg.vector_norm(vee, dim=-1)
    cosine = 0.5 * (R.diagonal(dim1=-2, dim2=-1).sum(-1) - 1)
    return torch.atan2(sine, cosine)


def _frame_terms(encoding: Tensor, target: Tensor, has_scale: Tensor) -> Tensor:
    """(B,N,4): translation, quaternion, field of view and angle of pose encodings (B,N,9); no translation where the
    scale (B,) is unobservable."""
    t = (encoding[..., :3] - target[..., :3]).abs().clamp(max=_MAX_TRANSLATION_ERROR).sum(-1)
    t = torch.where(has_scale[:, None], t, 0.0)
    # the length of a head's quaternion is free; the small addition keeps one of length 0 from having no direction
    raw = encoding[..., 3:7] + torch.tensor([0.0, 0.0, 0.0, 1e-6], device=encoding.device, dtype=encoding.dtype)
    q = raw / torch.linalg.vector_norm(raw, dim=-1, keepdim=True)
    true_q = target[..., 3:7]
    sign = torch.where((q * true_q).sum(-1, keepdim=True) < 0, -1.0, 1.0)
    quaternion = torch.linalg.vector_norm(sign * q - true_q, dim=-1)
    fov = (encoding[..., 7:] - target[..., 7:]).abs().sum(-1)
    angle = rotation_angle(rotation_from_quaternion(q), rotation_from_quaternion(true_q))
    return torch.stack([t, quaternion, fov, angle], dim=-1)


def reloc_loss(
    encodings: list[Tensor], target: Tensor, has_scale: Tensor, weights: RelocLossWeights
) -> tuple[Tensor, RelocParts]:
    """Pose encodings (B,N,9) of each iteration, query last, against the true ones; has_scale (B,) bool -> the loss and
    its parts, means over scenes, in float32 or better.

    Translation and field of view: sum of absolute errors; quaternion: Euclidean distance after the signs are aligned.
    """
    target = target.to(encodings[-1].dtype) if encodings[-1].dtype == torch.float64 else target.float()
    count = has_scale.sum().clamp(min=1) / len(has_scale)
    mean = torch.zeros(2, 4, device=target.device, dtype=target.dtype)
    factors = [weights.gamma ** (len(encodings) - 1 - i) for i in range(len(encodings))]
    for factor, encoding in zip(factors, encodings, strict=True):
        terms = _frame_terms(encoding.to(target.dtype), target, has_scale)
        mean = mean + factor * torch.stack([terms[:, -1].mean(0), terms[:, :-1].mean((0, 1))])
    mean = mean / sum(factors)
    per_known_scale = torch.stack([1 / count.to(mean), mean.new_ones(()), mean.new_ones(()), mean.new_ones(())])
    query, database = mean * per_known_scale
    pose = mean.new_tensor([weights.translation, weights.quaternion, weights.field_of_view])
    of_database = weights.database * (pose @ database[:3]) + weights.database_angle * database[3]
    loss = pose @ query[:3] + weights.angle * query[3] + of_database
    return loss, RelocParts(query[0], query[1], query[2], query[3], of_database)
