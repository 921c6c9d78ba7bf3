"""Depth-Anything-3 behind the backbone protocol: source pixels in, geometry out, with given cameras or without."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from da3_tiny import DA3_TINY

from bench.live_memory import LiveMemory
from vgslam.errors import ConfigError
from vgslam.frontend.network_guide import NetworkGuide
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.interfaces import Backbone
from vgslam.network.aggregator import Chunks
from vgslam.network.backbone import GivenCameras
from vgslam.network.da3.backbone import Da3Backbone, Da3RunOptions, Da3Workload, decode_cameras, normalise
from vgslam.network.da3.loading import Da3LoadOptions, load, save
from vgslam.network.da3.network import HEADS, random_network, skeleton
from vgslam.network.da3.transformer import ReferenceChoice
from vgslam.network.frame_mask import FrameMask
from vgslam.network.open_backbone import BACKBONES, BackboneOptions, open_backbone
from vgslam.network.readout import Readout
from vgslam.network.vggt import Head
from vgslam.types import Array, WindowInput

CAMERA = Camera(80.0, 82.0, 44.0, 29.0, 90, 60)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("da3")
    save(random_network(DA3_TINY, 5), folder / "model.safetensors", "Apache-2.0")
    return folder


@pytest.fixture(scope="module")
def backbone(weights: Path) -> Backbone:
    return opened(weights)


def opened(weights: Path, **options: object) -> Backbone:
    return open_backbone(replace(BackboneOptions(str(weights), "da3-small", device="cpu", size_px=84), **options))


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    stream = np.random.RandomState(5)
    return [stream.randint(0, 256, (60, 90, 3), np.uint8) for _ in range(4)]


def poses(n: int) -> Array:
    stream = np.random.default_rng(2)
    return np.stack([se3.exp(0.5 * stream.standard_normal(6)) for _ in range(n)])


def seen(backbone: Backbone, pictures: list[np.ndarray], **given: object):
    images = backbone.prepare(pictures)
    return backbone.decode(backbone.encode(images, HEADS, **given), images, HEADS)


def test_from_pictures_to_geometry(backbone: Backbone, pictures) -> None:
    images = backbone.prepare(pictures)
    assert images.size == (56, 84)
    scene = seen(backbone, pictures)
    R = scene.T_cam_world[:, :3, :3]
    np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.tile(np.eye(3), (4, 1, 1)), atol=1e-9)
    assert scene.depth.shape == scene.depth_confidence.shape == (4, 56, 84)
    assert (scene.depth > 0).all()
    assert (scene.depth_confidence > 1).all()
    assert scene.descriptors.shape == (4, backbone.spec.descriptor_size)
    np.testing.assert_allclose(np.linalg.norm(scene.descriptors, axis=1), 1, atol=1e-6)
    assert all((c.width, c.height, c.cx, c.cy) == (84, 56, 41.5, 27.5) for c in scene.cameras)
    assert scene.is_fov_valid.shape == (4,)


def test_poses_are_the_networks_about_camera_0(backbone: Da3Backbone, pictures) -> None:
    images = backbone.prepare(pictures)
    with torch.no_grad():
        out = backbone.network(torch.from_numpy(images.images)[None])
    T, K = decode_cameras(out.pose_encoding[0].double(), images.size)
    scene = seen(backbone, pictures)
    np.testing.assert_allclose(scene.T_cam_world, (T @ torch.linalg.inv(T[0])).numpy(), atol=1e-5)
    np.testing.assert_allclose(scene.T_cam_world[0], np.eye(4), atol=1e-12)
    for i in np.flatnonzero(scene.is_fov_valid):
        assert scene.cameras[i].fx == pytest.approx(float(K[i, 0, 0]), rel=1e-4)
    assert scene.is_fov_valid.any()
    np.testing.assert_allclose(scene.depth, out.depth[0].numpy(), rtol=1e-4)


def test_only_what_was_asked_for(backbone: Backbone, pictures) -> None:
    images = backbone.prepare(pictures)
    scene = backbone.decode(backbone.encode(images, {Head.DEPTH}), images, {Head.DEPTH})
    assert scene.depth is not None
    assert scene.T_cam_world is scene.cameras is None
    scene = backbone.decode(backbone.encode(images, ()), images, ())
    assert scene.depth is scene.T_cam_world is None
    np.testing.assert_allclose(scene.descriptors, seen(backbone, pictures).descriptors, atol=1e-5)


def test_known_intrinsics_replace_predicted_ones(backbone: Backbone, pictures) -> None:
    images = backbone.prepare(pictures)
    tokens = backbone.encode(images, HEADS)
    scene = backbone.decode(tokens, images, HEADS, known_cameras=[CAMERA] * 4)
    assert scene.cameras[1] == images.maps[1].camera_to_network(CAMERA)
    np.testing.assert_array_equal(scene.T_cam_world, backbone.decode(tokens, images, HEADS).T_cam_world)


def test_given_cameras_reach_the_encoder_and_set_world_and_unit(backbone: Da3Backbone, pictures) -> None:
    T = poses(4)
    scene = seen(backbone, pictures, given=GivenCameras(T, (CAMERA,) * 4))
    assert np.abs(scene.depth - seen(backbone, pictures).depth).max() > 1e-3
    np.testing.assert_allclose(scene.T_cam_world[0], T[0], atol=1e-12)

    world, factor = se3.exp(np.array([0.3, -0.8, 0.2, 5, 1, -3.0])), 7.0
    other = T @ world
    other[:, :3, 3] *= factor
    moved = seen(backbone, pictures, given=GivenCameras(other, (CAMERA,) * 4))
    np.testing.assert_allclose(moved.depth, factor * scene.depth, rtol=1e-3)
    relative = scene.T_cam_world @ se3.inverse(scene.T_cam_world[0])
    relative[:, :3, 3] *= factor
    np.testing.assert_allclose(moved.T_cam_world @ se3.inverse(other[0]), relative, atol=2e-3)


def test_depth_is_in_the_given_unit_with_two_views_as_well(backbone: Da3Backbone, pictures) -> None:
    """The unit that the network is told is a tenth however far apart two cameras are."""
    T = np.tile(np.eye(4), (2, 1, 1))
    T[1, 0, 3] = 0.6
    unit = normalise(torch.from_numpy(T)).unit
    images = backbone.prepare(pictures[:2])
    tokens = backbone.encode(images, HEADS, given=GivenCameras(T, (CAMERA,) * 2))
    with torch.inference_mode():
        raw = backbone.network.decode(tokens.encoded, HEADS).depth[0].numpy()
    assert unit == 0.1
    np.testing.assert_allclose(backbone.decode(tokens, images, HEADS).depth, 0.1 * raw, rtol=1e-5)


def test_as_many_poses_as_cameras() -> None:
    with pytest.raises(ValueError, match="2 cameras"):
        GivenCameras(poses(3), (CAMERA,) * 2)


def test_poses_from_rays_are_another_readout(weights: Path, backbone: Backbone, pictures) -> None:
    rays = opened(weights, readout=Readout.RAYS)
    assert (rays.spec.poses_from, backbone.spec.poses_from) == ("rays", "head")
    scene, plain = seen(rays, pictures), seen(backbone, pictures)
    np.testing.assert_allclose(scene.depth, plain.depth, rtol=1e-5)
    assert np.abs(scene.T_cam_world - plain.T_cam_world).max() > 1e-3
    images = rays.prepare(pictures)
    only_poses = rays.decode(rays.encode(images, {Head.POSE}), images, {Head.POSE})
    assert only_poses.depth is None
    np.testing.assert_allclose(only_poses.T_cam_world, scene.T_cam_world, atol=1e-9)


def test_the_reference_changes_no_gauge(weights: Path, pictures) -> None:
    """Whichever view comes first in the network, camera 0 is the world of the results."""
    loaded = load("da3-small", str(weights), Da3LoadOptions())
    for choice in ReferenceChoice:
        run = Da3Backbone(loaded, Da3RunOptions(size_px=84, reference=choice))
        np.testing.assert_allclose(seen(run, pictures).T_cam_world[0], np.eye(4), atol=1e-12)


def test_options_are_checked(weights: Path, pictures, backbone: Backbone) -> None:
    assert {"da3-small", "da3-base"} < set(BACKBONES.names())
    with pytest.raises(ConfigError, match="no flow for the solver"):
        opened(weights, readout=Readout.SOLVER)
    with pytest.raises(ConfigError, match="no head for points"):
        opened(weights, heads=frozenset({Head.POINTS}))
    with pytest.raises(ConfigError, match="smaller than a patch"):
        opened(weights, size_px=13)
    with pytest.raises(ConfigError, match="CC BY-NC"):
        opened(weights, architecture="da3-large")
    with pytest.raises(ConfigError, match="no mask of frames"):
        backbone.encode(backbone.prepare(pictures), HEADS, FrameMask.star(4))
    with pytest.raises(ConfigError, match="for Depth-Anything-3 only"):
        open_backbone(BackboneOptions("random", size_px=84, device="cpu"))
    with pytest.raises(ConfigError, match="predicts no rays"):
        open_backbone(BackboneOptions("random", readout=Readout.RAYS, device="cpu"))
    named = open_backbone(BackboneOptions(f"da3-small:{weights}", device="cpu"))
    assert named.spec.name == DA3_TINY.name


def test_budget_limits_the_window(weights: Path, pictures) -> None:
    small = opened(weights, gpu_memory="4MB")
    limit = small.max_frames(56, 84)
    assert 2 <= limit < 16
    with pytest.raises(ConfigError, match=f"allows {limit}"):
        small.encode(small.prepare([pictures[0]] * (limit + 1)), HEADS)
    with pytest.raises(ConfigError, match="are too little"):
        opened(weights, gpu_memory="1MB").max_frames(56, 84)


@pytest.mark.parametrize(("frames", "chunks"), [(2, Chunks()), (9, Chunks()), (9, Chunks(1, 1))])
@pytest.mark.parametrize("rays", [False, True])
def test_estimate_is_above_what_lives_and_near(frames: int, chunks: Chunks, rays: bool) -> None:
    size, config = (168, 252), replace(DA3_TINY, width=192, has_rays=rays)
    network = skeleton(config).requires_grad_(False)
    images = torch.empty(1, frames, 3, *size, device="meta")
    with LiveMemory([*network.parameters(), images]) as memory, torch.no_grad():
        network(images, rays=rays, chunks=chunks)
    weights = sum(4 * p.numel() for p in network.parameters())
    estimate = Da3Workload(config, *size, torch.float32, weights, rays).bytes_needed(frames, chunks)
    assert 1.0 <= estimate / memory.peak_bytes < 2.0


def test_the_guide_asks_it_like_any_other(backbone: Backbone, pictures) -> None:
    n = 3
    window = WindowInput(np.arange(n), pictures[:n], CAMERA)
    guide = NetworkGuide(backbone)
    prediction = guide.predict(window)
    assert prediction is not None
    assert np.isfinite(prediction.T_window_cam).all()
    assert (prediction.depth > 0).all()
