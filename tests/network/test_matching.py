"""The matching adapter: a cost volume against a direct computation, and what it must not change."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vgslam.errors import ConfigError
from vgslam.network.config import VGGT_TINY, MatchingConfig, VggtConfig
from vgslam.network.matching import MatchAdapter, window_indices
from vgslam.network.vggt import Head, build
from vgslam_train.presets import VGGT_S

SMALL = MatchingConfig(features=16, radius=2, hidden=8)


def adapter(config: MatchingConfig = SMALL) -> MatchAdapter:
    torch.manual_seed(0)
    return MatchAdapter(config, width=12, patch_size=8).double().eval().requires_grad_(False)


def test_window_indices_name_the_cells_around() -> None:
    index, outside = window_indices(4, 5, 1, torch.device("cpu"))
    inner = index[1 * 5 + 2].view(3, 3)
    assert inner.tolist() == [[1, 2, 3], [6, 7, 8], [11, 12, 13]]
    assert not outside[1 * 5 + 2].any()
    assert outside[0].view(3, 3).tolist() == [[True, True, True], [True, False, False], [True, False, False]]


def test_logits_are_scaled_products_of_the_features() -> None:
    module = adapter()
    images = torch.rand(1, 3, 3, 16, 24, dtype=torch.float64)
    matches = module(images)
    f = module.features(images[0])
    scale = SMALL.initial_scale
    for frame, r, c, dy, dx in ((1, 1, 2, 1, -1), (2, 3, 5, -2, 0), (2, 0, 0, 2, 2)):
        k = (dy + 2) * 5 + (dx + 2)
        for which, reference in ((0, 0), (1, frame - 1)):
            expected = scale * f[frame, :, r, c] @ f[reference, :, r + dy, c + dx]
            assert matches.logits[0, frame, which, r, c, k] == pytest.approx(float(expected), abs=1e-10)
    corner = matches.logits[0, 1, 0, 0, 0].view(5, 5)
    assert (corner[:2] == corner[0, 0]).all(), "cells outside of the image"
    assert float(corner[0, 0]) < -scale + 1e-9


def test_a_shifted_image_is_found_shifted() -> None:
    """Features are made by convolutions: moving the image by whole cells moves the matches by as much."""
    module = adapter(MatchingConfig(features=16, radius=3, hidden=8, initial_scale=400.0))
    rng = np.random.default_rng(1)
    wide = torch.from_numpy(rng.random((3, 48, 72)))
    first, second = wide[:, :, 8:56], wide[:, :, 16:64]  # the scene moves 8 px = 2 cells to the left
    matches = module(torch.stack([first, second])[None])
    inner = matches.displacement[0, 1, 0, 3:-3, 4:-4]
    assert float((inner - torch.tensor([8.0, 0.0], dtype=torch.float64)).abs().mean()) < 0.5


def test_the_first_frame_matches_itself() -> None:
    matches = adapter(MatchingConfig(features=16, radius=2, hidden=8, initial_scale=2000.0))(
        torch.rand(1, 2, 3, 16, 16, dtype=torch.float64)
    )
    assert float(matches.displacement[0, 0].abs().max()) < 0.5


def test_batch_equals_single_runs() -> None:
    model = build(VGGT_S, 3).double()
    images = torch.rand(2, 3, 3, 32, 40, dtype=torch.float64)
    want = {Head.POSE, Head.DEPTH, Head.FLOW}
    with torch.no_grad():
        both = model(images, want)
        each = [model(images[i : i + 1], want) for i in range(2)]
    for i in range(2):
        assert torch.allclose(both.pose_encoding[i], each[i].pose_encoding[0], atol=1e-10)
        assert torch.allclose(both.depth[i], each[i].depth[0], atol=1e-10)
        assert torch.allclose(both.flow.displacement[i], each[i].flow.displacement[0], atol=1e-10)


def test_inference_equals_training_mode() -> None:
    model = build(VGGT_S, 3).double()
    images = torch.rand(1, 3, 3, 32, 40, dtype=torch.float64)
    want = {Head.POSE, Head.DEPTH, Head.FLOW}
    with torch.no_grad():
        fast = model(images, want)
    slow = model(images, want)
    assert torch.allclose(fast.pose_encoding, slow.pose_encoding, atol=1e-10)
    assert torch.allclose(fast.flow.displacement, slow.flow.displacement, atol=1e-10)
    assert torch.allclose(fast.depth, slow.depth, atol=1e-10)


def test_flow_is_laid_out_by_cells() -> None:
    """A flow head whose output layer says the cell's number within its patch puts it at that cell."""
    model = build(VGGT_S, 0)
    head = model.flow_head
    with torch.no_grad():
        head.out.weight.zero_()
        bias = torch.zeros(2, 2, 2, 3)  # row and column within the patch, reference, (dx, dy, log scale)
        bias[0, 1, 0, 0], bias[1, 0, 1, 1] = 1.0, 2.0
        head.out.bias.copy_(bias.flatten())
        images = torch.rand(1, 2, 3, 16, 24)
        encoded = model.encode(images, {Head.FLOW})
        flow = model.decode(encoded, {Head.FLOW}).flow
    delta = (flow.displacement - encoded.matches.displacement)[0, 1] / head.reach
    assert torch.allclose(delta[0, 0::2, 1::2, 0], torch.ones(2, 3), atol=1e-5)
    assert torch.allclose(delta[1, 1::2, 0::2, 1], 2 * torch.ones(2, 3), atol=1e-5)
    assert float(delta.abs().sum()) == pytest.approx(6 + 12, abs=1e-3)


