"""Bundle adjustment against GTSAM, exact truth and finite differences of its own cost."""

from dataclasses import replace

import gtsam
import numpy as np
import pytest
from bundle_cases import (
    HUBER_PX,
    cost_of,
    disturbed,
    gtsam_graph,
    observe,
    optimum_of_gtsam,
    problem_of,
    views,
    with_outliers,
)
from gtsam.symbol_shorthand import L, X
from synthetic import PointScene, pose_error, random_points

from vgslam.geometry import se3
from vgslam.multiview.bundle import BundleProblem, bundle_adjust
from vgslam.types import Array


def test_reaches_the_optimum_of_gtsam_with_noise_and_outliers() -> None:
    scene = with_outliers(observe(views(), random_points(80, seed=0), noise_px=0.8, seed=1), 0.08, seed=2)
    start = disturbed(problem_of(scene), seed=3)
    ours = bundle_adjust(start, max_iterations=60, huber_px=HUBER_PX, tolerance=1e-9)

    graph, values = gtsam_graph(start)
    assert ours.cost_before == pytest.approx(graph.error(values), rel=1e-9)
    result = optimum_of_gtsam(graph, values)

    assert ours.cost_after == pytest.approx(graph.error(result), rel=1e-4)
    assert ours.cost_after < 0.5 * ours.cost_before
    theirs = np.stack([result.atPose3(X(i)).matrix() for i in range(5)])
    for mine, other in zip(se3.inverse(ours.T_cam_world), theirs):
        angle, distance = pose_error(mine, other)
        assert angle < 0.01
        assert distance < 1e-3
    points = np.stack([result.atPoint3(L(j)) for j in range(80)])
    assert np.median(np.linalg.norm(ours.landmarks - points, axis=1)) < 1e-3


def test_outliers_hardly_move_the_cameras() -> None:
    clean = observe(views(), random_points(120, seed=4), noise_px=0.3, seed=5)
    dirty = with_outliers(clean, 0.08, seed=6)
    errors = []
    for scene, huber_px in ((dirty, HUBER_PX), (dirty, 1e6)):
        result = bundle_adjust(disturbed(problem_of(scene), 7), 40, huber_px, 1e-8)
        errors.append(max(pose_error(a, b)[1] for a, b in zip(se3.inverse(result.T_cam_world), views())))
    assert errors[0] < 0.02
    assert errors[0] < 0.2 * errors[1]  # what least squares without a kernel makes of the same data


def test_recovers_the_truth_without_noise() -> None:
    scene = observe(views(), random_points(60, seed=8))
    result = bundle_adjust(disturbed(problem_of(scene), 9), max_iterations=30, tolerance=0.0)
    assert result.cost_after < 1e-10 * result.cost_before
    np.testing.assert_allclose(result.landmarks, scene.points, atol=1e-5)
    np.testing.assert_allclose(se3.inverse(result.T_cam_world), scene.T_world_cam, atol=1e-6)
    assert result.residual_px.max() < 1e-4


def test_a_single_fixed_camera_leaves_only_the_scale_free() -> None:
    scene = observe(views(), random_points(60, seed=10))
    result = bundle_adjust(disturbed(problem_of(scene, n_fixed=1), 11), max_iterations=40, tolerance=0.0)
    centres = se3.inverse(result.T_cam_world)[:, :3, 3]
    scale = np.linalg.norm(centres[-1]) / np.linalg.norm(scene.T_world_cam[-1, :3, 3])
    np.testing.assert_allclose(result.landmarks, scale * scene.points, atol=1e-4)
    np.testing.assert_allclose(centres, scale * scene.T_world_cam[:, :3, 3], atol=1e-4)


@pytest.mark.parametrize("fixed", [(0,), (0, 1), (2,), (1, 4)])
def test_fixed_cameras_do_not_move(fixed: tuple[int, ...]) -> None:
    scene = observe(views(), random_points(50, seed=12), noise_px=1.0, seed=13)
    problem = replace(problem_of(scene), is_fixed=np.isin(np.arange(5), fixed))
    problem = disturbed(problem, 14)
    result = bundle_adjust(problem)
    assert result.cost_after < result.cost_before
    moved = np.abs(result.T_cam_world - problem.T_cam_world).max(axis=(1, 2))
    assert (moved[list(fixed)] == 0).all()
    assert (np.delete(moved, fixed) > 1e-5).all()


def test_landmarks_alone_are_adjusted_when_every_camera_is_fixed() -> None:
    scene = observe(views(), random_points(40, seed=30))
    problem = disturbed(replace(problem_of(scene), is_fixed=np.ones(5, bool)), 31)
    result = bundle_adjust(problem, max_iterations=20, tolerance=0.0)
    np.testing.assert_allclose(result.landmarks, scene.points, atol=1e-5)


def test_needs_a_fixed_camera() -> None:
    problem = problem_of(observe(views(), random_points(20, seed=15)), n_fixed=0)
    with pytest.raises(ValueError, match="fixed"):
        bundle_adjust(problem)


def test_input_is_left_as_it_was() -> None:
    problem = disturbed(problem_of(observe(views(), random_points(30, seed=16))), 17)
    T, points = problem.T_cam_world.copy(), problem.landmarks.copy()
    bundle_adjust(problem)
    np.testing.assert_array_equal(problem.T_cam_world, T)
    np.testing.assert_array_equal(problem.landmarks, points)


