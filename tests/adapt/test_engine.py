"""Rounds on a video of a world that the network never saw: commits and rollbacks, corrupted input, its own process."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from waiting import HANG_S, until

from vgslam.adapt.adapter import AdaptConfig, Adapter, Committed
from vgslam.adapt.losses import LossConfig, pose_loss, sparse_depth_loss
from vgslam.adapt.online import OnlineAdaptation, Served
from vgslam.adapt.safeguards import Limits, Probe, measure, objections
from vgslam.adapt.served import guess
from vgslam.adapt.trainer import Trainable, TrainConfig, Trainer, apply_state, copy_of
from vgslam.adapt.windows import ScreenConfig, Skip, Window, make_window
from vgslam.adapt.worker import WINDOWS, BackgroundAdapter, read_committed, write_committed
from vgslam.geometry.camera import Camera
from vgslam.network import weights
from vgslam.network.lora import load_adapter
from vgslam.network.pose_encoding import decode_pose
from vgslam.network.readout import relative_to_first
from vgslam.network.vggt import Vggt
from vgslam_train.worlds.sequences import Shot, render_sequence

Video = tuple[list[np.ndarray], Camera]
WIDE = Limits(10.0, 180.0, 1e9, tolerance=1e9, min_probes=2)
"""Anything finite passes."""
CONFIG = AdaptConfig(TrainConfig(steps=2), LossConfig(), WIDE, ScreenConfig(), window_every=2)
LOADED = weights.load("vggt-s")


@pytest.fixture(scope="module")
def video() -> Video:
    """A world that was not trained on, seen through a lens wider than most."""
    camera = Camera.from_fov(160, 120, 100.0)
    film = render_sequence("clutter", "orbit", 48, 900011, camera, Shot(rate_hz=6.0, supersample=1))
    return list(film.images), camera


@pytest.fixture
def model() -> Vggt:
    return copy_of(LOADED.model, False)


def feed(adapter: Adapter | BackgroundAdapter, images: list[np.ndarray], camera: Camera) -> None:
    for k in range(0, len(images) - 3, 4):
        adapter.observe(images[k : k + 4], range(k, k + 4), camera)


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def outputs(model: Vggt) -> list[torch.Tensor]:
    images = torch.rand(1, 2, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        out = model(images, model.heads)
    return [out.depth, out.pose_encoding, out.flow.displacement]


def test_g16_a_window_is_learned(model: Vggt, video: Video) -> None:
    """What its matched points say is fitted, and the head's poses and the depth come close to it."""
    window = make_window(video[0][:4], range(4), video[1], model.config)
    assert isinstance(window, Window)
    config = LossConfig(flow=0.0)
    train = TrainConfig(Trainable.ALL, steps=40, n_targets=1, ema=0.0, mirrors=False, light=0.0)
    trainer = Trainer(model, train, config)
    geometry = trainer._lesson(window).geometry
    assert geometry is not None

    def errors(network: Vggt) -> tuple[float, float]:
        with torch.no_grad():
            out = network(window.images[None], network.heads)
        T = relative_to_first(decode_pose(out.pose_encoding))[0]
        median = float(out.depth.median())
        return float(sparse_depth_loss(out.depth[0], geometry)), float(pose_loss(T, geometry, median))

    before = errors(trainer.model)
    trainer.run_round([window], 1e-3)
    after = errors(trainer.model)
    assert after[0] < before[0] / 2
    assert after[1] < before[1] / 3


