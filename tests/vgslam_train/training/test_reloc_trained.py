"""The packaged network's adapter, once it is there: it belongs to its base, uses the poses, beats late fusion."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vgslam.network.reloc.files import base_identity, load_reloc, packaged_adapter
from vgslam.network.reloc.known_poses import known_poses
from vgslam.network.reloc.network import RelocNetwork
from vgslam.network.vggt import Vggt
from vgslam.network.weights import load
from vgslam_train.data.clips import ClipConfig, ClipSet, generate_clips
from vgslam_train.data.reloc_windows import FrameCount, RelocSampler
from vgslam_train.data.windows import WindowBatch, WindowConfig
from vgslam_train.training.reloc_validation import LateFusion, Learned, RelocScore, validate_reloc

ADAPTER = packaged_adapter("vggt-s")
pytestmark = pytest.mark.skipif(
    ADAPTER is None, reason="vgslam/assets/weights/vggt-s-reloc.safetensors is not there: train it (configs/reloc.yaml)"
)


@pytest.fixture(scope="module")
def networks() -> tuple[Vggt, RelocNetwork]:
    loaded = load("vggt-s")
    assert ADAPTER is not None
    return loaded.model, load_reloc(loaded.model, ADAPTER, base_identity(loaded.info))


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> list[WindowBatch]:
    """Windows of 5 frames from worlds that are never trained on."""
    folder: Path = tmp_path_factory.mktemp("clips")
    clips = ClipConfig(seed=0, is_validation=True, worlds_per_shard=8, clips_per_world=2)
    generate_clips(folder, clips, 16, workers=0)
    config = WindowConfig(16, 5, ((48, 64, 1.0),), min_overlap=0.25, seed=7, augment=False)
    sampler = RelocSampler(ClipSet.open(folder), config, FrameCount(5, 5))
    return [sampler.batch(i) for i in range(4)]


def located(network: RelocNetwork, batches: list[WindowBatch]) -> RelocScore:
    return validate_reloc({"direct": Learned(network, False)}, batches)[0]


def test_beats_late_fusion(networks: tuple[Vggt, RelocNetwork], batches: list[WindowBatch]) -> None:
    vggt, network = networks
    learned, late = validate_reloc({"learned": Learned(network, False), "late fusion": LateFusion(vggt)}, batches)
    assert learned.rotation_deg < late.rotation_deg
    assert learned.position_share < late.position_share
    assert learned.recall[1] >= late.recall[1]


@torch.no_grad()
def test_poses_are_used(networks: tuple[Vggt, RelocNetwork], batches: list[WindowBatch]) -> None:
    """Told the poses in another order, or none, the query's error rises (R15)."""
    _, network = networks
    errors = []
    for order in ([0, 1, 2, 3], [0, 2, 3, 1], None):
        of_order = []
        for batch in batches:
            K = batch.K[:, None].expand(-1, 4, 3, 3)
            known = known_poses(batch.T_world_cam[:, :-1], K, (batch.images.shape[-2], batch.images.shape[-1]))
            scale = known.scale[:, None]
            told = known.without(torch.ones_like(known.has_pose))
            if order is not None:
                told = replace(known, encoding=known.encoding[:, order])
            t = network(batch.images, told)[-1][:, -1, :3].double()
            T_query_anchor = torch.linalg.inv(batch.T_world_cam[:, -1]) @ batch.T_world_cam[:, 0]
            of_order.append((t - T_query_anchor[:, :3, 3] / scale).norm(dim=-1)[~known.is_scale_unobservable])
        errors.append(float(torch.cat(of_order).median()))
    assert errors[1] > errors[0]
    assert errors[2] > errors[0]


def test_adapter_refuses_another_base(networks: tuple[Vggt, RelocNetwork]) -> None:
    from vgslam.errors import WeightsError

    vggt, _ = networks
    assert ADAPTER is not None
    with pytest.raises(WeightsError, match="trained on other weights"):
        load_reloc(vggt, ADAPTER, "0" * 64)
