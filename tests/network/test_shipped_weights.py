"""The network that comes with the package: loads strictly, is small, and sees what its card says that it sees."""

from pathlib import Path

import numpy as np
import torch

from vgslam.network.weight_files import packaged
from vgslam.network.weights import load
from vgslam_train.data.windows import WindowBatch
from vgslam_train.presets import VGGT_M, VGGT_S
from vgslam_train.validation.model_guess import ModelGuess
from vgslam_train.validation.pose_measures import constant_depth, depth_score, identity_poses, pose_score
from vgslam_train.worlds.sequences import Shot, render_sequence


def test_small_strict_and_free() -> None:
    path = packaged("vggt-s")
    assert path is not None
    assert path.stat().st_size < 50e6
    loaded = load("vggt-s")
    assert loaded.model.config == VGGT_S
    assert loaded.info.n_parameters <= 25_000_000
    assert loaded.info.licence.allows_commercial_use
    assert not loaded.info.is_random
    assert packaged("vggt-xxl") is None
    card = (Path(__file__).parents[2] / "docs" / "model_cards" / "vggt-s.md").read_text()
    assert loaded.info.sha256 in card


def test_the_larger_one_is_one_file_of_16_mib_with_a_card() -> None:
    path = packaged("vggt-m")
    assert path is not None
    assert path.stat().st_size <= 16 << 20
    loaded = load("vggt-m")
    assert loaded.model.config == VGGT_M
    assert loaded.info.licence.allows_commercial_use
    card = (Path(__file__).parents[2] / "docs" / "model_cards" / "vggt-m.md").read_text()
    assert loaded.info.sha256 in card
    assert f"{loaded.info.n_parameters:,}" in card


def windows() -> WindowBatch:
    """24 windows of 4 frames of rooms and clutter by seeds that training does not use."""
    parts = []
    for seed in (910_001, 910_002, 910_003):
        for kind, motion in (("room", "walk"), ("clutter", "orbit")):
            film = render_sequence(kind, motion, 16, seed, shot=Shot(rate_hz=6.0, supersample=1), camera=None)
            parts.append(film)
    images, depth, T, K = [], [], [], []
    for film in parts:
        small = torch.nn.functional.interpolate(
            torch.from_numpy(film.images).permute(0, 3, 1, 2).float() / 255, size=(48, 64), mode="area"
        )
        camera = film.camera.resized(64, 48)
        z = torch.from_numpy(film.depth)[:, 2::5, 2::5]
        z = torch.where(torch.isfinite(z), z, 0.0)
        for start in range(0, 16, 4):
            w = slice(start, start + 4)
            images.append(small[w])
            depth.append(z[w])
            poses = film.T_world_cam[w]
            T.append(torch.from_numpy(np.linalg.inv(poses[0]) @ poses))
            K.append(torch.from_numpy(camera.K))
    return WindowBatch(torch.stack(images), torch.stack(depth), torch.stack(T), torch.stack(K))


def test_better_than_what_costs_nothing() -> None:
    batch = windows()
    guess = ModelGuess(load("vggt-s").model, torch.device("cpu"))(batch)
    solved = pose_score([batch], [torch.linalg.inv(guess.T_solver)])
    still = pose_score([batch], [identity_poses(batch)])
    assert solved.rotation_deg.median < 0.6 * still.rotation_deg.median
    assert solved.direction_deg.median < 45
    seen, flat = depth_score([batch], [guess.depth]), depth_score([batch], [constant_depth(batch)])
    assert seen.median < 0.8 * flat.median
