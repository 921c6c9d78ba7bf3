"""A start from a network's depth: what tracks that it has not seen say for it and against it, and when it is asked."""

import numpy as np
import pytest

from vgslam.frontend.network_start import FIRST_ASK_S, MOST_BETWEEN_S, AskTimes, try_depth, verified_start
from vgslam.geometry import se3
from vgslam.types import Array, Camera, MadeBy, WindowInput, WindowPrediction

CAMERA = Camera.from_fov(320, 240, 70.0)
T_FIRST_CAM = se3.from_rt(se3.so3_exp(np.array([0.02, -0.05, 0.01])), np.array([0.15, 0.02, 0.0]))
CELLS = (60, 80)


class Scene:
    """Points of depths from 1 to `farthest` in a first view, seen with some noise in a second one."""

    def __init__(
        self, n: int = 120, noise_px: float = 0.3, moved: bool = True, seed: int = 0, farthest: float = 4.0
    ) -> None:
        rng = np.random.default_rng(seed)
        self.depth = np.exp(rng.uniform(0, np.log(farthest), CELLS)).astype(np.float32)
        px = np.stack([rng.uniform(20, 300, n), rng.uniform(20, 220, n)], axis=1)
        v, u = CAMERA.cell_at(px, CELLS)
        self.T = T_FIRST_CAM if moved else se3.from_rt(T_FIRST_CAM[:3, :3], np.zeros(3))
        X = CAMERA.rays(px) * self.depth[v, u][:, None].astype(np.float64)
        seen = CAMERA.project(se3.transform(se3.inverse(self.T), X)) + rng.normal(0, noise_px, (n, 2))
        ids = np.arange(n)
        image = np.zeros((240, 320, 3), np.uint8)
        self.window = WindowInput(
            np.array([3, 9]), [image, image], CAMERA, np.repeat([0, 1], n), np.tile(ids, 2), np.concatenate([px, seen])
        )
        self.rng = rng

    def prediction(
        self, log_error: float = 0.0, depth: Array | None = None, T: Array | None = None
    ) -> WindowPrediction:
        """The true depth with an error, or another one; the pose is 3 degrees off."""
        true = self.depth if depth is None else depth
        wrong = (true * np.exp(self.rng.normal(0, log_error, CELLS))).astype(np.float32)
        wrong = np.stack([wrong / np.median(wrong)] * 2)
        off = se3.from_rt(se3.so3_exp(np.array([0.0, 0.05, 0.0])), np.zeros(3))
        poses = np.stack([np.eye(4), (self.T if T is None else T) @ off])
        return WindowPrediction(
            np.array([3, 9]), poses, [CAMERA.resized(80, 60)] * 2, wrong, np.full((2, *CELLS), 0.9, np.float32),
            made_by=MadeBy.NETWORK,
        )  # fmt: skip


@pytest.mark.parametrize("error", [0.1, 0.25])
def test_a_depth_that_the_tracks_agree_with_is_believed_with_the_error_that_it_has(error: float) -> None:
    scene = Scene()
    found = verified_start(scene.prediction(error), scene.window)
    assert found is not None
    assert found.landmark_rel_sigma[0] == pytest.approx(error, rel=0.5)
    assert np.ptp(found.landmark_rel_sigma) == 0
    turned = found.T_window_cam[1][:3, :3].T @ scene.T[:3, :3]
    assert se3.angle_deg(turned) < 1.0
    t, true = found.T_window_cam[1][:3, 3], scene.T[:3, 3]
    assert t @ true / np.linalg.norm(t) / np.linalg.norm(true) > 0.98
    rays = CAMERA.rays(scene.window.track_px[:120])[found.landmark_ids]
    np.testing.assert_allclose(found.landmarks / found.landmarks[:, 2:], rays, atol=1e-9)


def test_a_late_answer_serves_with_another_second_view() -> None:
    """What counts is the depth of the first view; its own second view was another one."""
    scene = Scene()
    assert verified_start(scene.prediction(0.1, T=np.eye(4)), scene.window) is not None


