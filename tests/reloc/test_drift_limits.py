"""How much a loop may move the map: what drift over the path between its ends can be."""

import numpy as np
import pytest

from vgslam.frontend.features import FeatureConfig
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.locate import Recovered
from vgslam.reloc.loops import LoopConfig, LoopFinder, Meeting
from vgslam.reloc.places import Places
from vgslam.reloc.reach import DRIFT_KEYFRAMES
from vgslam.reloc.verifiers import open_verifier
from vgslam.types import Edge, EdgeKind, Keyframe

CONFIG = LoopConfig()
DEPTH = 1e-6
"""No allowance for the error of matching."""


def straight(n: int) -> SlamMap:
    """n + 1 keyframes, 1 apart."""
    m, image = SlamMap(), np.zeros((2, 3, 3), np.uint8)
    for k in range(n + 1):
        S = Sim3(np.eye(3), np.array([float(k), 0.0, 0.0]))
        keyframe = Keyframe(k, k, float(k), image, Camera(2.0, 2.0, 1.0, 0.5, 3, 2), S)
        m.add_keyframe(keyframe, np.zeros(0), np.zeros((0, 2)))
    return m


def may_be(n: int, shift_share: float, log_scale: float) -> bool:
    """Whether the last of n + 1 keyframes may be moved by a share of the path and scaled."""
    m = straight(n)
    places = Places(m)
    finder = LoopFinder(m, places, open_verifier(m, places, FeatureConfig(), CONFIG), CONFIG)
    S = Sim3(np.eye(3), np.array([n * (1 - shift_share), 0.0, 0.0]), float(np.exp(log_scale)))
    edge = Edge(0, n, S, np.ones(7), EdgeKind.LOOP)
    found = Recovered.__new__(Recovered)  # what was found in the image does not matter here
    return finder.is_drift(Meeting(edge, S, 30, DEPTH, found))


@pytest.mark.parametrize("n", [40, DRIFT_KEYFRAMES])
def test_up_to_some_keyframes_the_settings_hold(n: int) -> None:
    assert may_be(n, 0.99 * CONFIG.max_correction, 0.99 * CONFIG.max_log_scale)
    assert may_be(n, 0.99 * CONFIG.max_correction, -0.99 * CONFIG.max_log_scale)
    assert not may_be(n, 1.01 * CONFIG.max_correction, 0.0)
    assert not may_be(n, 0.0, 1.01 * CONFIG.max_log_scale)


def test_on_a_longer_path_drift_may_be_larger_in_proportion() -> None:
    n = 2 * DRIFT_KEYFRAMES
    assert may_be(n, 1.98 * CONFIG.max_correction, -1.98 * CONFIG.max_log_scale)
    assert not may_be(n, 2.02 * CONFIG.max_correction, 0.0)
    assert not may_be(n, 0.0, 2.02 * CONFIG.max_log_scale)


def test_never_by_most_of_the_path() -> None:
    assert not may_be(5 * DRIFT_KEYFRAMES, 0.55, 0.0)
