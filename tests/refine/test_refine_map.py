"""The adjustment of whole maps against made-up ones whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from refine_world import CAMERA, Errors, straight_drive, turning_walk, world

from vgslam.geometry.sim3 import Sim3
from vgslam.refine import refine_map as module
from vgslam.refine.adjust import RefineConfig, Watch
from vgslam.refine.refine_map import refine_map
from vgslam.store.arrays import to_arrays

FIXED = RefineConfig(is_calibration_fixed=True)


def test_poses_and_landmarks_come_back_to_the_truth() -> None:
    w = world()
    before = w.position_error()
    (found,) = refine_map(w.slam_map, FIXED).components
    assert found.is_kept
    assert w.position_error() < 0.2 * before
    assert found.after.mean_px < 0.45 < found.before.mean_px  # the mean of a Rayleigh distribution of 0.3 px is 0.376


def test_the_first_keyframe_and_the_usual_depth_stay_where_they_were() -> None:
    w = world()
    first = w.slam_map.keyframes[0].S_world_keyframe
    depth = np.median(np.linalg.norm(w.slam_map.landmarks_world(np.arange(100)), axis=1))
    refine_map(w.slam_map, FIXED)
    S = w.slam_map.keyframes[0].S_world_keyframe
    assert np.allclose(S.pose, first.pose, atol=1e-9)
    after = np.median(np.linalg.norm(w.slam_map.landmarks_world(np.arange(100)), axis=1))
    assert after == pytest.approx(depth, rel=0.05)


def test_a_wrong_focal_length_and_distortion_are_found_where_the_prior_is_wide() -> None:
    w = world(errors=Errors(focal=0.06, k1=-0.05))
    (found,) = refine_map(w.slam_map, RefineConfig(focal_rel_sigma=0.07, k1_sigma=0.1)).components
    assert found.is_kept
    camera = w.slam_map.keyframes[-1].camera
    assert camera.fx == pytest.approx(CAMERA.fx, rel=0.005)
    assert camera.fy == camera.fx
    assert camera.removed_k1 == pytest.approx(-0.05, abs=0.006)
    assert w.position_error() < 0.02


def focal_after(**settings) -> float:
    """Focal length after the adjustment of a map whose own is 6 % too long."""
    m = world(turning_walk(40), Errors(focal=0.06)).slam_map
    refine_map(m, RefineConfig(**settings))
    return m.keyframes[-1].camera.fx


def test_a_given_focal_length_pulls_and_one_from_the_same_frames_does_not() -> None:
    given, estimated = (focal_after(focal_rel_sigma=0.03, is_focal_estimated=x) for x in (False, True))
    assert abs(estimated - CAMERA.fx) < 0.5 * abs(given - CAMERA.fx)
    assert CAMERA.fx < given < 1.06 * CAMERA.fx


def test_the_pull_is_toward_the_focal_length_that_was_given() -> None:
    right = focal_after(focal_rel_sigma=0.03, focal_px=CAMERA.fx)
    assert abs(right - CAMERA.fx) < 0.5 * abs(focal_after(focal_rel_sigma=0.03) - CAMERA.fx)


def test_a_tracked_step_that_was_far_too_short_does_not_veto_the_rest() -> None:
    w = world(turning_walk(24))
    m = w.slam_map
    m.edges[11, 12] = replace(m.edges[11, 12], sigmas=np.array([0.01] * 3 + [1e-5] * 3 + [0.05]))
    (found,) = refine_map(m, FIXED).components
    assert found.is_kept, found.reason


def test_straightened_pixels_fit_the_pinhole_that_the_map_has_afterwards() -> None:
    w = world(errors=Errors(k1=-0.05))
    refine_map(w.slam_map, RefineConfig())
    m = w.slam_map
    for k in (0, 10, 20):
        ids, px = m.observed[k]
        known = m.landmarks.is_triangulated[ids]
        local = m.keyframes[k].S_world_keyframe.inverse().apply(m.landmarks_world(ids[known]))
        error = np.linalg.norm(m.keyframes[k].camera.project(local) - px[known], axis=1)
        assert np.median(error) < 0.5


def test_a_calibration_that_the_motion_does_not_show_stays() -> None:
    w = world(straight_drive(24), Errors(focal=0.03, pose=0.002))
    (found,) = refine_map(w.slam_map, RefineConfig(focal_rel_sigma=0.0075)).components
    assert w.slam_map.keyframes[0].camera.fx == pytest.approx(1.03 * CAMERA.fx)
    assert found.calibration.fx_sigma == 0.0


def test_a_fixed_calibration_stays() -> None:
    w = world(errors=Errors(focal=0.03))
    (found,) = refine_map(w.slam_map, replace(FIXED, focal_rel_sigma=0.1)).components
    assert w.slam_map.keyframes[0].camera.fx == 1.03 * CAMERA.fx
    assert found.calibration is None


def test_guessed_landmarks_are_triangulated_and_outliers_leave() -> None:
    w = world(errors=Errors(guessed=0.3, outliers=0.03))
    m = w.slam_map
    n = sum(len(seen.ids) for seen in m.observed)
    refine_map(m, FIXED)
    twice = np.bincount(np.concatenate([s.ids for s in m.observed]), minlength=len(m.landmarks)) >= 3
    assert m.landmarks.is_triangulated[twice].mean() > 0.85  # far ones have no parallax
    assert 0.95 * n < sum(len(seen.ids) for seen in m.observed) < 0.985 * n
    assert w.position_error() < 0.01


def test_frames_and_depths_follow_the_scale_of_their_keyframe() -> None:
    """A keyframe whose surroundings become longer has its unit longer by as much."""
    w = world(turning_walk(60), Errors(pose=0.003), n_points=2400)
    m = w.slam_map
    turn = m.centres(np.array([30]))[0].copy()
    for k in range(30, 60):  # as after drift of scale: the second half is a tenth too small
        S = m.keyframes[k].S_world_keyframe
        m.set_pose(k, Sim3(S.R, turn + 0.9 * (S.t - turn), 0.9 * S.s))
    refine_map(m, FIXED)
    s = np.array([k.S_world_keyframe.s for k in m.keyframes])
    assert np.median(s[50:]) / np.median(s[:10]) == pytest.approx(1.0, abs=0.03)
    assert w.position_error() < 0.05


def test_the_same_map_gives_the_same_bytes() -> None:
    a, b = world().slam_map, world().slam_map
    refine_map(a, RefineConfig())
    refine_map(b, RefineConfig())
    first, second = to_arrays(a), to_arrays(b)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def untouched(m) -> list[bytes]:
    return [np.ascontiguousarray(x).tobytes() for x in to_arrays(m).values()]


def test_a_worse_outcome_is_refused(monkeypatch) -> None:
    w = world()
    before = untouched(w.slam_map)
    costs = iter([2.0, 1.0])
    monkeypatch.setattr("vgslam.refine.plausible.robust_mean", lambda _: next(costs))
    (found,) = refine_map(w.slam_map, FIXED).components
    assert not found.is_kept
    assert "reprojection error would grow" in found.reason
    assert untouched(w.slam_map) == before


def test_steps_that_no_deviation_allows_are_refused() -> None:
    w = world(errors=Errors(pose=0.1))
    m = w.slam_map
    m.edges = {pair: replace(e, sigmas=e.sigmas / 50.0) for pair, e in m.edges.items()}
    before = untouched(m)
    (found,) = refine_map(m, FIXED).components
    assert not found.is_kept
    assert "steps between keyframes" in found.reason
    assert untouched(m) == before


def test_ctrl_c_leaves_the_map_as_it_was(monkeypatch) -> None:
    w = world()
    before = untouched(w.slam_map)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "adjust", interrupted)
    assert refine_map(w.slam_map, FIXED).is_interrupted
    assert untouched(w.slam_map) == before


def test_a_signal_that_waits_ends_it_too() -> None:
    w = world()
    before = untouched(w.slam_map)
    assert refine_map(w.slam_map, FIXED, Watch(should_stop=lambda: True)).is_interrupted
    assert untouched(w.slam_map) == before


def test_edges_no_longer_pull_back_to_where_the_keyframes_were() -> None:
    from vgslam.graph.robust import optimize_map

    w = world(turning_walk(20))
    refine_map(w.slam_map, FIXED)
    before = w.slam_map.centres(np.arange(20)).copy()
    optimize_map(w.slam_map)
    assert np.allclose(w.slam_map.centres(np.arange(20)), before, atol=1e-4)


def test_when_time_is_up_what_was_reached_is_kept_and_told() -> None:
    outcome = refine_map(world().slam_map, replace(FIXED, seconds=0.0))
    (found,) = outcome.components
    assert found.is_kept
    assert found.is_cut_short
    assert "time was up" in outcome.lines()[0]


def test_two_keyframes_are_left_alone() -> None:
    assert refine_map(world(turning_walk(2)).slam_map, FIXED).components == []
