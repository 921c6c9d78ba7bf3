"""Keyframes that went astray, in rendered laps whose truth is known."""

import numpy as np
from two_laps import Lap, two_laps

from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import RefineConfig
from vgslam.refine.refine_map import refine_map
from vgslam.refine.strays import mend_strays
from vgslam.reloc.places import Places

STRAY = 7
FIXED = RefineConfig(is_calibration_fixed=True)
MOVE = se3.exp(np.array([0.0, 0.2, 0.0, 0.5, 0.0, 0.0]))


def lead_astray(m: SlamMap, k: int, n: int = 1000) -> None:
    """Keyframe k is elsewhere, and what it is thought to see, n landmarks at most, is nowhere near there."""
    S = m.keyframes[k].S_world_keyframe
    m.set_pose(k, Sim3.from_T(S.pose @ MOVE, S.s))
    seen = m.observed[k]
    m.unobserve(k, seen.ids)
    m.observe(k, seen.ids[:n], np.random.default_rng(0).uniform(20, 220, seen.pixels[:n].shape))


def test_a_stray_is_brought_back_to_where_others_see_it() -> None:
    w = two_laps(Lap(drift=0.0))
    m = w.slam_map
    lead_astray(m, STRAY)
    assert mend_strays(m, np.arange(24), Places(m)) == [STRAY]
    error = np.linalg.inv(w.T_world_cam[STRAY]) @ m.keyframes[STRAY].S_world_keyframe.pose
    assert np.linalg.norm(error[:3, 3]) < 0.1 * np.linalg.norm(MOVE[:3, 3])
    assert not m.landmarks.is_triangulated[m.landmarks.host == STRAY].any()
    step = m.keyframes[STRAY - 1].S_world_keyframe.inverse() @ m.keyframes[STRAY].S_world_keyframe
    assert np.allclose(m.edges[STRAY - 1, STRAY].S_a_b.pose, step.pose)


def test_a_map_without_strays_is_left_alone() -> None:
    m = two_laps(Lap(drift=0.0)).slam_map
    before = [k.S_world_keyframe.t.copy() for k in m.keyframes]
    assert mend_strays(m, np.arange(24), Places(m)) == []
    assert np.array_equal(before, [k.S_world_keyframe.t for k in m.keyframes])


def test_few_observations_in_the_right_place_are_no_reason_to_move() -> None:
    m = two_laps(Lap(drift=0.0)).slam_map
    m.unobserve(STRAY, m.observed[STRAY].ids[5:])
    assert mend_strays(m, np.arange(24), Places(m)) == []


def test_keyframes_in_a_row_that_went_elsewhere_together_are_no_strays() -> None:
    m = two_laps(Lap(drift=0.0)).slam_map
    for k in (STRAY, STRAY + 1):
        lead_astray(m, k)
    assert mend_strays(m, np.arange(24), Places(m)) == []


def test_the_adjustment_of_a_map_brings_strays_back_and_adjusts_them_too() -> None:
    error = {}
    for is_mended in (False, True):
        w = two_laps()
        lead_astray(w.slam_map, STRAY, 8)
        places = Places(w.slam_map) if is_mended else None
        assert refine_map(w.slam_map, FIXED, places=places).components[0].is_kept
        error[is_mended] = w.position_error()
    assert error[True] < 0.3 * error[False]
