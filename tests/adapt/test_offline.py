"""How a recording is shared out."""

import itertools

import pytest
import torch

from vgslam.adapt import offline
from vgslam.adapt.adapter import AdaptConfig, Adapter
from vgslam.adapt.collector import Frames
from vgslam.adapt.windows import Window
from vgslam.errors import InputError
from vgslam.geometry.camera import Camera
from vgslam.network import weights

CAMERA = Camera(60.0, 60.0, 31.5, 23.5, 64, 48)


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> Adapter:
    """Every window is usable."""

    def make(images: object, frame_ids: tuple[int, ...], *_: object) -> Window:
        return Window(frame_ids, torch.zeros(4, 3, 48, 64), torch.eye(3), ())

    monkeypatch.setattr(offline, "make_window", make)
    return Adapter(weights.load("vggt-s").model, AdaptConfig(max_probes=16))


def overlapping(n: int) -> list[Frames]:
    return [Frames((), tuple(range(2 * k, 2 * k + 4)), CAMERA) for k in range(n)]


@pytest.mark.parametrize("n", [14, 19, 60, 300])
def test_what_is_held_back_is_spread_and_shares_no_frame_with_training(adapter: Adapter, n: int) -> None:
    offline.collect(adapter, overlapping(n))
    assert 4 <= len(adapter.probes) <= 16
    assert adapter.n_training_windows >= n / 4
    shown = set(itertools.chain(*(w.frame_ids for w in adapter._windows)))
    kept = [set(p.frame_ids) for p in adapter.probes]
    assert not any(shown & ids for ids in kept)
    first = [p.frame_ids[0] / (2 * n) for p in adapter.probes]
    assert min(first) < 0.4
    assert max(first) > 0.6


def test_too_little_is_said(adapter: Adapter) -> None:
    with pytest.raises(InputError, match="too little to learn from"):
        offline.collect(adapter, overlapping(5))
