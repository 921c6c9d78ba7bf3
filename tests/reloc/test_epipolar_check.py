"""A pose agrees with matches exactly where their epipolar geometry is its own."""

from types import SimpleNamespace

import numpy as np
import pytest
from hand_map import at, hand_map

from vgslam.frontend.features import FeatureConfig
from vgslam.frontend.matching import ImageFeatures
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.reloc import relocalizer as module
from vgslam.reloc.epipolar_check import MIN_MATCHES, Matched, Support, epipolar_agreement, speaks_against
from vgslam.reloc.places import Places
from vgslam.reloc.relocalizer import Relocalizer

CAMERA = Camera.from_fov(640, 480, 65.0)


def matched(T: np.ndarray, seed: int = 0) -> Matched:
    rng = np.random.default_rng(seed)
    px = rng.uniform([20, 20], [620, 460], (150, 2))
    X = CAMERA.rays(px) * rng.uniform(2.0, 8.0, (150, 1))
    return Matched(px, CAMERA.project(se3.transform(T, X)) + rng.normal(0, 1.0, (150, 2)), CAMERA, CAMERA)


@pytest.mark.parametrize("xi", [[0, 0.1, 0, 1, 0, 0], [0.05, 0, 0.02, 0, 0, 1], [0.0, -0.2, 0, 0.3, 0.6, -0.2]])
def test_the_right_pose_agrees_at_any_scale_and_a_wrong_one_does_not(xi):
    T = se3.exp(np.array(xi, float))
    assert epipolar_agreement(matched(T), T) > 0.98
    longer = T.copy()
    longer[:3, 3] *= 3.0
    assert epipolar_agreement(matched(T), longer) > 0.98
    turned = se3.exp(np.array([0.25, 0.1, 0.1, 0, 0, 0])) @ T
    assert epipolar_agreement(matched(T), turned) < 0.3


def test_without_a_baseline_or_matches_nothing_is_said():
    m = matched(np.eye(4))
    assert epipolar_agreement(m, np.eye(4)) == 1.0
    assert not speaks_against([])
    assert speaks_against([0.1, 0.2, 0.9])
    assert not speaks_against([0.1, 0.9, 0.8])


def test_support_is_relative_to_the_poses_before():
    support = Support()
    assert not support.is_thin(5)
    support.counts.extend([300, 400, 250])
    assert support.is_thin(60)
    assert not support.is_thin(150)
    support.counts.extend([60] * 8)
    assert not support.is_thin(60)


@pytest.mark.parametrize(
    ("n_inliers", "agreements", "asked", "contradicts"),
    [(150, [0.1, 0.1], 0, False), (60, [0.1, 0.1], 2, True), (60, [0.1, 0.9], 2, False), (60, [], 0, False)],
)
def test_a_pose_is_asked_about_where_it_has_few_inliers_and_of_its_own_component(
    n_inliers: int, agreements: list[float], asked: int, contradicts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of five keyframes are of the component; each has as many matches as are needed, and says so much."""
    slam_map = hand_map([at(x=0.1 * k) for k in range(5)])
    for k in (0, 1, 2):
        slam_map.keyframes[k].component_id = 3
    r = Relocalizer(slam_map, Places(slam_map), FeatureConfig())
    r.support.counts.extend([300, 400, 250])
    said, keyframes = iter(agreements), list[int]()
    nothing = ImageFeatures(np.zeros((0, 2)), np.zeros((0, 128), np.float32))
    monkeypatch.setattr(r, "_described", lambda gray: nothing)
    monkeypatch.setattr(r, "_features_of", lambda k: keyframes.append(k) or nothing)
    n = MIN_MATCHES if agreements else MIN_MATCHES - 1
    monkeypatch.setattr(module, "epipolar_matches", lambda *_: (np.zeros((n, 2)), np.zeros((n, 2))))
    monkeypatch.setattr(module, "epipolar_agreement", lambda *_: next(said))
    view = SimpleNamespace(gray=np.zeros((4, 4), np.uint8))
    assert r.contradicts(view, CAMERA, np.eye(4), n_inliers, 0) == contradicts  # type: ignore[arg-type]
    assert keyframes == ([3, 4] if asked or (not agreements and n_inliers == 60) else [])
