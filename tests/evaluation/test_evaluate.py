import json

import numpy as np
import pytest
from evo.core import metrics
from evo.core.trajectory import PosePath3D
from hypothesis import given, settings
from hypothesis import strategies as st

from vgslam.errors import EvaluationError
from vgslam.evaluation.evaluate import EvaluationOptions, evaluate
from vgslam.evaluation.table import evaluation_table
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.types import Trajectory


def wander(n=120, dt=0.1, seed=0, size=3.0):
    """A smooth closed walk with turning camera, poses (n,4,4) and times (n,)."""
    rng = np.random.default_rng(seed)
    u = np.linspace(0, 2 * np.pi, n)
    position = sum(
        (rng.normal(size=(3, 1)) * np.cos(k * u) + rng.normal(size=(3, 1)) * np.sin(k * u)) / k for k in (1, 2, 3)
    )
    T = np.tile(np.eye(4), (n, 1, 1))
    T[:, :3, 3] = size * position.T
    for i, angle in enumerate(u):
        T[i, :3, :3] = se3.so3_exp(np.array([0.3 * np.sin(angle), angle, 0.2 * np.cos(2 * angle)]))
    return T, dt * np.arange(n)


def transformed(S, T):
    return np.array([S.compose_pose(pose) for pose in T])


def similarity(seed, scale):
    rng = np.random.default_rng(seed)
    return Sim3(se3.so3_exp(rng.normal(size=3)), rng.normal(size=3) * 5, scale)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.05, 20.0))
def test_known_similarity_scores_zero_and_its_scale_is_found(seed, scale):
    T, t = wander(40, seed=seed)
    estimate = Trajectory(t, transformed(similarity(seed, scale), T))
    score = evaluate(estimate, Trajectory(t, T)).headline
    assert score.ate_sim3_m.max < 1e-9 * max(1, scale)
    assert score.scale == pytest.approx(1 / scale, rel=1e-9)
    assert score.rotation_ape_deg.max < 1e-4
    assert score.rotation_only_ape_deg.max < 1e-4
    assert score.rpe_frame.translation_rmse_m < 1e-9
    assert score.rpe_frame.rotation_rmse_deg < 1e-5
    assert score.scale_drift == pytest.approx(1.0, rel=1e-6)


def test_neither_input_is_changed():
    T, t = wander()
    T_est = transformed(similarity(1, 3.0), T)
    before = T.copy(), T_est.copy(), t.copy()
    evaluate(Trajectory(t, T_est), Trajectory(t, T), keyframes=Trajectory(t[::5], T_est[::5]))
    assert (before[0] == T).all()
    assert (before[1] == T_est).all()
    assert (before[2] == t).all()


def test_se3_error_of_a_scaled_copy_is_the_scale_error_times_the_extent():
    T, t = wander()
    estimate = Trajectory(t, transformed(Sim3(np.eye(3), np.zeros(3), 1.2), T))
    score = evaluate(estimate, Trajectory(t, T)).headline
    centred = T[:, :3, 3] - T[:, :3, 3].mean(0)
    assert score.ate_se3_m.rmse == pytest.approx(0.2 * np.sqrt((centred**2).sum(1).mean()))
    assert score.ate_sim3_m.rmse < 1e-9
    assert score.scale == pytest.approx(1 / 1.2)


def test_statistics_agree_with_evo_run_directly():
    rng = np.random.default_rng(5)
    T, t = wander(60)
    T_est = transformed(similarity(2, 0.4), T)
    T_est[:, :3, 3] += 0.05 * rng.normal(size=(60, 3))
    T_est = T_est @ np.array([se3.exp(np.r_[0.02 * rng.normal(size=3), np.zeros(3)]) for _ in t])
    ref, est = PosePath3D(poses_se3=list(T.copy())), PosePath3D(poses_se3=list(T_est.copy()))
    scale = est.align(ref, correct_scale=True)[2]
    ape, rpe = metrics.APE(metrics.PoseRelation.translation_part), metrics.RPE(metrics.PoseRelation.rotation_angle_deg)
    ape.process_data((ref, est))
    rpe.process_data((ref, est))
    score = evaluate(Trajectory(t, T_est), Trajectory(t, T)).headline
    assert score.scale == pytest.approx(scale)
    assert score.ate_sim3_m.rmse == pytest.approx(ape.get_statistic(metrics.StatisticsType.rmse))
    assert score.ate_sim3_m.median == pytest.approx(ape.get_statistic(metrics.StatisticsType.median))
    assert score.rpe_frame.rotation_rmse_deg == pytest.approx(rpe.get_statistic(metrics.StatisticsType.rmse))
    assert score.rpe_frame.n_pairs == 59


