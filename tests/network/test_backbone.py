"""The backbone protocol as VGGT implements it: source pixels in, geometry out, on a budget."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vgslam.errors import ConfigError, WeightsError
from vgslam.geometry.camera import Camera
from vgslam.interfaces import Backbone
from vgslam.network.backbone import geometry_from_tensors
from vgslam.network.frame_mask import FrameMask
from vgslam.network.open_backbone import BACKBONES, BackboneOptions, open_backbone
from vgslam.network.precision import Precision
from vgslam.network.vggt import PUBLISHED_HEADS, Head, VggtOutput
from vgslam.network.vggt_backbone import VggtBackbone
from vgslam.network.weights import save

EVERYTHING = PUBLISHED_HEADS


@pytest.fixture(scope="module")
def backbone(golden_tool, tmp_path_factory) -> Backbone:
    """The golden model from a file, as a person would open it."""
    folder: Path = tmp_path_factory.mktemp("weights")
    save(golden_tool.golden_model().float(), folder / "model.safetensors", "Apache-2.0")
    return open_backbone(BackboneOptions(str(folder), device="cpu", heads=EVERYTHING))


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    stream = np.random.RandomState(5)
    return [stream.randint(0, 256, (60, 90, 3), np.uint8) for _ in range(3)]


def test_from_pictures_to_geometry(backbone: Backbone, pictures) -> None:
    images = backbone.prepare(pictures)
    assert images.size == (40, 56)
    tokens = backbone.encode(images, EVERYTHING)
    queries = np.array([[10.0, 12.0], [40.5, 20.25]])
    scene = backbone.decode(tokens, images, EVERYTHING, queries)
    assert scene.T_cam_world.shape == (3, 4, 4)
    R = scene.T_cam_world[:, :3, :3]
    np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.tile(np.eye(3), (3, 1, 1)), atol=1e-9)
    assert scene.depth.shape == scene.depth_confidence.shape == scene.points_confidence.shape == (3, 40, 56)
    assert (scene.depth_confidence > 1).all()
    np.testing.assert_allclose(scene.tracks[0], queries, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(scene.descriptors, axis=1), 1, atol=1e-6)
    assert scene.descriptors.shape == (3, backbone.spec.descriptor_size)
    assert all((c.width, c.height) == (56, 40) for c in scene.cameras)


def test_only_what_was_asked_for(backbone: Backbone, pictures) -> None:
    images = backbone.prepare(pictures)
    scene = backbone.decode(backbone.encode(images, {Head.DEPTH}), images, {Head.DEPTH})
    assert scene.depth is not None
    assert scene.T_cam_world is scene.points is scene.tracks is None


def test_same_numbers_as_the_network(backbone: VggtBackbone, pictures) -> None:
    images = backbone.prepare(pictures)
    want = {Head.POSE, Head.DEPTH}
    scene = backbone.decode(backbone.encode(images, want), images, want)
    with torch.no_grad():
        out = backbone.model(torch.from_numpy(images.images)[None], want)
    np.testing.assert_allclose(scene.depth, out.depth[0].numpy(), atol=1e-5)


def test_known_intrinsics_replace_predicted_ones(backbone: Backbone, pictures) -> None:
    images = backbone.prepare(pictures)
    want = {Head.POSE, Head.DEPTH}
    tokens = backbone.encode(images, want)
    known = [Camera(80.0, 82.0, 44.0, 29.0, 90, 60)] * 3
    scene = backbone.decode(tokens, images, want, known_cameras=known)
    assert scene.cameras[1] == images.maps[1].camera_to_network(known[1])
    assert scene.is_fov_valid.all()
    predicted = backbone.decode(tokens, images, want)
    assert predicted.cameras[1] != scene.cameras[1]
    np.testing.assert_array_equal(predicted.T_cam_world, scene.T_cam_world)


def test_unusable_field_of_view_takes_that_of_the_others(backbone: Backbone, pictures) -> None:
    images = backbone.prepare(pictures)
    encoding = torch.tensor([[[0.0, 0, 0, 0, 0, 0, 1, 0.9, 1.1]]]).repeat(1, 3, 1)
    encoding[0, 1, 7:] = 0.0  # what a ReLU may return
    scene = geometry_from_tensors(VggtOutput([encoding]), torch.ones(1, 3, 4), images)
    assert scene.is_fov_valid.tolist() == [True, False, True]
    assert scene.cameras[1] == scene.cameras[0]
    encoding[..., 7:] = 0.0
    scene = geometry_from_tensors(VggtOutput([encoding]), torch.ones(1, 3, 4), images)
    assert not scene.is_fov_valid.any()
    assert scene.cameras[0].fx == pytest.approx(scene.cameras[0].fy)


def test_principal_point_is_the_centre_in_our_convention(backbone: Backbone, pictures) -> None:
    images = backbone.prepare(pictures)
    scene = backbone.decode(backbone.encode(images, {Head.POSE}), images, {Head.POSE})
    assert (scene.cameras[0].cx, scene.cameras[0].cy) == (27.5, 19.5)


def test_mask_is_passed_on(backbone: Backbone, pictures) -> None:
    images = backbone.prepare([*pictures, pictures[0][::-1].copy(), pictures[1][::-1].copy()])
    dense, star = (backbone.encode(images, {Head.POSE}, m).special for m in (None, FrameMask.star(5)))
    assert (dense - star).abs().max() > 1e-4


def test_budget_limits_the_window(golden_tool, backbone: VggtBackbone, pictures, tmp_path) -> None:
    save(golden_tool.golden_model().float(), tmp_path / "model.safetensors", "Apache-2.0")
    options = BackboneOptions(str(tmp_path), device="cpu", gpu_memory="4MB", heads=EVERYTHING)
    small = open_backbone(options)
    limit = small.max_frames(40, 56)
    assert 2 <= limit < 16 == backbone.max_frames(40, 56)
    images = small.prepare([pictures[0]] * (limit + 1))
    with pytest.raises(ConfigError, match=f"allows {limit}"):
        small.encode(images, {Head.POSE})
    tiny = open_backbone(replace(options, gpu_memory="1MB"))
    with pytest.raises(ConfigError, match="are too little: this network needs"):
        tiny.max_frames(40, 56)


def test_options_are_checked() -> None:
    with pytest.raises(ConfigError, match="unknown backbone 'dust3r'; use one of vggt"):
        open_backbone(BackboneOptions("random", architecture="dust3r"))
    with pytest.raises(ConfigError, match="fp16 is not for the CPU"):
        open_backbone(BackboneOptions("random", device="cpu", precision=Precision.FP16))
    with pytest.raises(WeightsError, match="no such file"):
        open_backbone(BackboneOptions("nowhere.safetensors", device="cpu"))


def test_random_backbone_runs_and_says_that_it_is_random(pictures) -> None:
    said: list[str] = []
    random = open_backbone(BackboneOptions("random", device="cpu"), said.append)
    assert random.weights.is_random
    assert "RANDOM" in said[0]
    assert random.spec.heads == {Head.POSE, Head.DEPTH}
    images = random.prepare(pictures)
    scene = random.decode(random.encode(images, random.spec.heads), images, random.spec.heads)
    assert np.isfinite(scene.depth).all()


def test_another_backbone_needs_no_change_elsewhere(backbone: Backbone, monkeypatch) -> None:
    monkeypatch.setitem(BACKBONES.own, "mine", lambda options, show: backbone)
    assert open_backbone(BackboneOptions("x", architecture="mine")) is backbone
    assert open_backbone(BackboneOptions("mine:x")) is backbone
