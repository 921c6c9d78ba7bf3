"""Bundle adjustment against GTSAM, exact truth and finite differences of its own cost."""

from dataclasses import replace

import gtsam
import numpy as np
import pytest
from gtsam.symbol_shorthand import L, X
from synthetic import CAMERA, PointScene, pose, pose_error, random_points
from synthetic import observe as observe_inside

from vgslam.geometry import se3
from vgslam.multiview.bundle import PRIOR_HUBER_SIGMA, BundleProblem, bundle_adjust
from vgslam.types import Array

HUBER_PX = 1.5


def observe(T_world_cam: Array, points: Array, noise_px: float = 0.0, seed: int = 0) -> PointScene:
    """Every camera sees every point, so that each is determined."""
    return observe_inside(T_world_cam, points, noise_px, seed, only_inside=False)


def views(n: int = 5) -> Array:
    """Cameras moving sideways, up and ahead, turning a little."""
    return np.stack([pose((0.5 * i, -1.5 * i, 0.7 * i), (0.35 * i, -0.08 * i, 0.1 * i)) for i in range(n)])


def problem_of(scene: PointScene, n_fixed: int = 2) -> BundleProblem:
    """The scene's cameras and points as they truly are."""
    is_fixed = np.arange(len(scene.T_world_cam)) < n_fixed
    return BundleProblem(
        CAMERA, se3.inverse(scene.T_world_cam), is_fixed, scene.points, scene.frame, scene.point, scene.pixels
    )


def disturbed(problem: BundleProblem, seed: int, angle_rad: float = 0.01, shift: float = 0.05) -> BundleProblem:
    """Free cameras and all landmarks moved at random."""
    rng = np.random.default_rng(seed)
    T = problem.T_cam_world.copy()
    for c in np.flatnonzero(~problem.is_fixed):
        T[c] = se3.exp(np.concatenate([rng.normal(0, angle_rad, 3), rng.normal(0, shift, 3)])) @ T[c]
    return replace(problem, T_cam_world=T, landmarks=problem.landmarks + rng.normal(0, shift, problem.landmarks.shape))


def cost_of(problem: BundleProblem, T_cam_world: Array, landmarks: Array, huber_px: float = HUBER_PX) -> float:
    """The cost of a state, without a step."""
    at = replace(problem, T_cam_world=T_cam_world, landmarks=landmarks)
    return bundle_adjust(at, max_iterations=0, huber_px=huber_px).cost_before


def with_outliers(scene: PointScene, share: float, seed: int) -> PointScene:
    rng = np.random.default_rng(seed)
    px = scene.pixels.copy()
    bad = rng.random(len(px)) < share
    px[bad] += rng.normal(0, 25, (int(bad.sum()), 2))
    return replace(scene, pixels=px)


def gtsam_graph(problem: BundleProblem) -> tuple[gtsam.NonlinearFactorGraph, gtsam.Values]:
    """The same problem in GTSAM: fixed cameras as equality constraints, Huber on the pixel residual."""
    graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
    c = problem.camera
    K = gtsam.Cal3_S2(c.fx, c.fy, 0.0, c.cx, c.cy)
    noise = gtsam.noiseModel.Robust.Create(
        gtsam.noiseModel.mEstimator.Huber.Create(HUBER_PX), gtsam.noiseModel.Isotropic.Sigma(2, 1.0)
    )
    for i, j, z in zip(problem.cam.tolist(), problem.point.tolist(), problem.pixels):
        graph.add(gtsam.GenericProjectionFactorCal3_S2(z, noise, X(i), L(j), K))
    if problem.depth_prior is not None and problem.depth_sigma is not None:
        for m in np.flatnonzero(np.isfinite(problem.depth_prior)):
            graph.add(gtsam_depth_prior(problem, int(m)))
    for i, T in enumerate(se3.inverse(problem.T_cam_world)):
        T_world_cam = gtsam.Pose3(gtsam.Rot3(T[:3, :3]), T[:3, 3])
        values.insert(X(i), T_world_cam)
        if problem.is_fixed[i]:
            graph.add(gtsam.NonlinearEqualityPose3(X(i), T_world_cam))
    for j, p in enumerate(problem.landmarks):
        values.insert(L(j), p)
    return graph, values


def gtsam_depth_prior(problem: BundleProblem, m: int) -> gtsam.CustomFactor:
    """The depth prior of observation m, a factor beside that of the pixel, with a Huber kernel of its own."""
    assert problem.depth_prior is not None
    assert problem.depth_sigma is not None
    i, j, prior = int(problem.cam[m]), int(problem.point[m]), float(problem.depth_prior[m])

    def error(_: gtsam.CustomFactor, values: gtsam.Values, H: list[np.ndarray] | None) -> np.ndarray:
        H_cam, H_point = np.zeros((3, 6), order="F"), np.zeros((3, 3), order="F")
        local = values.atPose3(X(i)).transformTo(values.atPoint3(L(j)), H_cam, H_point)
        if H is not None:
            H[0], H[1] = H_cam[2:] / local[2], H_point[2:] / local[2]
        return np.array([np.log(local[2] / prior)])

    huber = gtsam.noiseModel.mEstimator.Huber.Create(PRIOR_HUBER_SIGMA)
    noise = gtsam.noiseModel.Isotropic.Sigma(1, float(problem.depth_sigma[m]))
    return gtsam.CustomFactor(gtsam.noiseModel.Robust.Create(huber, noise), [X(i), L(j)], error)


def optimum_of_gtsam(graph: gtsam.NonlinearFactorGraph, values: gtsam.Values) -> gtsam.Values:
    parameters = gtsam.LevenbergMarquardtParams()
    parameters.setMaxIterations(200)
    parameters.setRelativeErrorTol(1e-10)
    return gtsam.LevenbergMarquardtOptimizer(graph, values, parameters).optimize()


def gtsam_values(T_cam_world: Array, landmarks: Array) -> gtsam.Values:
    values = gtsam.Values()
    for i, T in enumerate(se3.inverse(T_cam_world)):
        values.insert(X(i), gtsam.Pose3(gtsam.Rot3(T[:3, :3]), T[:3, 3]))
    for j, p in enumerate(landmarks):
        values.insert(L(j), p)
    return values


def is_behind(problem: BundleProblem, T_cam_world: Array, landmarks: Array) -> np.ndarray:
    """Of each observation (M,)."""
    T = T_cam_world[problem.cam]
    return (T[:, 2, :3] * landmarks[problem.point]).sum(1) + T[:, 2, 3] < 1e-3


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
