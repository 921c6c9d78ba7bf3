"""A network's stated deviation of depth reaches whoever uses the depth unchanged."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vgslam.frontend.network_guide import confidence_from_network
from vgslam.network.open_backbone import BackboneOptions, open_backbone
from vgslam.network.vggt import Head, build
from vgslam.network.vggt_backbone import UNCONFIDENT_DEVIATION, common_confidence, laplace_scale
from vgslam.network.weights import load, save
from vgslam_train.presets import VGGT_S, VGGT_S2


def read(confidence: torch.Tensor) -> np.ndarray:
    """The relative deviation 0.3 / c that `SceneGeometry` promises, by the confidence 1 - 1/c that a guide hands on."""
    return 0.3 * (1.0 - confidence_from_network(confidence.numpy()).astype(np.float64))


def test_a_stated_deviation_is_the_one_that_is_read() -> None:
    """Laplace of scale b: standard deviation sqrt(2) b, at most 0.3."""
    b = torch.tensor([0.03, 0.05, 0.1, 0.2])
    np.testing.assert_allclose(read(common_confidence(1 / b)), math.sqrt(2) * b, rtol=1e-5)
    assert read(common_confidence(torch.tensor([1.0]))).tolist() == [0.3]


def test_the_least_confidence_is_one() -> None:
    assert common_confidence(torch.tensor([1.0, 4.0, 20.0])).tolist() == pytest.approx([1.0, 1.0, 4.2426], abs=1e-3)


def test_scales_of_both_kinds_of_networks() -> None:
    assert UNCONFIDENT_DEVIATION == 0.3
    c = torch.tensor([1.0, 2.0, 5.0])
    np.testing.assert_allclose(math.sqrt(2) * laplace_scale(c, False), read(c), rtol=1e-6)
    assert laplace_scale(c, True).tolist() == [1.0, 0.5, np.float32(0.2)]


@pytest.mark.parametrize("is_precision", [False, True])
def test_a_file_says_what_its_confidence_means(is_precision: bool, tmp_path: Path) -> None:
    """The backbone hands out what `common_confidence` makes of it, for networks whose file says so alone."""
    path = tmp_path / "n.safetensors"
    model = build(replace(VGGT_S, depth_precision=is_precision), 3)
    save(model, path, "Apache-2.0")
    backbone = open_backbone(BackboneOptions(str(path), device="cpu"))
    pictures = [np.random.default_rng(k).integers(0, 256, (48, 64, 3), np.uint8) for k in range(2)]
    images = backbone.prepare(pictures)
    scene = backbone.decode(backbone.encode(images, {Head.DEPTH}), images, {Head.DEPTH})
    with torch.inference_mode():
        stated = model(torch.from_numpy(images.images)[None], {Head.DEPTH}).depth_confidence[0]
    expected = common_confidence(stated) if is_precision else stated
    np.testing.assert_allclose(scene.depth_confidence, expected, rtol=1e-4)


def test_the_successor_s_architecture_is_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "n.safetensors"
    save(build(VGGT_S2, 0), path, "Apache-2.0", torch.float16)
    assert load(str(path)).model.config == VGGT_S2
    assert path.stat().st_size <= 16e6
