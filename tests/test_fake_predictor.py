"""The predictor driven by ground truth: exact without noise, and disturbed as its noise says."""

from dataclasses import replace

import numpy as np
import pytest
from fake_predictor import FakeNoise, FakePredictor
from synthetic import CAMERA, pose, pose_error

from vgslam.geometry import se3
from vgslam.types import Array, WindowInput, WindowPrediction

IDS = (3, 8, 11, 20)
TRUTH = {i: pose((0, 2.0 * i, i), (0.3 * i, 0.1 * i, 5.0 - 0.2 * i)) for i in IDS}
WINDOW = WindowInput(np.array(IDS), [np.zeros((240, 320, 3), np.uint8)] * len(IDS), CAMERA)


def depth_of(frame_id: int) -> np.ndarray:
    return np.full((30, 40), 4.0 + 0.01 * frame_id, np.float32) + np.linspace(-1, 1, 40, dtype=np.float32)


def predict(noise: FakeNoise, seed: int = 0) -> WindowPrediction:
    found = FakePredictor(TRUTH, noise, seed, depth_of).predict(WINDOW)
    assert found is not None
    return found


def relative_truth() -> Array:
    return np.stack([se3.inverse(TRUTH[IDS[0]]) @ TRUTH[i] for i in IDS])


def test_without_noise_it_tells_the_truth_in_its_gauge() -> None:
    found = predict(FakeNoise())
    T = found.T_window_cam.copy()
    T[:, :3, 3] *= found.raw_scale
    np.testing.assert_allclose(T, relative_truth(), atol=1e-9)
    assert np.median(found.depth[found.depth > 0]) == pytest.approx(1.0, rel=1e-6)
    np.testing.assert_allclose(found.raw_scale * found.depth[1], depth_of(IDS[1]), rtol=1e-5)
    assert found.is_metric
    assert (found.cameras[0].width, found.cameras[0].height) == (40, 30)
    np.testing.assert_array_equal(found.frame_ids, IDS)


@pytest.mark.parametrize("name", ["translation", "rotation_deg", "depth"])
def test_each_noise_disturbs_its_own_part_by_its_own_size(name: str) -> None:
    level = {"translation": 0.05, "rotation_deg": 1.0, "depth": 0.1}[name]
    moved: dict[str, list[float]] = {"translation": [], "rotation_deg": [], "depth": []}
    for seed in range(60):
        found = predict(FakeNoise(**{name: level}), seed)
        T = found.T_window_cam.copy()
        T[:, :3, 3] *= found.raw_scale
        for estimate, truth in zip(T[1:], relative_truth()[1:]):
            angle, distance = pose_error(estimate, truth)
            moved["rotation_deg"].append(angle**2 / 3)
            moved["translation"].append((distance / np.linalg.norm(truth[:3, 3])) ** 2 / 3)
        moved["depth"].append(float(np.log(found.raw_scale * found.depth[2] / depth_of(IDS[2])).var()))
        np.testing.assert_array_equal(found.T_window_cam[0], np.eye(4))
    for part, squares in moved.items():
        if part == name:
            assert np.sqrt(np.mean(squares)) == pytest.approx(level, rel=0.2)
        elif (part, name) == ("translation", "depth"):
            continue  # depth noise moves the median depth, and so the unit
        else:
            assert np.sqrt(np.mean(squares)) < 1e-3 * {"translation": 1, "rotation_deg": 1, "depth": 1}[part]


def test_scale_drifts_from_window_to_window() -> None:
    predictor = FakePredictor(TRUTH, FakeNoise(scale=0.1), 1, depth_of)
    logs = []
    for _ in range(200):
        found = predictor.predict(WINDOW)
        assert found is not None
        raw = found.raw_scale * np.linalg.norm(found.T_window_cam[-1, :3, 3])
        logs.append(np.log(raw / np.linalg.norm(relative_truth()[-1, :3, 3])))
    steps = np.diff(logs)
    assert np.std(steps) == pytest.approx(0.1, rel=0.25)
    assert abs(np.corrcoef(steps[:-1], steps[1:])[0, 1]) < 0.25  # a random walk: its steps know nothing of each other


def test_same_seed_same_answers() -> None:
    noise = FakeNoise(0.05, 1.0, 0.1, 0.1)
    np.testing.assert_array_equal(predict(noise, 5).T_window_cam, predict(noise, 5).T_window_cam)
    assert np.abs(predict(noise, 5).T_window_cam - predict(noise, 6).T_window_cam).max() > 1e-4


def test_a_frame_without_truth_is_refused() -> None:
    with pytest.raises(KeyError):
        FakePredictor(TRUTH, FakeNoise()).predict(replace(WINDOW, frame_ids=np.array([3, 8, 11, 99])))
