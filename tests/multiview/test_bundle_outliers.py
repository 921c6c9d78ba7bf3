"""Bundle adjustment of what should not be: points behind a camera, wrong depth priors."""

from dataclasses import replace

import gtsam
import numpy as np
import pytest
from bundle_cases import (
    HUBER_PX,
    cost_of,
    disturbed,
    gtsam_graph,
    gtsam_values,
    is_behind,
    observe,
    optimum_of_gtsam,
    problem_of,
    views,
)
from gtsam.symbol_shorthand import L, X
from synthetic import CAMERA, pose, pose_error, random_points

from vgslam.geometry import se3
from vgslam.multiview.bundle import BundleProblem, bundle_adjust
from vgslam.types import Array


def test_a_point_behind_a_camera_is_reported_and_does_not_break_the_rest() -> None:
    scene = observe(views(), random_points(60, seed=28), noise_px=0.2, seed=29)
    problem = problem_of(scene)
    points = problem.landmarks.copy()
    points[7] = [0.1, 0.0, -4.0]
    result = bundle_adjust(replace(problem, landmarks=points), max_iterations=20)
    behind = problem.point == 7
    assert np.isinf(result.residual_px[behind]).all()
    assert np.isfinite(result.residual_px[~behind]).all()
    kept = replace(problem, cam=problem.cam[~behind], point=problem.point[~behind], pixels=problem.pixels[~behind])
    np.testing.assert_allclose(result.T_cam_world, bundle_adjust(kept, max_iterations=20).T_cam_world, atol=1e-5)
    others = np.delete(np.arange(60), 7)
    assert np.median(np.linalg.norm(result.landmarks - scene.points, axis=1)[others]) < 0.05


def views_ahead(n: int = 5) -> Array:
    """Cameras moving ahead, towards the points."""
    return np.stack([pose((0.3 * i, -0.4 * i, 0.2 * i), (0.02 * i, -0.01 * i, 0.6 * i)) for i in range(n)])


def mismatched(T_world_cam: Array, seed: int) -> BundleProblem:
    """Each tenth pixel or so is anywhere in the image; the start is far enough off for steps to overshoot."""
    rng = np.random.default_rng(seed)
    scene = observe(T_world_cam, random_points(80, seed=seed), noise_px=0.5, seed=seed + 1)
    px, bad = scene.pixels.copy(), rng.random(len(scene.pixels)) < 0.1
    px[bad] = rng.uniform(0, [CAMERA.width, CAMERA.height], (int(bad.sum()), 2))
    return disturbed(problem_of(replace(scene, pixels=px)), seed + 7, shift=0.5)


@pytest.mark.parametrize("huber_px", [1.0, 1.5, 1e6])
def test_behind_the_camera_is_dearer_than_anywhere_in_the_image(huber_px: float) -> None:
    """A residual as long as the diagonal of the image, and of one that is ten times as large."""
    problem = problem_of(observe(views(), random_points(20, seed=40)))
    behind = problem.landmarks.copy()
    behind[3] = [0.1, 0.0, -4.0]
    n = int(is_behind(problem, problem.T_cam_world, behind).sum())
    assert n == 5
    diagonal_px = float(np.hypot(CAMERA.width, CAMERA.height))
    for off_px in (20.0, diagonal_px, 10 * diagonal_px):
        pixels = problem.pixels.copy()
        pixels[problem.point == 3, 0] += off_px
        at = replace(problem, pixels=pixels)
        ahead = cost_of(at, problem.T_cam_world, problem.landmarks, huber_px)
        assert cost_of(problem, problem.T_cam_world, behind, huber_px) > ahead > 0


@pytest.mark.parametrize(
    ("T_world_cam", "seed", "n_behind"),
    [(views(), 3, 0), (views(), 5, 0), (views_ahead(), 0, 1), (views_ahead(), 2, 0), (views_ahead(), 5, 0)],
)
def test_mismatches_do_not_end_behind_a_camera(T_world_cam: Array, seed: int, n_behind: int) -> None:
    """In GTSAM's own measure the result is as good as its optimum, where it leaves points behind even better."""
    start = mismatched(T_world_cam, seed)
    assert is_behind(start, start.T_cam_world, start.landmarks).sum() == n_behind
    ours = bundle_adjust(start, max_iterations=100, huber_px=HUBER_PX, tolerance=1e-9)
    assert not is_behind(start, ours.T_cam_world, ours.landmarks).any()

    graph, values = gtsam_graph(start)
    result = optimum_of_gtsam(graph, values)
    measured = graph.error(gtsam_values(ours.T_cam_world, ours.landmarks))
    assert measured == pytest.approx(ours.cost_after, rel=1e-9)
    assert measured < 1.001 * graph.error(result)
    for mine, truth in zip(se3.inverse(ours.T_cam_world), T_world_cam):
        assert pose_error(mine, truth)[1] < 0.15


