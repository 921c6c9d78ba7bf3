"""The network sees windows in other light; what its answer is judged by are the images as they are."""

import numpy as np
import pytest
import torch

from vgslam.adapt import trainer as module
from vgslam.adapt.losses import LossConfig, WindowLoss
from vgslam.adapt.trainer import TrainConfig, Trainer
from vgslam.adapt.windows import PointMatches, Window
from vgslam.network import weights


def window() -> Window:
    rng = np.random.default_rng(0)
    px = rng.uniform(8, 40, (30, 2))
    K = torch.tensor([[60.0, 0, 31.5], [0, 60, 23.5], [0, 0, 1]])
    images = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    return Window((0, 1), images, K, (PointMatches(1, px, px, px + np.array([1.5, 0.0])),))


def test_the_photometric_loss_compares_images_that_were_not_relit(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(weights.load("vggt-s").model, TrainConfig(mirrors=False, light=1.0), LossConfig())
    w = window()
    trainer.geometry(w)  # what the start model says of the window is asked for now, not below
    compared: list[torch.Tensor] = []
    shown: list[torch.Tensor] = []
    window_loss = module.window_loss

    def noting(images: torch.Tensor, *rest: object) -> WindowLoss:
        compared.append(images)
        return window_loss(images, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "window_loss", noting)
    trainer.model.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    trainer.window_loss(w)
    assert [x.shape for x in shown] == [(1, 2, 3, 48, 64)]
    assert float((shown[0][0] - w.images).abs().mean()) > 0.01, "the network sees another light"
    assert len(compared) == 1
    assert torch.equal(compared[0], w.images)


def test_without_light_the_network_sees_them_as_they_are() -> None:
    trainer = Trainer(weights.load("vggt-s").model, TrainConfig(mirrors=False, light=0.0), LossConfig())
    w, shown = window(), list[torch.Tensor]()
    trainer.geometry(w)
    trainer.model.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    trainer.window_loss(w)
    assert torch.equal(shown[0][0], w.images)
