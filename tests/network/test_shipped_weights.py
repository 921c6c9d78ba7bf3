"""The networks that come with the package load strictly, are small, and see what their cards say that they see."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vgslam.errors import WeightsError
from vgslam.network.options import NetworkOptions
from vgslam.network.preflight import check
from vgslam.network.reloc.files import PACKAGED as WITH_ADAPTER
from vgslam.network.weight_files import ONCE_PACKAGED, PACKAGED, packaged
from vgslam.network.weights import load
from vgslam_train.data.windows import WindowBatch
from vgslam_train.presets import VGGT_S, VGGT_S2
from vgslam_train.validation.model_guess import ModelGuess
from vgslam_train.validation.pose_measures import constant_depth, depth_score, identity_poses, pose_score
from vgslam_train.worlds.sequences import Sequence, Shot, render_sequence


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


def test_the_successor_is_one_file_of_8_mb_with_a_card() -> None:
    path = packaged("vggt-s2")
    assert path is not None
    assert path.stat().st_size <= 8e6
    loaded = load("vggt-s2")
    assert loaded.model.config == VGGT_S2
    assert loaded.info.licence.allows_commercial_use
    card = (Path(__file__).parents[2] / "docs" / "model_cards" / "vggt-s2.md").read_text()
    assert loaded.info.sha256 in card
    assert f"{loaded.info.n_parameters:,}" in card


def test_the_wheel_brings_these_weights_and_no_others() -> None:
    folder = Path(str(packaged("vggt-s"))).parent
    adapters = [f"{name}-reloc" for name in WITH_ADAPTER]
    assert sorted(path.stem for path in folder.iterdir()) == sorted([*PACKAGED, *adapters])
    assert sum(path.stat().st_size for path in folder.iterdir()) < 20e6


@pytest.mark.parametrize("name", ONCE_PACKAGED)
def test_weights_that_were_in_the_package_say_what_took_their_place(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WeightsError, match="vggt-s2 has taken its place"):
        load(name)
    with pytest.raises(WeightsError, match=r"configs/vggt-m-gpu\.yaml"):
        check(NetworkOptions("vggt", name), print)
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(Path(str(packaged("vggt-s"))).read_bytes())
    with pytest.raises(WeightsError, match="not a file of weights"):
        load(name)  # a file of that name is what is meant


@pytest.fixture(scope="module")
def films() -> list[Sequence]:
    """Rooms and clutter by seeds that training does not use, 16 frames of each."""
    return [
        render_sequence(kind, motion, 16, seed, shot=Shot(rate_hz=6.0, supersample=1), camera=None)
        for seed in (910_001, 910_002, 910_003)
        for kind, motion in (("room", "walk"), ("clutter", "orbit"))
    ]


def windows(films: list[Sequence], width: int, height: int) -> WindowBatch:
    """24 windows of 4 frames."""
    images, depth, T, K = [], [], [], []
    for film in films:
        small = torch.nn.functional.interpolate(
            torch.from_numpy(film.images).permute(0, 3, 1, 2).float() / 255, size=(height, width), mode="area"
        )
        camera = film.camera.resized(width, height)
        z = torch.from_numpy(film.depth)
        z = torch.where(torch.isfinite(z), z, 0.0)
        z = torch.nn.functional.interpolate(z[:, None], size=(height, width), mode="nearest-exact")[:, 0]
        for start in range(0, 16, 4):
            w = slice(start, start + 4)
            images.append(small[w])
            depth.append(z[w])
            poses = film.T_world_cam[w]
            T.append(torch.from_numpy(np.linalg.inv(poses[0]) @ poses))
            K.append(torch.from_numpy(camera.K))
    return WindowBatch(torch.stack(images), torch.stack(depth), torch.stack(T), torch.stack(K))


@pytest.mark.parametrize(("name", "share"), [("vggt-s", 0.6), ("vggt-s2", 0.5)])
def test_better_than_what_costs_nothing(name: str, share: float, films: list[Sequence]) -> None:
    config = load(name).model.config
    batch = windows(films, config.image_size, 3 * config.image_size // 4)
    guess = ModelGuess(load(name).model, torch.device("cpu"))(batch)
    solved = pose_score([batch], [torch.linalg.inv(guess.T_solver)])
    still = pose_score([batch], [identity_poses(batch)])
    assert solved.rotation_deg.median < share * still.rotation_deg.median
    assert solved.direction_deg.median < 45
    seen, flat = depth_score([batch], [guess.depth]), depth_score([batch], [constant_depth(batch)])
    assert seen.median < 0.8 * flat.median
