"""The poses are used (R15, in small): an answer that follows from image and pose together is learned from scratch.

The query lies on the way from the anchor to the second frame, at a share that its grey value tells, turned as the
second frame. Poses are new in every step, so that nothing can be learned by heart: the direction is known from the
pose token alone, the share from the image alone.
"""

from dataclasses import replace

import pytest
import torch
from reloc_cases import TINY
from torch import Tensor

from vgslam.network.pose_encoding import rotation_from_quaternion
from vgslam.network.reloc.config import RelocConfig
from vgslam.network.reloc.known_poses import KnownPoses, known_poses
from vgslam.network.reloc.network import RelocNetwork, Stage, build_reloc
from vgslam.network.vggt import build
from vgslam_train.training.reloc_losses import RelocLossWeights, reloc_loss, rotation_angle

SIDE, STEPS = 8, 200


def scenes(n: int, generator: torch.Generator) -> tuple[Tensor, KnownPoses, Tensor]:
    share = torch.rand(n, generator=generator)
    images = torch.full((n, 3, 3, SIDE, SIDE), 0.5)
    images[:, 2] = share[:, None, None, None]
    w = 0.3 * torch.randn(n, 2, 3, generator=generator, dtype=torch.float64)
    zero = torch.zeros(n, 2, dtype=torch.float64)
    skew = torch.stack([zero, -w[..., 2], w[..., 1], w[..., 2], zero, -w[..., 0], -w[..., 1], w[..., 0], zero], dim=-1)
    T = torch.eye(4, dtype=torch.float64).repeat(n, 2, 1, 1)
    T[..., :3, :3] = torch.linalg.matrix_exp(skew.unflatten(-1, (3, 3)))
    T[..., :3, 3] = torch.randn(n, 2, 3, generator=generator, dtype=torch.float64)
    K = torch.tensor([[6.0, 0, 4], [0, 6, 4], [0, 0, 1]], dtype=torch.float64).expand(n, 2, 3, 3)
    known = known_poses(T, K, (SIDE, SIDE))
    query = known.encoding[:, 1:].clone()
    query[..., :3] *= share[:, None, None]
    return images, known, torch.cat([known.encoding, query], dim=1)


@torch.no_grad()
def errors(network: RelocNetwork, images: Tensor, known: KnownPoses, target: Tensor) -> tuple[float, float]:
    """Median error of the query: translation in units of the scale, rotation in degrees."""
    answer, truth = network(images, known)[-1][:, -1].double(), target[:, -1]
    angle = rotation_angle(*(rotation_from_quaternion(x[:, 3:7]) for x in (answer, truth)))
    distance = (answer[:, :3] - truth[:, :3]).norm(dim=-1)
    return float(distance.median()), float(torch.rad2deg(angle.median()))


@pytest.mark.slow
def test_poses_are_used() -> None:
    config = RelocConfig(tuned=("aggregator", "camera_head"), hidden=128)
    network = build_reloc(build(TINY, 0), config)
    network.set_trained(Stage.ALL)
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad])
    has_scale = torch.ones(64, dtype=torch.bool)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 2e-3 * min(1, (step + 1) / 50) * (1 - step / (3 * STEPS))
        images, known, target = scenes(64, generator)
        loss, _ = reloc_loss(network(images, known), target, has_scale, RelocLossWeights())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    images, known, target = scenes(128, torch.Generator().manual_seed(99))
    translation, rotation_deg = errors(network, images, known, target)
    assert translation < 0.15
    assert rotation_deg < 12
    other_scene = replace(known, encoding=known.encoding.roll(1, 0))
    for wrong in (other_scene, known.without(torch.ones_like(known.has_pose))):
        found = errors(network, images, wrong, target)
        assert found[0] > 5 * translation
        assert found[1] > 3 * rotation_deg
    dimmed = images.clone()
    dimmed[:, 2] = images[:, 2].roll(1, 0)
    assert errors(network, dimmed, known, target)[0] > 2 * translation