def test_a_depth_of_another_scene_is_not_believed() -> None:
    scene, other = Scene(), Scene(seed=5)
    assert verified_start(scene.prediction(depth=other.depth), scene.window) is None
    assert verified_start(scene.prediction(1.0), scene.window) is None


def test_a_depth_that_says_no_more_than_that_all_is_equally_far_is_not_believed() -> None:
    """The scene is nearly flat, and the same depth everywhere nearly right; only the true one is believed."""
    scene = Scene(farthest=1.6)
    assert verified_start(scene.prediction(0.01, depth=np.full(CELLS, 2.0)), scene.window) is None
    assert verified_start(scene.prediction(0.01), scene.window) is not None


def test_a_depth_that_scatters_more_than_a_guess_is_not_believed() -> None:
    """Far better than the same depth everywhere, and off by a factor of e^0.6 all the same."""
    scene = Scene(n=400, farthest=40.0)
    assert verified_start(scene.prediction(0.6), scene.window) is None
    assert verified_start(scene.prediction(0.2), scene.window) is not None


def test_without_parallax_nothing_tells_whether_the_depth_is_right() -> None:
    scene = Scene(moved=False)
    assert verified_start(scene.prediction(), scene.window) is None


def test_tracks_that_fit_no_pose_are_against_it() -> None:
    scene = Scene(noise_px=6.0)
    assert verified_start(scene.prediction(), scene.window) is None


def test_few_tracks_are_no_witnesses() -> None:
    assert verified_start(Scene(n=38).prediction(), Scene(n=38).window) is None
    scene = Scene(n=60)
    assert verified_start(scene.prediction(), scene.window) is not None


def test_half_of_the_tracks_is_held_out() -> None:
    """Tracks that are right where the pose is fitted and wrong elsewhere: the errors are those of the others."""
    scene = Scene(noise_px=0.0)
    px, seen = scene.window.track_px[:120], scene.window.track_px[120:].copy()
    v, u = CAMERA.cell_at(px, CELLS)
    z = scene.depth[v, u].astype(np.float64)
    seen[1::2] += 10.0
    trial = try_depth(CAMERA, px, seen, z, scene.T)
    assert len(trial.errors_px) == 60
    np.testing.assert_allclose(trial.errors_px, np.hypot(10, 10), atol=0.1)


def test_depths_that_are_twice_too_small_are_measured_so() -> None:
    """At the true pose and half the depth, the motion shows a factor of two."""
    from vgslam.frontend.network_start import _held_out

    scene = Scene(noise_px=0.0)
    px, seen = scene.window.track_px[:120], scene.window.track_px[120:]
    v, u = CAMERA.cell_at(px, CELLS)
    X = CAMERA.rays(px) * 0.5 * scene.depth[v, u][:, None].astype(np.float64)
    trial = _held_out(CAMERA, se3.inverse(scene.T), X, seen)
    assert np.median(trial.log_ratio) == pytest.approx(np.log(2.0), rel=0.1)
    assert np.median(trial.across_px) < 0.1
    assert trial.rel_sigma < 0.1


def test_it_is_asked_after_half_a_second_and_then_ever_less_often() -> None:
    times, asked = AskTimes(), []
    for t in np.arange(0.0, 12.0, 0.1):
        times.see(float(t))
        if times.is_due(float(t)):
            asked.append(float(t))
            times.asked(float(t))
    gaps = np.diff(asked)
    assert asked[0] == pytest.approx(FIRST_ASK_S)
    assert (np.diff(gaps) > -0.11).all()
    assert gaps.max() <= MOST_BETWEEN_S + 0.11
    assert len(asked) < 10


def test_it_is_asked_before_that_when_the_first_view_leaves_but_once() -> None:
    times = AskTimes()
    times.see(5.0)
    assert not times.is_due(5.1)
    assert times.is_due(5.1, is_leaving=True)
    times.asked(5.1)
    assert not times.is_due(5.2, is_leaving=True)
    assert times.is_due(5.1 + FIRST_ASK_S)