def test_growing_scale_shows_as_scale_drift():
    t = 0.1 * np.arange(400)
    T = np.tile(np.eye(4), (400, 1, 1))
    T[:, 0, 3], T[:, 2, 3] = t, np.sin(t)
    steps = np.diff(T[:, :3, 3], axis=0)
    grown = T.copy()
    grown[1:, :3, 3] = np.cumsum(steps * np.where(np.arange(399) < 200, 1.0, 1.5)[:, None], axis=0)
    assert evaluate(Trajectory(t, grown), Trajectory(t, T)).headline.scale_drift == pytest.approx(1.5, rel=1e-6)


def test_rpe_over_a_second_is_the_velocity_error():
    t = np.arange(0, 20, 0.1)
    T = np.tile(np.eye(4), (len(t), 1, 1))
    T[:, 0, 3], T[:, 1, 3] = 2 * t, np.where(t < 10, 0, 2 * (t - 10))
    turning = T.copy()
    for i, time in enumerate(t):  # 3 deg/s that the reference does not have
        turning[i, :3, :3] = se3.so3_exp(np.array([0, 0, np.radians(3.0) * time]))
    score = evaluate(Trajectory(t, turning), Trajectory(t, T)).headline
    assert score.rpe_time.rotation_rmse_deg == pytest.approx(3.0, rel=1e-6)
    assert score.rpe_frame.rotation_rmse_deg == pytest.approx(0.3, rel=1e-6)
    assert score.rpe_time.n_pairs == len(t) - 10
    assert score.rotation_only_ape_deg.max == pytest.approx(3.0 * t[-1] / 2, rel=1e-3)


def test_two_components_are_aligned_each_on_its_own():
    T, t = wander(100)
    T_est = np.concatenate([transformed(similarity(3, 0.5), T[:60]), transformed(similarity(4, 7.0), T[60:])])
    components = np.repeat([0, 1], [60, 40])
    result = evaluate(Trajectory(t, T_est, np.arange(100), components), Trajectory(t, T))
    assert [c.component_id for c in result.components] == [0, 1]
    assert [c.n_poses for c in result.components] == [60, 40]
    assert result.headline.scale == pytest.approx(2.0)
    assert result.components[1].scale == pytest.approx(1 / 7)
    assert max(c.ate_sim3_m.max for c in result.components) < 1e-8
    assert result.coverage.n_components == 2
    # the same poses as one component must not score zero
    assert evaluate(Trajectory(t, T_est), Trajectory(t, T)).headline.ate_sim3_m.rmse > 0.1
    assert any("components" in note for note in result.notes)


def test_component_too_small_is_named_not_scored():
    T, t = wander(50)
    result = evaluate(Trajectory(t, T, np.arange(50), np.repeat([0, 5], [48, 2])), Trajectory(t, T))
    assert result.unscored == [5]
    assert result.headline.n_poses == 48


def test_keyframes_are_scored_apart():
    T, t = wander(100)
    noisy = T.copy()
    noisy[1::2, 0, 3] += 0.3  # only frames that are no keyframes are wrong
    result = evaluate(Trajectory(t, noisy), Trajectory(t, T), keyframes=Trajectory(t[::2], noisy[::2]))
    assert result.headline.ate_sim3_m.rmse > 0.1
    assert result.keyframes.ate_sim3_m.rmse < 1e-9
    assert result.keyframes.n_poses == 50