def test_a_strange_world_is_learned_and_held_back_windows_get_better(model: Vggt, video: Video, tmp_path: Path) -> None:
    untouched, before = {k: v.clone() for k, v in model.state_dict().items()}, outputs(model)
    train = TrainConfig(steps=40, learning_rate=3e-3, ema=0.9)
    adapter = Adapter(model, AdaptConfig(train, limits=Limits(min_probes=3), window_every=4), LOADED.info.sha256)
    feed(adapter, *video)
    commits = [e for e in adapter.events if e.kind == "commit"]
    assert commits, adapter.events
    for event in commits:
        assert event.photometric[1] < event.photometric[0]
        assert event.epipolar_px[1] <= event.epipolar_px[0]
        assert event.scale_drift < 0.05
        assert event.pose_change[0] < Limits.rotation_deg
    committed = adapter.poll()
    assert committed is not None
    assert adapter.poll() is None
    assert same(untouched, dict(model.state_dict()))
    adapter.save(tmp_path / "adapter.safetensors")
    loaded = copy_of(model, False)
    assert load_adapter(loaded, tmp_path / "adapter.safetensors", LOADED.info.sha256) == committed.step
    apply_state(model, committed.state, train)
    assert all(torch.equal(a, b) for a, b in zip(outputs(model), outputs(loaded), strict=True))
    assert not torch.equal(before[0], outputs(model)[0])


def test_the_same_windows_give_the_same_weights(model: Vggt, video: Video) -> None:
    states = []
    for _ in range(2):
        adapter = Adapter(model, CONFIG)
        feed(adapter, video[0][:20], video[1])
        committed = adapter.poll()
        assert committed is not None, adapter.events
        states.append(committed.state)
    assert same(*states)


def test_two_rollbacks_stop_it_and_halve_the_step(model: Vggt, video: Video) -> None:
    limits = replace(WIDE, scale_drift=-1.0)
    adapter = Adapter(model, replace(CONFIG, limits=limits, window_every=1))
    start = adapter.trainer.state()
    feed(adapter, *video)
    rounds = [e for e in adapter.events if e.kind == "rollback"]
    rate = CONFIG.train.learning_rate
    assert [e.learning_rate for e in rounds] == [rate, rate / 2]
    assert adapter.events[-1].kind == "stop"
    assert adapter.is_stopped
    assert adapter.poll() is None
    assert same(start, adapter.trainer.state())


def test_time_is_limited(model: Vggt, video: Video) -> None:
    adapter = Adapter(model, replace(CONFIG, max_train_s=0.0))
    feed(adapter, *video)
    assert [e.kind for e in adapter.events] == ["commit", "stop"]