COARSE = MatchingConfig(features=16, radius=1, hidden=8, initial_scale=400.0, coarse_radius=3)


def test_patches_are_matched_beyond_the_reach_of_cells() -> None:
    """A scene that moves by two patches, 16 px, is out of reach of cells within 4 px of their own place."""
    module = adapter(COARSE)
    wide = torch.from_numpy(np.random.default_rng(1).random((3, 64, 104)))
    matches = module(torch.stack([wide[:, :, 8:88], wide[:, :, 24:104]])[None])
    assert matches.coarse is not None
    assert matches.coarse.logits.shape == (1, 2, 2, 8, 10, 49)
    inner = matches.coarse.displacement[0, 1, 0, 2:-2, 3:-3]
    assert float((inner - torch.tensor([16.0, 0.0], dtype=torch.float64)).abs().mean()) < 0.5
    assert float(matches.displacement.abs().max()) <= 4.0


def test_coarse_matches_reach_their_own_patch() -> None:
    """What the layers behind the coarse volume say of one patch is added to that patch's token, row-major."""
    module = adapter(COARSE)
    images = torch.rand(1, 2, 3, 32, 40, dtype=torch.float64)
    matches = module(images)
    assert matches.coarse is not None
    without = module.embed(replace(matches, coarse=None))
    logits = matches.coarse.logits.clone()
    logits[0, 1, 0, 2, 3] += torch.rand(49, dtype=torch.float64)
    changed = module.embed(replace(matches, coarse=replace(matches.coarse, logits=logits))) - without
    usual = module.embed(matches) - without
    moved = (changed - usual).norm(dim=-1)[0]
    assert int(moved[1].argmax()) == 2 * 5 + 3
    assert int((moved > 1e-9).sum()) == 1
    assert float(usual.abs().max()) > 0


def test_networks_without_it_are_unchanged() -> None:
    assert not any("matching" in key or key.startswith("flow_head") for key in build(VGGT_TINY, 0).state_dict())


def test_config_round_trip_and_refusal() -> None:
    assert VggtConfig.from_dict(VGGT_S.to_dict()) == VGGT_S
    with pytest.raises(ConfigError, match="radius"):
        MatchingConfig(radius=0)
    with pytest.raises(ConfigError, match="patch_size"):
        VggtConfig(image_size=84, patch_size=14, matching=MatchingConfig())


def test_small_networks_are_small() -> None:
    from vgslam.network.vggt import skeleton
    from vgslam_train.presets import VGGT_M, VGGT_S2

    for config in (VGGT_S, VGGT_M):
        assert sum(p.numel() for p in skeleton(config).parameters()) <= 25_000_000
    half_precision_mb = 2 * sum(p.numel() for p in skeleton(VGGT_S2).parameters()) / 1e6
    assert half_precision_mb <= 16, "the package carries no larger file"