def test_static_reference_has_no_scale_and_is_flagged():
    rng = np.random.default_rng(0)
    T, t = wander(50)
    still = np.tile(T[0], (50, 1, 1))
    jitter = still.copy()
    jitter[:, :3, 3] += 0.01 * rng.normal(size=(50, 3))
    score = evaluate(Trajectory(t, jitter), Trajectory(t, still)).headline
    assert score.scale is None
    assert score.ate_sim3_m is None
    assert score.ate_percent_of_path is None
    centred = jitter[:, :3, 3] - jitter[:, :3, 3].mean(0)
    assert score.ate_m.rmse == pytest.approx(np.sqrt((centred**2).sum(1).mean()))
    assert any("static" in flag for flag in score.flags)


def test_estimate_that_never_moves_scores_the_centroid_baseline():
    T, t = wander(50)
    stuck = T.copy()
    stuck[:, :3, 3] = 1.0
    score = evaluate(Trajectory(t, stuck), Trajectory(t, T)).headline
    assert score.scale is None
    assert score.ate_sim3_m.rmse == pytest.approx(score.centroid_ate_m)
    assert score.flags


def test_straight_line_is_aligned_by_its_orientations():
    t = 0.1 * np.arange(50)
    T = np.tile(np.eye(4), (50, 1, 1))
    T[:, 2, 3] = t
    T_est = transformed(similarity(9, 2.5), T)
    score = evaluate(Trajectory(t, T_est), Trajectory(t, T)).headline
    assert score.ate_sim3_m.max < 1e-9
    assert score.rotation_ape_deg.max < 1e-3
    assert score.scale == pytest.approx(0.4)
    assert score.line_ate_m < 1e-9
    assert any("line" in flag for flag in score.flags)


def test_trivial_baselines_of_a_known_figure():
    t = 0.1 * np.arange(400)
    T = np.tile(np.eye(4), (400, 1, 1))
    angle = 2 * np.pi * np.arange(400) / 400
    T[:, 0, 3], T[:, 1, 3] = 3 * np.cos(angle), np.sin(angle)  # ellipse: variances 9/2 and 1/2
    score = evaluate(Trajectory(t, T), Trajectory(t, T)).headline
    assert score.centroid_ate_m == pytest.approx(np.sqrt(5))
    assert score.line_ate_m == pytest.approx(np.sqrt(0.5))
    perimeter = 13.36489  # 4 a E(e) of a=3, b=1; the last step, past (3, 0), is not walked
    assert score.path_length_m == pytest.approx(perimeter - 2 * np.pi / 400, rel=1e-4)


def test_no_overlap_in_time_is_one_line():
    T, t = wander(30)
    with pytest.raises(EvaluationError, match="do not overlap in time") as info:
        evaluate(Trajectory(t + 1e6, T), Trajectory(t, T))
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(("factor", "offset", "words"), [
    (1e3, 1e6, "a factor of 1000"), (1e9, 1e18, r"a factor of 1e\+09"),
    (1.0, 1.4e9, r"by a constant, about 1\.4e\+09 s"),
    (30.0, 1e5, "on one clock"),
])  # fmt: skip
def test_times_that_do_not_overlap_are_explained(factor, offset, words):
    poses = np.tile(np.eye(4), (50, 1, 1))
    t = np.arange(50) / 30
    with pytest.raises(EvaluationError, match=words) as caught:
        evaluate(Trajectory(t, poses), Trajectory(offset + factor * t, poses))
    assert "0.000 to 1.633" in str(caught.value)


@pytest.mark.parametrize(("n", "rate_hz", "first", "is_told"), [
    (101, 30.0, 0, True), (101, 30.0, 1, True), (101, 3.1, 1, True), (101, 2.9, 0, False), (101, 10.0, 2, False),
    (9, 4.0, 0, False), (10, 4.0, 0, True),
])  # fmt: skip
def test_numbers_of_frames_are_no_times(n, rate_hz, first, is_told):
    """They last so many times as long as the seconds; a slow reference lasts as long."""
    T, t = wander(n, dt=1 / rate_hz)
    seconds, counts = Trajectory(t, T), Trajectory(first + np.arange(float(n)), T)
    wide = EvaluationOptions(max_difference_s=0.2)
    for estimate, reference, name in ((seconds, counts, "reference"), (counts, seconds, "estimate")):
        if is_told:
            with pytest.raises(EvaluationError, match=rf"times of the {name} \(0, 1, 2, ...\) seem to count frames"):
                evaluate(estimate, reference, wide)
        else:
            assert evaluate(estimate, reference, wide).headline.n_poses < n