def _corrupt(kind: str, images: list[np.ndarray]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "random": [rng.integers(0, 255, x.shape, np.uint8) for x in images], "frozen": [images[0]] * len(images),
        "dark": [x // 40 for x in images], "lights go out": [x if k % 4 < 2 else x // 40 for k, x in enumerate(images)],
        "turned over": [x if k % 2 else np.ascontiguousarray(x[::-1, ::-1]) for k, x in enumerate(images)],
    }[kind]  # fmt: skip


@pytest.mark.parametrize("kind", ["random", "frozen", "dark", "lights go out", "turned over"])
def test_corrupted_video_is_not_learned_from(kind: str, model: Vggt, video: Video) -> None:
    before = outputs(model)
    adapter = Adapter(model, CONFIG)
    feed(adapter, _corrupt(kind, video[0]), video[1])
    assert {e.kind for e in adapter.events} == {"skip"}
    assert adapter.poll() is None
    assert all(torch.equal(a, b) for a, b in zip(before, outputs(model), strict=True))


def test_a_camera_that_only_turns_is_skipped(video: Video) -> None:
    images, camera = video
    K = camera.K
    turned = []
    for a in (0.0, 0.03, 0.06, 0.09):
        R = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
        turned.append(cv2.warpPerspective(images[0], K @ R @ np.linalg.inv(K), (160, 120), borderMode=2))
    assert make_window(turned, range(4), camera, LOADED.model.config) is Skip.ROTATION_ONLY


def test_figures_that_are_not_finite_are_objections(model: Vggt, video: Video) -> None:
    window = make_window(video[0][:4], range(4), video[1], model.config)
    assert isinstance(window, Window)
    m = measure(model, [Probe(window, None)], CONFIG.loss)
    assert objections(m, m, replace(m, epipolar_px=float("nan")), WIDE)
    assert objections(m, m, replace(m, photometric=float("nan")), WIDE)


def test_online_the_served_network_changes_between_frames_only_by_commits(model: Vggt, video: Video) -> None:
    served = Served(model, "m", LOADED.info.sha256)
    config = replace(CONFIG, limits=replace(WIDE, min_probes=1), window_every=1)
    online = OnlineAdaptation(served, Adapter(model, config, "x"), config.train)
    now, n_changes = outputs(model), 0
    for k, image in enumerate(video[0]):
        has_changed = online.at_frame(image, k, video[1])
        n_changes += has_changed
        then = outputs(model)
        assert has_changed != all(torch.equal(a, b) for a, b in zip(now, then, strict=True))
        now = then
    report = online.report()
    assert n_changes == report["n_commits"] > 0
    assert report["model_id"] == f"m+adapt{online.step}"
    commits = [e for e in online.adapter.events if e.kind == "commit"]
    assert report["line"].startswith(f"{n_changes} commit(s), {report['n_rollbacks']} rollback(s), {online.step} steps")
    assert report["line"].endswith(f"epipolar error {commits[-1].epipolar_px[0]:.3f} -> "
                                   f"{commits[-1].epipolar_px[1]:.3f} px")  # fmt: skip


def test_committed_files(tmp_path: Path) -> None:
    c = Committed(40, {"a.lora_A": torch.rand(3, 2)})
    write_committed(tmp_path / "c.safetensors", c)
    back = read_committed(tmp_path / "c.safetensors")
    assert back.step == 40
    assert same(back.state, c.state)


@pytest.mark.slow
def test_killed_in_the_middle_of_a_round(tmp_path: Path, model: Vggt, video: Video) -> None:
    """The first round commits; the worker is killed while later ones run. What was committed is whole and can be
    served, and observing goes on without the worker."""
    config = replace(CONFIG, train=TrainConfig(steps=4))
    adapter = BackgroundAdapter(model, tmp_path, config)
    committed, k, ends = None, 0, time.monotonic() + HANG_S
    while committed is None and time.monotonic() < ends:
        if len(list(tmp_path.glob(WINDOWS))) < 4 and k + 4 <= len(video[0]):
            adapter.observe(video[0][k : k + 4], range(k, k + 4), video[1])
            k += 4
        time.sleep(0.05)
        committed = adapter.poll()
    assert committed is not None, adapter.events
    for i in range(3):  # work for another round
        adapter.observe(video[0][i : i + 4], range(100 + 4 * i, 104 + 4 * i), video[1])
    time.sleep(0.3)
    adapter.process.kill()
    adapter.process.join()
    stored = read_committed(tmp_path / "committed.safetensors")
    assert stored.step >= committed.step
    assert all(bool(torch.isfinite(v).all()) for v in stored.state.values())
    apply_state(model, stored.state, config.train)
    window = make_window(video[0][:4], range(4), video[1], model.config)
    assert isinstance(window, Window)
    assert torch.isfinite(guess(model, window).depth).all()
    for _ in range(3):
        adapter.observe(video[0][:4], range(4), video[1])
        adapter.poll()
    adapter.close()
    assert [e.reasons[0] for e in adapter.events if e.kind == "died"] == [
        "it was killed by SIGKILL, as the system does for want of memory"
    ]


@pytest.fixture
def worker(model: Vggt, tmp_path: Path) -> Iterator[BackgroundAdapter]:
    """One that waits for windows, and never trains: too few are asked for."""
    adapter = BackgroundAdapter(model, tmp_path, replace(CONFIG, window_every=1000))
    yield adapter
    adapter.close()


def end_of(worker: BackgroundAdapter) -> None:
    """Waits until the process is no more."""
    worker.process.join(HANG_S)
    assert not worker.process.is_alive()


def deaths(worker: BackgroundAdapter) -> list[str]:
    return ["; ".join(e.reasons) for e in worker.events if e.kind == "died"]


def test_a_killed_worker_is_told_of_once_and_tracking_goes_on(worker: BackgroundAdapter, video: Video) -> None:
    """More windows come than may wait: none of them counts as dropped by a worker that is behind."""
    served = Served(worker_model := copy_of(LOADED.model, False), "m", LOADED.info.sha256)
    online = OnlineAdaptation(served, worker, CONFIG.train)
    before = outputs(worker_model)
    online.at_frame(video[0][0], 0, video[1])
    worker.process.kill()
    end_of(worker)
    for k, image in enumerate(video[0][1:], start=1):
        assert not online.at_frame(image, k, video[1])
    for i in range(6):
        worker.observe(video[0][:4], range(100 + 4 * i, 104 + 4 * i), video[1])
    assert len(deaths(worker)) == 1
    assert "SIGKILL" in deaths(worker)[0]
    assert not [e for e in worker.events if e.kind == "drop"]
    told = online.report()
    assert told["n_drops"] == 0
    assert [(row["event"], row["why"]) for row in told["events"]] == [("died", deaths(worker)[0])]
    assert len(online.warnings()) == 1
    assert "SIGKILL" in online.warnings()[0]
    assert all(torch.equal(a, b) for a, b in zip(before, outputs(worker_model), strict=True))
    online.finish()
    assert len(deaths(worker)) == 1


def test_a_worker_that_fails_says_why(worker: BackgroundAdapter, video: Video) -> None:
    """Told even if no other window comes: images of different sizes are more than it can bear."""
    worker.observe([video[0][0], video[0][1][:50, :50]], range(2), video[1])
    end_of(worker)
    worker.poll()
    worker.poll()
    assert len(deaths(worker)) == 1
    assert "error: " in deaths(worker)[0]
    assert ".size()" in deaths(worker)[0]


def test_ctrl_c_is_left_to_the_process_that_tracks(model: Vggt, video: Video, tmp_path: Path) -> None:
    """The signal comes while the first window is looked at: the next one is looked at too."""
    adapter = BackgroundAdapter(model, tmp_path, CONFIG)
    dark = [np.zeros_like(image) for image in video[0][:4]]
    adapter.observe(dark, range(4), video[1])

    def has_events(n: int) -> bool:
        adapter.poll()
        return len(adapter.events) >= n

    until(lambda: has_events(1))  # it has begun to work
    pid = adapter.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGINT)
    adapter.observe(dark, range(4, 8), video[1])
    until(lambda: has_events(2))
    adapter.close()
    assert [(e.kind, e.frame_id) for e in adapter.events] == [("skip", 3), ("skip", 7)]


def test_a_worker_that_was_closed_has_not_died(worker: BackgroundAdapter) -> None:
    worker.close()
    worker.poll()
    assert not deaths(worker)


def test_lessons_are_kept_of_the_windows_that_are_kept(model: Vggt, video: Video) -> None:
    """Memory for one window to train on: the others go, and with them what was worked out for them."""
    window = make_window(video[0][:4], range(4), video[1], model.config)
    assert isinstance(window, Window)
    limits = replace(WIDE, min_probes=1)
    adapter = Adapter(model, replace(CONFIG, limits=limits, window_every=1, memory_bytes=window.n_bytes()))
    n_largest = 0
    for k in range(0, 24, 4):
        adapter.observe(video[0][k : k + 4], range(k, k + 4), video[1])
        kept = {w.frame_ids for w in (*adapter._windows, *adapter.probes)}
        assert set(adapter.trainer._lessons) <= kept
        n_largest = max(n_largest, len(adapter.trainer._lessons))
    assert adapter.n_training_windows == 1
    assert adapter._n_seen == 6
    assert 1 < n_largest < 6
    adapter.close()
    assert set(adapter.trainer._lessons) <= {w.frame_ids for w in adapter.probes}
