"""Rounds on a video: commits and rollbacks, corrupted input, the worker in its own process."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from adapt_scene import make_video

from vgslam.adapt.adapter import AdaptConfig, Adapter, Committed
from vgslam.adapt.losses import LossConfig
from vgslam.adapt.safeguards import Limits, objections
from vgslam.adapt.trainer import Trainable, TrainConfig, Trainer, apply_state
from vgslam.adapt.windows import ScreenConfig, Skip, Window, make_window
from vgslam.adapt.worker import BackgroundAdapter, read_committed, write_committed
from vgslam.geometry.camera import Camera
from vgslam.network.config import VGGT_S
from vgslam.network.vggt import Vggt, build

WIDE = Limits(10.0, 180.0, 1e9, tolerance=1e9, min_probes=2)
"""Anything finite passes."""
SCREEN = ScreenConfig(min_parallax_px=0.2)
CONFIG = AdaptConfig(TrainConfig(steps=3), LossConfig(mask_margin=None), WIDE, SCREEN, window_every=2)
"""Without auto-mask: a network with random weights says that nothing moves, and every pixel would be masked."""


@pytest.fixture(scope="module")
def video() -> tuple[list[np.ndarray], Camera]:
    return make_video(24)


@pytest.fixture
def model() -> Vggt:
    return build(VGGT_S, 0)


def feed(adapter: Adapter | BackgroundAdapter, images: list[np.ndarray], camera: Camera) -> None:
    for k in range(0, len(images) - 3, 4):
        adapter.observe(images[k : k + 4], range(k, k + 4), camera)


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.xfail(reason="from random weights the poses run out of view: every target is skipped", run=False)
def test_g16_a_small_network_overfits_a_window(model: Vggt, video: tuple) -> None:
    window = make_window(video[0][:4], range(4), video[1], VGGT_S)
    assert isinstance(window, Window)
    trainer = Trainer(model, TrainConfig(Trainable.ALL, steps=120, n_targets=4, ema=0.0), CONFIG.loss)
    losses: list[float] = []
    trainer.run_round([window], 1e-3, losses.append)
    assert np.mean(losses[-5:]) < np.max(losses[:20]) / 5


@pytest.mark.xfail(reason="open: no round commits on the rendered video yet; its windows are screened out", run=False)
def test_a_round_commits_is_repeatable_and_leaves_the_model_alone(model: Vggt, video: tuple) -> None:
    before = {k: v.clone() for k, v in model.state_dict().items()}
    states = []
    for _ in range(2):
        adapter = Adapter(model, CONFIG)
        feed(adapter, *video)
        committed = adapter.poll()
        assert committed is not None, adapter.events
        assert adapter.poll() is None
        assert committed.model_id("a") == f"a+adapt{committed.step}"
        states.append(committed.state)
    assert same(*states)
    assert same(before, dict(model.state_dict()))
    images = torch.rand(1, 2, 3, 48, 64)
    plain = model(images, model.heads).depth
    apply_state(model, states[0], CONFIG.train)
    assert not torch.equal(plain, model(images, model.heads).depth)


@pytest.mark.xfail(reason="open: no round commits on the rendered video yet; its windows are screened out", run=False)
def test_two_rollbacks_stop_it_and_halve_the_step(model: Vggt, video: tuple) -> None:
    adapter = Adapter(model, replace(CONFIG, limits=replace(WIDE, scale_drift=-1.0), window_every=1))
    start = adapter.trainer.state()
    feed(adapter, *video)
    rounds = [e for e in adapter.events if e.kind == "rollback"]
    assert [e.learning_rate for e in rounds] == [1e-3, 5e-4]
    assert adapter.events[-1].kind == "stop"
    assert adapter.is_stopped
    assert adapter.poll() is None
    assert same(start, adapter.trainer.state())


def _corrupt(kind: str, images: list[np.ndarray]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "random": [rng.integers(0, 255, x.shape, np.uint8) for x in images], "frozen": [images[0]] * len(images),
        "dark": [x // 40 for x in images],
    }[kind]  # fmt: skip


@pytest.mark.parametrize("kind", ["random", "frozen", "dark"])
def test_corrupted_video_is_not_learned_from(kind: str, model: Vggt, video: tuple) -> None:
    images = torch.rand(1, 2, 3, 48, 64)
    with torch.no_grad():
        before = model(images, model.heads)
        adapter = Adapter(model, CONFIG)
    feed(adapter, _corrupt(kind, video[0]), video[1])
    assert {e.kind for e in adapter.events} == {"skip"}
    assert adapter.poll() is None
    with torch.no_grad():
        after = model(images, model.heads)
    assert torch.equal(before.depth, after.depth)
    assert torch.equal(before.pose_encoding, after.pose_encoding)


def test_a_camera_that_only_turns_is_skipped(video: tuple) -> None:
    import cv2

    K = video[1].K
    images = []
    for a in (0.0, 0.02, 0.04, 0.06):
        R = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
        images.append(cv2.warpPerspective(video[0][0], K @ R @ np.linalg.inv(K), (160, 120), borderMode=2))
    assert make_window(images, range(4), video[1], VGGT_S) is Skip.ROTATION_ONLY


def test_figures_that_are_not_finite_are_objections(model: Vggt, video: tuple) -> None:
    from vgslam.adapt.safeguards import measure

    window = make_window(video[0][:4], range(4), video[1], VGGT_S)
    assert isinstance(window, Window)
    m = measure(model, [window], CONFIG.loss)
    assert objections(m, m, replace(m, epipolar_px=float("nan")), WIDE)
    assert objections(m, m, replace(m, photometric=float("nan")), WIDE)


def test_committed_files(tmp_path: Path) -> None:
    c = Committed(40, {"a.lora_A": torch.rand(3, 2)})
    write_committed(tmp_path / "c.safetensors", c)
    back = read_committed(tmp_path / "c.safetensors")
    assert back.step == 40
    assert same(back.state, c.state)


@pytest.mark.xfail(reason="open: no round commits on the rendered video yet; its windows are screened out", run=False)
@pytest.mark.slow
def test_killed_in_the_middle_of_a_round(tmp_path: Path, model: Vggt, video: tuple) -> None:
    """The first round commits; the worker is killed while later ones run."""
    adapter = BackgroundAdapter(model, tmp_path, CONFIG)
    committed, ends = None, time.monotonic() + 90
    for k in range(0, 21, 4):
        while adapter._windows.full():
            time.sleep(0.05)
        adapter.observe(video[0][k : k + 4], range(k, k + 4), video[1])
    while committed is None and time.monotonic() < ends:
        time.sleep(0.05)
        committed = adapter.poll()
    assert committed is not None
    feed(adapter, *video)
    time.sleep(0.1)
    adapter.process.kill()
    adapter.process.join()
    stored = read_committed(tmp_path / "committed.safetensors")
    assert stored.step >= committed.step
    assert all(bool(torch.isfinite(v).all()) for v in stored.state.values())
    apply_state(model, stored.state, CONFIG.train)
    adapter.observe(video[0][:4], range(4), video[1])
    adapter.close()