def scaled_with_prior(factor: float, sigma: float | None) -> tuple[PointScene, BundleProblem]:
    """A scene scaled about its only fixed camera, and depth priors of that camera's observations (every other one)."""
    scene = observe(views(), random_points(60, seed=18))
    problem = problem_of(scene, n_fixed=1)
    T = problem.T_cam_world.copy()
    T[:, :3, 3] *= factor
    z = se3.transform(se3.inverse(scene.T_world_cam[0]), scene.points)[scene.point, 2]
    given = (scene.frame == 0) & (scene.point % 2 == 0)
    if sigma is not None:
        problem = replace(problem, depth_prior=np.where(given, z, np.nan), depth_sigma=np.full(len(z), sigma))
    return scene, replace(problem, T_cam_world=T, landmarks=problem.landmarks * factor)


@pytest.mark.parametrize("factor", [0.75, 1.3])
def test_depth_prior_pulls_the_scale_and_its_absence_leaves_it(factor: float) -> None:
    scene, problem = scaled_with_prior(factor, sigma=0.05)
    result = bundle_adjust(problem, max_iterations=60, tolerance=0.0)
    np.testing.assert_allclose(result.landmarks, scene.points, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(
        se3.inverse(result.T_cam_world)[:, :3, 3], scene.T_world_cam[:, :3, 3], rtol=2e-3, atol=2e-3
    )
    scene, problem = scaled_with_prior(factor, sigma=None)
    result = bundle_adjust(problem, max_iterations=60, tolerance=0.0)
    np.testing.assert_allclose(result.landmarks, factor * scene.points, rtol=1e-6)


def test_depth_prior_is_a_residual_in_log_depth() -> None:
    scene, problem = scaled_with_prior(1.2, sigma=0.5)
    n_given = int((~np.isnan(problem.depth_prior)).sum())
    # the scaled scene reprojects exactly, so only the priors cost: half a squared log ratio each
    expected = n_given * 0.5 * (np.log(1.2) / 0.5) ** 2
    assert cost_of(problem, problem.T_cam_world, problem.landmarks) == pytest.approx(expected, rel=1e-9)
    assert n_given == int(((scene.frame == 0) & (scene.point % 2 == 0)).sum())


@pytest.mark.parametrize("has_prior", [False, True])
def test_result_is_stationary_by_finite_differences_of_the_cost(has_prior: bool) -> None:
    """A wrong Jacobian stops elsewhere: where its own normal equations vanish, not the gradient of the cost."""
    scene = with_outliers(observe(views(4), random_points(25, seed=19), noise_px=1.0, seed=20), 0.05, seed=21)
    problem = problem_of(scene, n_fixed=1 if has_prior else 2)
    if has_prior:
        rng = np.random.default_rng(22)
        z = se3.transform(se3.inverse(scene.T_world_cam[0]), scene.points)[scene.point, 2]
        prior = np.where(scene.frame == 0, z * np.exp(rng.normal(0, 0.1, len(z))), np.nan)
        problem = replace(problem, depth_prior=prior, depth_sigma=np.full(len(z), 0.1))
    result = bundle_adjust(disturbed(problem, 23), max_iterations=200, tolerance=0.0)
    h = 1e-4

    def slope(T_plus: Array, X_plus: Array, T_minus: Array, X_minus: Array) -> tuple[float, float]:
        """Gradient and curvature along a step."""
        plus, minus = cost_of(problem, T_plus, X_plus), cost_of(problem, T_minus, X_minus)
        return (plus - minus) / (2 * h), (plus + minus - 2 * result.cost_after) / h**2

    T, points = result.T_cam_world, result.landmarks
    for c in np.flatnonzero(~problem.is_fixed):
        for axis in range(6):
            step = h * np.eye(6)[axis]
            plus, minus = T.copy(), T.copy()
            plus[c], minus[c] = se3.exp(step) @ T[c], se3.exp(-step) @ T[c]
            gradient, curvature = slope(plus, points, minus, points)
            assert abs(gradient) < 1e-4 * curvature  # a Newton step along this axis is shorter than 1e-4
    for j in range(0, len(points), 5):
        for axis in range(3):
            step = np.zeros_like(points)
            step[j, axis] = h
            gradient, curvature = slope(T, points + step, T, points - step)
            assert abs(gradient) < 2e-4 * curvature


def test_information_is_the_curvature_of_the_cost() -> None:
    scene = observe(views(), random_points(20, seed=24))
    problem = problem_of(scene)
    result = bundle_adjust(problem, max_iterations=1)
    h = 1e-3
    for j in range(0, 20, 4):
        for a in range(3):
            for b in range(3):
                costs = []
                for sa, sb in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                    X_new = scene.points.copy()
                    X_new[j] += h * (sa * np.eye(3)[a] + sb * np.eye(3)[b])
                    costs.append(cost_of(problem, problem.T_cam_world, X_new))
                second = (costs[0] - costs[1] - costs[2] + costs[3]) / (4 * h * h)
                assert second == pytest.approx(result.landmark_information[j, a, b], rel=2e-3, abs=2.0)


def test_information_is_that_of_gtsam_with_robust_weights() -> None:
    scene = with_outliers(observe(views(), random_points(15, seed=25), noise_px=1.0, seed=26), 0.1, seed=27)
    problem = replace(problem_of(scene), is_fixed=np.ones(5, bool))  # as documented: cameras held
    result = bundle_adjust(problem, max_iterations=0)
    graph, values = gtsam_graph(problem)
    marginals = gtsam.Marginals(graph, values)
    for j in range(15):
        np.testing.assert_allclose(
            marginals.marginalInformation(L(j)), result.landmark_information[j], rtol=1e-5, atol=1e-3
        )
