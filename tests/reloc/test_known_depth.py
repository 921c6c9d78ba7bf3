"""A place is not found by landmarks of guessed depth, unless nothing else is known there."""

from types import SimpleNamespace

import numpy as np
import pytest

from vgslam.frontend.features import FeatureConfig
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.guessed_depth import is_guessed
from vgslam.reloc.localization import Evidence, Localization
from vgslam.reloc.locate import Recovered
from vgslam.reloc.nearby import NearbyLandmarks
from vgslam.reloc.places import Places
from vgslam.reloc.relocalizer import Relocalizer
from vgslam.reloc.relocalizer_config import RelocalizerConfig
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


def test_guesses_of_a_nearby_keyframe_confirm_no_pose(monkeypatch: pytest.MonkeyPatch) -> None:
    """They fit almost any pose, so that they say nothing of the one that is asked about."""
    m = made(200)
    m.landmarks.is_triangulated[150:] = True
    nearby = NearbyLandmarks(m, FeatureConfig(), RelocalizerConfig())
    seen = Recovered(np.eye(4), np.eye(6), np.arange(100), np.zeros((100, 2), np.float32), 0, 1.0)
    monkeypatch.setattr(nearby._again, "confirm", lambda *_: seen)
    view = SimpleNamespace(gray=np.zeros((24, 32), np.uint8))
    assert nearby.look_again(view, CAMERA, np.eye(4), 0) is None  # type: ignore[arg-type]
    m.landmarks.is_triangulated[:20] = True
    assert nearby.look_again(view, CAMERA, np.eye(4), 0) is seen  # type: ignore[arg-type]
