"""A network beside K references: the frames it is shown, the poses it is told, and what it answers in which order."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from reloc_cases import MATCHING, poses, trained

from vgslam.errors import ConfigError, WeightsError
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.network.initialise import scatter
from vgslam.network.pose_encoding import decode_pose
from vgslam.network.reloc.config import RelocConfig
from vgslam.network.reloc.files import base_identity
from vgslam.network.reloc.known_poses import known_poses
from vgslam.network.reloc.network import build_reloc
from vgslam.network.reloc.query_poses import PlainQueryPoses, ToldQueryPoses, with_adapter
from vgslam.network.vggt import Head, build
from vgslam.network.vggt_backbone import VggtBackbone
from vgslam.network.weights import load, save
from vgslam_train.training.reloc_file import save_reloc

CAMERA = Camera(60.0, 62.0, 39.5, 31.5, 80, 64)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> VggtBackbone:
    path = tmp_path_factory.mktemp("weights") / "base.safetensors"
    model = build(MATCHING, 0)
    scatter(model, 1)
    save(model, path, "Apache-2.0")
    return VggtBackbone(load(str(path)))


@pytest.fixture(scope="module")
def told(backbone: VggtBackbone) -> ToldQueryPoses:
    return ToldQueryPoses(backbone, trained(build_reloc(backbone.model, RelocConfig(inject_every_block=True))))


def case(k: int = 4, seed: int = 0) -> tuple[list[np.ndarray], list[Camera], np.ndarray]:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (k + 1, 8, 10, 3), np.uint8)
    images = [np.kron(c, np.ones((8, 8, 1), np.uint8)) for c in coarse]
    return images, [CAMERA] * (k + 1), poses(k, seed)[0].numpy()


def test_answers_are_those_of_the_network_on_the_prepared_images(told: ToldQueryPoses) -> None:
    images, cameras, T = case()
    answer = told.predict(images, cameras, T)
    prepared = told.backbone.prepare(images)
    K = torch.from_numpy(prepared.maps[0].camera_to_network(CAMERA).K).expand(1, 4, 3, 3)
    known = known_poses(torch.from_numpy(T)[None], K, prepared.size)
    with torch.no_grad():
        encoding = told.network(torch.from_numpy(prepared.images)[None], known)[-1][0].double()
    T_cam_local = decode_pose(encoding).numpy()
    assert answer.scale == pytest.approx(np.median(np.linalg.norm(T[1:, :3, 3] - T[0, :3, 3], axis=1)))
    np.testing.assert_allclose(se3.inverse(answer.T_local_query), T_cam_local[-1], atol=1e-5)
    np.testing.assert_allclose(np.linalg.inv(answer.T_local_refs), T_cam_local[:-1], atol=1e-5)


def test_a_plain_network_does_not_know_the_scale(backbone: VggtBackbone) -> None:
    images, cameras, T = case()
    answer = PlainQueryPoses(backbone).predict(images, cameras, T)
    assert np.isnan(answer.scale)
    prepared = backbone.prepare(images)
    scene = backbone.decode(backbone.encode(prepared, {Head.POSE}), prepared, {Head.POSE}, known_cameras=cameras)
    np.testing.assert_allclose(np.linalg.inv(answer.T_local_refs), scene.T_cam_world[:-1], atol=1e-5)
    np.testing.assert_allclose(np.linalg.inv(answer.T_local_query), scene.T_cam_world[-1], atol=1e-5)


def test_answers_that_are_not_finite_are_none(told: ToldQueryPoses) -> None:
    broken = copy.deepcopy(told.network)
    with torch.no_grad():
        broken.adapter.query_token.fill_(float("nan"))
    images, cameras, T = case()
    assert ToldQueryPoses(told.backbone, broken).predict(images, cameras, T) is None


def test_only_the_shape_of_the_known_poses_enters(told: ToldQueryPoses) -> None:
    images, cameras, T = case()
    G = se3.exp(np.array([0.3, -1.0, 2.0, 5.0, 6.0, -7.0]))
    moved = T.copy()
    moved[:, :3, 3] *= 3.7
    a, b = (told.predict(images, cameras, x) for x in (T, G @ moved))
    assert b.scale == pytest.approx(3.7 * a.scale)
    np.testing.assert_allclose(a.T_local_query, b.T_local_query, atol=1e-4)
    other = told.predict(images, cameras, T[[0, 2, 3, 1]])
    assert np.abs(other.T_local_query - a.T_local_query).max() > 1e-3


def test_scale_is_unknown_for_one_reference_or_one_place(told: ToldQueryPoses) -> None:
    images, cameras, T = case(1)
    assert np.isnan(told.predict(images, cameras, T).scale)
    images, cameras, T = case(3)
    T[:, :3, 3] = T[0, :3, 3]
    assert np.isnan(told.predict(images, cameras, T).scale)


def test_numbers_that_do_not_fit_are_refused(told: ToldQueryPoses) -> None:
    images, cameras, T = case()
    for bad in ((images[:-1], cameras, T), (images, cameras[:-1], T), (images, cameras, T[:2])):
        with pytest.raises(ConfigError, match="beside references"):
            told.predict(*bad)
    with pytest.raises(ConfigError, match="beside references"):
        told.predict(images[:1], cameras[:1], T[:0])


def test_adapter_file_on_its_backbone_and_on_no_other(backbone: VggtBackbone, tmp_path: Path) -> None:
    network = trained(build_reloc(backbone.model, RelocConfig()))
    for name, base in (("right", base_identity(backbone.weights)), ("wrong", "0" * 64)):
        save_reloc(network, tmp_path / f"{name}.safetensors", base, "Apache-2.0")
    images, cameras, T = case()
    a = ToldQueryPoses(backbone, network).predict(images, cameras, T)
    b = with_adapter(backbone, tmp_path / "right.safetensors").predict(images, cameras, T)
    np.testing.assert_allclose(a.T_local_query, b.T_local_query, atol=1e-6)
    with pytest.raises(WeightsError, match="trained on other weights"):
        with_adapter(backbone, tmp_path / "wrong.safetensors")