def test_a_reference_every_second_is_one_of_times():
    T, t = wander(301, dt=0.1)
    assert evaluate(Trajectory(t, T), Trajectory(t[::10], T[::10])).headline.n_poses == 31


def test_fewer_than_three_poses_cannot_be_scored():
    T, t = wander(30)
    with pytest.raises(EvaluationError, match="holds 2 poses"):
        evaluate(Trajectory(t[:2], T[:2]), Trajectory(t, T))
    with pytest.raises(EvaluationError, match="only 0 of 30 poses"):
        evaluate(Trajectory(t + 0.05, T), Trajectory(t, T), EvaluationOptions(max_difference_s=0.01))
    with pytest.raises(EvaluationError, match="no component"):
        evaluate(Trajectory(t[:4], T[:4], np.arange(4), np.array([0, 0, 1, 1])), Trajectory(t, T))


@pytest.mark.parametrize("options", [{"max_difference_s": -1.0}, {"max_difference_s": np.nan}, {"rpe_delta_s": 0.0}])
def test_options_out_of_range(options):
    with pytest.raises(EvaluationError):
        EvaluationOptions(**options)


def test_dict_is_strict_json_and_table_shows_the_figures():
    from rich.console import Console

    T, t = wander(60)
    result = evaluate(
        Trajectory(t, transformed(similarity(3, 0.5), T)), Trajectory(t, T),
        EvaluationOptions(n_frames=60), keyframes=Trajectory(t[::6], T[::6]),
    )  # fmt: skip
    loaded = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert loaded["headline"]["scale"] == pytest.approx(2.0)
    assert loaded["coverage"]["coverage"] == 1.0
    assert loaded["headline"]["kitti"] is None
    assert np.allclose(np.array(loaded["headline"]["S_reference_estimate"])[3], [0, 0, 0, 1])
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(evaluation_table(result, "a[b]/c"))
    text = console.export_text()
    assert "scale (reference per estimate)" in text
    assert "a[b]/c" in text
    assert "ATE, Sim(3) (m)" in text
    assert "keyframes" in text
    assert "1.0000 (60 of 60)" in text


def test_a_camera_on_the_spot_is_scored_by_its_rotations_whatever_its_positions_are():
    rng = np.random.default_rng(4)
    t = np.arange(0, 6, 0.1)
    T = np.tile(np.eye(4), (len(t), 1, 1))
    T[:, :3, :3] = [se3.so3_exp(np.array([0.3 * np.sin(s), s, 0.2 * np.cos(2 * s)])) for s in t]
    T[:, :3, 3] = 0.01 * rng.normal(size=(len(t), 3))
    estimate = T.copy()
    turn = se3.so3_exp(np.array([0.4, -1.1, 0.7]))
    estimate[:, :3, :3] = turn @ T[:, :3, :3]
    estimate[:, :3, 3] = rng.normal(size=(len(t), 3))  # knows nothing of the positions
    score = evaluate(Trajectory(t, estimate), Trajectory(t, T)).headline
    assert score.rotation_only_ape_deg.max < 1e-6
    assert score.rotation_ape_deg.median > 5.0
    tilt = se3.so3_exp(np.radians([0.0, 0.0, 2.0]))
    estimate[::2, :3, :3] = estimate[::2, :3, :3] @ tilt  # halves that disagree by 2 deg: 1 deg from their mean
    estimate[:, :3, :3] = turn @ estimate[:, :3, :3]
    score = evaluate(Trajectory(t, estimate), Trajectory(t, T)).headline
    np.testing.assert_array_equal(score.series.rotation_only_error_deg.shape, t.shape)
    assert 0.99 < score.rotation_only_ape_deg.rmse < 1.5
