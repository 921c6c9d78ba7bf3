"""Scores of relocalization methods: exact answers score full, and each method does what its name says."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from reloc_cases import base_network, frames, poses, trained

from vgslam.network.pose_encoding import encode_pose
from vgslam.network.reloc.config import RelocConfig
from vgslam.network.reloc.known_poses import relative_to_anchor
from vgslam.network.reloc.network import build_reloc
from vgslam.network.vggt import VggtOutput
from vgslam_train.data.windows import WindowBatch
from vgslam_train.training.reloc_validation import (
    LateFusion,
    Learned,
    PlainLift,
    to_json,
    to_markdown,
    validate_reloc,
)


def windows(n: int = 5, seed: int = 0) -> WindowBatch:
    T = torch.cat([poses(n, seed), poses(n, seed + 1)])
    T = torch.linalg.inv(T[:, :1]) @ T
    K = torch.tensor([[30.0, 0, 19.5], [0, 31.0, 15.5], [0, 0, 1]], dtype=torch.float64).expand(2, 3, 3)
    images = torch.cat([frames(n, seed), frames(n, seed + 1)])
    return WindowBatch(images, torch.ones(2, n, *images.shape[-2:]), T, K)


class Oracle:
    """A network that knows the poses of all images, in another unit of length, from frame 0 on."""

    def __init__(self, batch: WindowBatch, unit: float = 0.3) -> None:
        self.batch, self.unit = batch, unit

    def __call__(self, images, want) -> VggtOutput:
        flat = self.batch.images.flatten(0, 1)
        known = self.batch.T_world_cam.flatten(0, 1)
        at = [[int((flat == image).flatten(1).all(1).nonzero()[0, 0]) for image in scene] for scene in images]
        T = relative_to_anchor(known[torch.tensor(at)])
        T[..., :3, 3] *= self.unit
        K = self.batch.K[0].expand(*T.shape[:2], 3, 3)
        return VggtOutput([encode_pose(T, K, images.shape[-2:])])


def test_exact_networks_locate_exactly() -> None:
    batch = windows()
    oracle = Oracle(batch)
    scores = validate_reloc({"lift": PlainLift(oracle), "late": LateFusion(oracle)}, [batch])  # type: ignore[arg-type]
    for score in scores:
        assert score.found == 1
        assert score.position_m < 1e-6
        assert score.rotation_deg < 1e-6
        assert score.recall == (1.0, 1.0)
        assert score.n_queries == 2


def test_scores_of_known_errors() -> None:
    batch = windows()

    def shifted(b: WindowBatch) -> np.ndarray:
        T = b.T_world_cam[:, -1].numpy().copy()
        T[:, 0, 3] += 0.1
        return T

    def half(b: WindowBatch) -> np.ndarray:
        T = b.T_world_cam[:, -1].numpy().copy()
        T[0] = np.nan
        return T

    one, other = validate_reloc({"shifted": shifted, "half": half}, [batch])
    assert one.position_m == pytest.approx(0.1)
    assert one.recall == (0.0, 1.0)
    assert other.found == 0.5
    assert other.position_m == float("inf")  # no answer counts as infinitely wrong
    assert other.recall == (0.5, 0.5)
    assert json.loads(to_json([other]))[0]["position_m"] is None
    assert "| half | 2 | 50% | inf |" in to_markdown([one, other])


def test_learned_direct_and_by_consensus() -> None:
    """Results of an untrained network are finite and different, and without a scale there is no answer."""
    network = trained(build_reloc(base_network(), RelocConfig()))
    batch = windows()
    direct, consensus = (Learned(network, c)(batch) for c in (False, True))
    assert np.isfinite(direct).all()
    assert np.isfinite(consensus).all()
    assert np.abs(direct - consensus).max() > 1e-3
    pair = windows(2)
    assert np.isnan(Learned(network, False)(pair)[:, :3, 3]).all()
    assert np.isnan(Learned(network, True)(pair)[:, :3, 3]).all()


def test_windows_without_a_scale_do_not_count() -> None:
    batch = windows()
    T = batch.T_world_cam.clone()
    T[0, :-1, :3, 3] = 0
    score = validate_reloc({"lift": PlainLift(Oracle(batch))}, [replace(batch, T_world_cam=T)])[0]  # type: ignore[arg-type]
    assert score.n_queries == 1


def test_nothing_to_validate_on() -> None:
    with pytest.raises(ValueError, match="no windows"):
        validate_reloc({}, [])