def test_points_that_begin_behind_come_back_as_in_gtsam() -> None:
    start = mismatched(views_ahead(), 3)
    assert is_behind(start, start.T_cam_world, start.landmarks).sum() == 8
    ours = bundle_adjust(start, max_iterations=100, huber_px=HUBER_PX, tolerance=1e-9)
    assert not is_behind(start, ours.T_cam_world, ours.landmarks).any()
    graph, values = gtsam_graph(start)
    result = optimum_of_gtsam(graph, values)
    assert ours.cost_after == pytest.approx(graph.error(result), rel=1e-4)
    for i, mine in enumerate(se3.inverse(ours.T_cam_world)):
        angle, distance = pose_error(mine, result.atPose3(X(i)).matrix())
        assert angle < 0.01
        assert distance < 1e-3


def test_a_point_left_behind_does_not_end_the_adjustment_of_the_rest() -> None:
    """What it costs is not counted in what a step has to gain."""
    scene = observe(views(), random_points(60, seed=41), noise_px=0.5, seed=42)
    start = disturbed(problem_of(scene), seed=43)
    points = start.landmarks.copy()
    points[7] = [0.1, 0.0, -4.0]
    rest = start.point != 7
    kept = replace(start, cam=start.cam[rest], point=start.point[rest], pixels=start.pixels[rest])
    with_it = bundle_adjust(replace(start, landmarks=points), max_iterations=20, tolerance=1e-3)
    without = bundle_adjust(replace(kept, landmarks=points), max_iterations=20, tolerance=1e-3)
    assert with_it.iterations == without.iterations
    np.testing.assert_allclose(with_it.T_cam_world, without.T_cam_world, atol=1e-6)


def with_depth_priors(seed: int) -> BundleProblem:
    """The first camera's depths as a network says them: 10 % off, every fifth three times as deep."""
    rng = np.random.default_rng(seed)
    scene = observe(views(), random_points(40, seed=seed), noise_px=0.5, seed=seed + 1)
    z = se3.transform(se3.inverse(scene.T_world_cam[0]), scene.points)[scene.point, 2]
    z *= np.exp(rng.normal(0, 0.1, len(z))) * np.where(scene.point % 5 == 0, 3.0, 1.0)
    prior = np.where(scene.frame == 0, z, np.nan)
    return replace(problem_of(scene, n_fixed=1), depth_prior=prior, depth_sigma=np.full(len(z), 0.1))


def test_reaches_the_optimum_of_gtsam_with_wrong_depth_priors() -> None:
    start = disturbed(with_depth_priors(44), seed=45)
    ours = bundle_adjust(start, max_iterations=200, huber_px=HUBER_PX, tolerance=1e-11)
    graph, values = gtsam_graph(start)
    assert ours.cost_before == pytest.approx(graph.error(values), rel=1e-9)
    result = optimum_of_gtsam(graph, values)
    assert ours.cost_after == pytest.approx(graph.error(result), rel=1e-4)
    for i, mine in enumerate(se3.inverse(ours.T_cam_world)):
        angle, distance = pose_error(mine, result.atPose3(X(i)).matrix())
        assert angle < 0.01
        assert distance < 2e-3


def test_a_wrong_depth_prior_takes_nothing_from_its_pixel() -> None:
    """The landmark's information is GTSAM's, in which pixel and prior are weighted apart."""
    problem = replace(with_depth_priors(46), is_fixed=np.ones(5, bool))
    result = bundle_adjust(problem, max_iterations=0)
    graph, values = gtsam_graph(problem)
    marginals = gtsam.Marginals(graph, values)
    for j in range(40):
        np.testing.assert_allclose(
            marginals.marginalInformation(L(j)), result.landmark_information[j], rtol=1e-5, atol=1e-3
        )
