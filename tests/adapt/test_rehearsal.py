"""What is held to what was said before: the loss, and that less is forgotten with it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vgslam.adapt.losses import LossConfig
from vgslam.adapt.rehearsal import PICTURE, familiar_windows, rehearsal_loss, remember
from vgslam.adapt.trainer import Trainable, TrainConfig, Trainer, copy_of
from vgslam.adapt.windows import Window, make_window
from vgslam.errors import InputError
from vgslam.geometry.camera import Camera
from vgslam.network import weights
from vgslam_train.presets import PRESETS
from vgslam_train.worlds.sequences import Shot, render_sequence

LOADED = weights.load("vggt-s")


@pytest.fixture(scope="module")
def familiar() -> list[torch.Tensor]:
    return familiar_windows(LOADED.model.config)


def test_familiar_windows_are_of_the_networks_size(familiar: list[torch.Tensor]) -> None:
    assert len(familiar) == 2 * 2 * 64
    assert all(x.shape == (4, 3, 48, 64) for x in familiar)
    assert torch.equal(familiar[1], familiar[0].flip(-1))
    assert not torch.equal(familiar[0], familiar[2])
    assert all(0.02 < float(x.std()) < 0.5 for x in familiar)
    large = familiar_windows(replace(LOADED.model.config, image_size=128))
    assert len(large) == len(familiar)
    halved = torch.nn.functional.avg_pool2d(large[5], 2)
    torch.testing.assert_close(halved, familiar[5], atol=1.1 / 255, rtol=0)
    assert familiar_windows(PRESETS["vggt-1b"]) == []


def test_frames_of_a_window_are_one_after_another(familiar: list[torch.Tensor]) -> None:
    """Neighbours in time look more alike than two films do, in nearly every film."""
    films = familiar[::4]
    near = [float((film[1:] - film[:-1]).abs().mean()) for film in films]
    far = [float((a - b).abs().mean()) for a, b in zip(films, films[1:] + films[:1])]
    assert sum(n < f for n, f in zip(near, far)) > 0.9 * len(films)


def test_the_picture_is_small_and_its_damage_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PICTURE.stat().st_size < 2_000_000
    damaged = tmp_path / "familiar.webp"
    damaged.write_bytes(PICTURE.read_bytes()[:1000])
    monkeypatch.setattr("vgslam.adapt.rehearsal.PICTURE", damaged)
    with pytest.raises(InputError, match="--no-rehearse"):
        familiar_windows(LOADED.model.config)


def test_nothing_forgotten_costs_nothing_and_more_costs_more(familiar: list[torch.Tensor]) -> None:
    model = copy_of(LOADED.model, False)
    memory = remember(model, familiar[:1])[0]
    assert float(rehearsal_loss(model, memory)) == 0.0
    torch.manual_seed(0)
    costs, noise = [], {n: torch.randn_like(p) for n, p in model.named_parameters()}
    for _ in range(3):
        with torch.no_grad():
            for name, p in model.named_parameters():
                p += 0.01 * p.std(correction=0) * noise[name]
        costs.append(float(rehearsal_loss(model, memory)))
    assert 0 < costs[0] < costs[1] < costs[2]


def test_less_is_forgotten(familiar: list[torch.Tensor]) -> None:
    camera = Camera.from_fov(160, 120, 100.0)
    film = render_sequence("clutter", "orbit", 4, 900011, camera, Shot(rate_hz=6.0, supersample=1))
    window = make_window(list(film.images), range(4), camera, LOADED.model.config)
    assert isinstance(window, Window)
    memory, forgotten = remember(LOADED.model, familiar[:1])[0], []
    for given in (None, lambda: familiar[:1]):
        config = TrainConfig(Trainable.ALL, steps=20, ema=0.0, rehearse_every=1)
        trainer = Trainer(LOADED.model, config, LossConfig(), given)
        trainer.run_round([window], 1e-3)
        forgotten.append(float(rehearsal_loss(trainer.model, memory).detach()))
    assert forgotten[1] < 0.5 * forgotten[0]
