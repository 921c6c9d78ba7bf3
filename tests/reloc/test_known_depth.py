"""A place is not found by landmarks of guessed depth, unless nothing else is known there."""

from typing import Any

import numpy as np
import pytest

from vgslam.frontend.features import FeatureConfig
from vgslam.frontend.tracker import TrackResult
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.guessed_depth import is_guessed
from vgslam.reloc.localization import Evidence, Localization
from vgslam.reloc.locate import Recovered
from vgslam.reloc.places import Places
from vgslam.reloc.relocalizer import Relocalizer
from vgslam.system import SlamSystem
from vgslam.types import Ids, Keyframe

CAMERA = Camera.from_fov(32, 24, 60.0)


def made(n: int, components: tuple[int, ...] = (0,)) -> SlamMap:
    """A keyframe of each of the components, each with n landmarks of guessed depth."""
    m = SlamMap()
    for k, component in enumerate(components):
        image = np.zeros((24, 32, 3), np.uint8)
        m.add_keyframe(
            Keyframe(k, k, float(k), image, CAMERA, Sim3.from_T(np.eye(4)), component), np.zeros(0, np.int64),
            np.zeros((0, 2)),
        )  # fmt: skip
        m.landmarks.add(k, np.ones((n, 3)), np.full(n, 0.5), np.zeros((n, 3), np.uint8))
    return m


def found(ids: Ids, component: int = 0) -> Localization:
    evidence = Evidence(len(ids), 1.0, 1.0, 16, 8)
    pixels = np.zeros((len(ids), 2), np.float32)
    return Localization(np.eye(4), np.eye(6), evidence, "pnp", (0,), 0, component, ids, pixels, depth=1.0)


@pytest.mark.parametrize(("n_known", "expected"), [(0, True), (19, True), (20, False), (100, False)])
def test_twenty_known_depths_are_enough(n_known: int, expected: bool) -> None:
    m = made(200)
    m.landmarks.is_triangulated[:n_known] = True
    m.landmarks.is_triangulated[150:] = True  # known elsewhere in the component
    assert is_guessed(m, np.arange(100), 0) == expected


@pytest.mark.parametrize(("n_known", "expected"), [(6, True), (7, False)])
def test_few_landmarks_need_as_many_known_ones_as_guessed_ones(n_known: int, expected: bool) -> None:
    m = made(200)
    m.landmarks.is_triangulated[:n_known] = True
    m.landmarks.is_triangulated[150:] = True
    assert is_guessed(m, np.arange(14), 0) == expected


@pytest.mark.parametrize(("rel_sigma", "expected"), [(0.29, False), (0.3, True)])
def test_a_depth_that_a_network_gave_is_known(rel_sigma: float, expected: bool) -> None:
    m = made(200)
    m.landmarks.rel_sigma[:40] = rel_sigma
    m.landmarks.is_triangulated[150:] = True
    assert is_guessed(m, np.arange(100), 0) == expected


@pytest.mark.parametrize(("n_elsewhere", "expected"), [(19, False), (20, True)])
def test_a_camera_that_only_turned_is_found_by_its_rotation(n_elsewhere: int, expected: bool) -> None:
    """Twenty known depths in the component make guesses doubtful; those of another one do not."""
    m = made(200, components=(0, 1))
    m.landmarks.is_triangulated[200:] = True
    m.landmarks.is_triangulated[100 : 100 + n_elsewhere] = True
    assert is_guessed(m, np.arange(100), 0) == expected


def test_the_relocalizer_does_not_accept_guesses_however_good_the_evidence() -> None:
    m = made(200)
    m.landmarks.is_triangulated[150:] = True
    relocalizer = Relocalizer(m, Places(m), FeatureConfig())
    assert not relocalizer.accepts(found(np.arange(100)))
    m.landmarks.is_triangulated[:60] = True
    assert relocalizer.accepts(found(np.arange(100)))


@pytest.mark.parametrize(("agreements", "expected"), [
    ([], False), ([0.69, 0.69, 1.0], False), ([0.71, 0.71, 0.0], True),
])  # fmt: skip
def test_guesses_confirm_a_pose_only_with_the_epipolar_geometry(
    agreements: list[float], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Landmarks of guessed depth fit almost any pose: that they are found says nothing of the one asked about."""
    m = made(200)
    m.landmarks.is_triangulated[150:] = True
    relocalizer = Relocalizer(m, Places(m), FeatureConfig())
    monkeypatch.setattr(relocalizer, "_agreements", lambda *_: agreements)
    seen = Recovered(np.eye(4), np.eye(6), np.arange(100), np.zeros((100, 2), np.float32), 0, 1.0)
    view: Any = None
    assert relocalizer.confirms(view, CAMERA, seen, 0) == expected
    m.landmarks.is_triangulated[:20] = True
    assert relocalizer.confirms(view, CAMERA, seen, 0)


def test_a_weak_pose_is_believed_only_if_the_map_confirms_it(monkeypatch: pytest.MonkeyPatch) -> None:
    slam = SlamSystem(CAMERA, slam_map=made(200))
    seen = Recovered(np.eye(4), np.eye(6), np.arange(100), np.zeros((100, 2), np.float32), 0, 1.0)
    monkeypatch.setattr(slam.nearby, "look_again", lambda *_: seen)
    view: Any = None
    nothing = np.zeros(0, np.int64), np.zeros((0, 2), np.float32)
    weak = TrackResult(False, np.eye(4), np.eye(6), *nothing, n_inliers=0, ratio=0.0, survived=1.0)
    monkeypatch.setattr(slam.relocalizer, "confirms", lambda *_: False)
    assert slam._confirmed(view, weak) is None
    monkeypatch.setattr(slam.relocalizer, "confirms", lambda *_: True)
    believed = slam._confirmed(view, weak)
    assert believed is not None
    assert believed.n_inliers == 100
