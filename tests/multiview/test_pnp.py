"""Camera pose from landmarks: exact truth, outliers, doubtful depths and an honest covariance."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import CAMERA, pose, pose_error, random_points

from vgslam.geometry import se3
from vgslam.multiview.pnp import PoseFit, PosePoints, ransac_pose, refine_pose
from vgslam.types import Array

TRUTH = pose((3.0, -5.0, 2.0), (0.5, -0.2, 0.4))  # T_world_cam
START = np.eye(4)  # the host keyframe of all landmarks
SIGMA_PX = 0.7


def points_seen(n: int, seed: int, noise_px: float = 0.0, rel_sigma: float = 1e-3) -> PosePoints:
    """Landmarks of a host at the origin, at the pixels of the true camera."""
    X = random_points(n, seed)
    px = CAMERA.project(se3.transform(se3.inverse(TRUTH), X))
    px += np.random.default_rng(seed + 1).normal(0, noise_px, px.shape) if noise_px else 0.0
    return PosePoints(X, px, X.copy(), np.full(n, rel_sigma))


def with_outliers(points: PosePoints, share: float, seed: int) -> tuple[PosePoints, np.ndarray]:
    rng = np.random.default_rng(seed)
    bad = rng.permutation(len(points)) < share * len(points)
    px = points.pixels.copy()
    px[bad] = rng.uniform((0, 0), (CAMERA.width, CAMERA.height), (int(bad.sum()), 2))
    far = np.linalg.norm(px - points.pixels, axis=1) > 20
    return points.seen_at(px), bad & far


def with_wrong_depth(points: PosePoints, factor: Array) -> PosePoints:
    """Landmarks moved along their host's ray; the host is at the origin."""
    X = points.landmarks * factor[:, None]
    return replace(points, landmarks=X, direction=X.copy())


def error_of(fit: PoseFit) -> tuple[float, float]:
    return pose_error(se3.inverse(fit.T_cam_world), TRUTH)


@pytest.mark.parametrize("n", [6, 7, 100])
def test_recovers_the_pose_without_noise(n: int) -> None:
    fit = refine_pose(CAMERA, START, points_seen(n, seed=0), iterations=30)
    np.testing.assert_allclose(se3.inverse(fit.T_cam_world), TRUTH, atol=1e-6)
    assert fit.inliers.all()
    assert fit.median_error_px < 1e-4


def test_needs_six_points() -> None:
    with pytest.raises(ValueError, match="6 points"):
        refine_pose(CAMERA, START, points_seen(5, seed=1))


def test_outliers_are_named_and_do_not_move_the_pose() -> None:
    points, bad = with_outliers(points_seen(200, seed=2, noise_px=0.5), 0.3, seed=3)
    fit = refine_pose(CAMERA, START, points, SIGMA_PX, iterations=30)
    angle, distance = error_of(fit)
    assert angle < 0.1
    assert distance < 0.02
    assert not fit.inliers[bad].any()
    assert fit.inliers[~bad].mean() > 0.9


def test_points_behind_the_camera_are_no_inliers_and_no_harm() -> None:
    points = points_seen(60, seed=4)
    X = points.landmarks.copy()
    X[:10, 2] *= -1.0
    fit = refine_pose(CAMERA, START, replace(points, landmarks=X), iterations=30)
    assert not fit.inliers[:10].any()
    assert fit.inliers[10:].all()
    np.testing.assert_allclose(se3.inverse(fit.T_cam_world), TRUTH, atol=1e-5)


def test_gate_decides_the_inliers_in_sigmas() -> None:
    points = points_seen(60, seed=5, rel_sigma=0.0)
    px = points.pixels.copy()
    px[0] += [2.5 * SIGMA_PX, 0.0]
    px[1] += [0.0, 5.0 * SIGMA_PX]
    fit = refine_pose(CAMERA, START, points.seen_at(px), SIGMA_PX, iterations=30)
    assert fit.inliers[0]
    assert not fit.inliers[1]
    assert refine_pose(CAMERA, START, points.seen_at(px), SIGMA_PX, iterations=30, gate=6.0).inliers[1]


def test_a_guessed_depth_does_not_bias_the_pose_when_it_is_said_to_be_guessed() -> None:
    """A third of the landmarks is 1.6 times too far. Said to be sure, they pull the pose; said to be guesses, not."""
    n = 150
    factor = np.where(np.arange(n) % 3 == 0, 1.6, 1.0)
    wrong = factor > 1
    points = with_wrong_depth(points_seen(n, seed=6), factor)
    told = replace(points, rel_sigma=np.where(wrong, 0.5, 1e-3))
    honest = refine_pose(CAMERA, START, told, SIGMA_PX, iterations=40)
    believed = refine_pose(CAMERA, START, points, SIGMA_PX, iterations=40)
    assert error_of(honest)[0] < 0.05
    assert error_of(honest)[1] < 0.01
    assert error_of(believed)[1] > 3 * error_of(honest)[1]
    assert honest.inliers.all()  # off along their own epipolar line only
    assert believed.inliers[wrong].mean() < 0.3


def test_guessed_depths_alone_still_give_the_rotation() -> None:
    rng = np.random.default_rng(7)
    points = points_seen(200, seed=8)
    points = with_wrong_depth(points, rng.uniform(0.6, 1.6, len(points)))
    fit = refine_pose(CAMERA, START, replace(points, rel_sigma=np.full(200, 0.5)), SIGMA_PX, iterations=40)
    assert error_of(fit)[0] < 0.5


def test_a_wrong_pixel_across_the_epipolar_line_is_an_outlier_however_unsure_the_depth() -> None:
    """The depth explains an error along the image of the host's ray and no other."""
    points = points_seen(60, seed=9)
    sigma = np.full(60, 1e-3)
    sigma[:2] = 0.5
    T = se3.inverse(TRUTH)
    along = CAMERA.project(se3.transform(T, 1.05 * points.landmarks[:2])) - points.pixels[:2]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    px = points.pixels.copy()
    px[0] += 4.0 * along[0]
    px[1] += 4.0 * np.array([-along[1, 1], along[1, 0]])
    fit = refine_pose(CAMERA, START, replace(points.seen_at(px), rel_sigma=sigma), SIGMA_PX, iterations=30)
    assert fit.inliers[0]
    assert not fit.inliers[1]


@pytest.mark.parametrize("rel_sigma", [1e-3, 0.1])
def test_covariance_is_that_of_the_errors(rel_sigma: float) -> None:
    """Normalised squared errors of 200 runs average about 6 (chi-square of six degrees), per axis about 1.

    The bounds leave room for the robust weights, which make the covariance somewhat pessimistic.
    """
    rng = np.random.default_rng(10)
    T_true = se3.inverse(TRUTH)
    squared, errors, variances = [], [], []
    for seed in range(200):
        points = points_seen(60, seed, noise_px=SIGMA_PX, rel_sigma=rel_sigma)
        points = with_wrong_depth(points, np.exp(rng.normal(0, rel_sigma, 60)))
        fit = refine_pose(CAMERA, START, points, SIGMA_PX, iterations=20)
        xi = se3.log(fit.T_cam_world @ se3.inverse(T_true))
        squared.append(xi @ np.linalg.solve(fit.covariance, xi))
        errors.append(xi)
        variances.append(np.diag(fit.covariance))
    assert 3.5 < np.mean(squared) < 8.0
    ratio = np.var(errors, axis=0) / np.mean(variances, axis=0)
    assert ratio.min() > 0.45
    assert ratio.max() < 1.5
    # The uncertainty is propagated to first order: a bias of second order in the depth deviation is allowed.
    standard_error = np.std(errors, axis=0) / np.sqrt(200)
    bias = np.maximum(np.abs(np.mean(errors, axis=0)) - 4.5 * standard_error, 0.0)
    assert bias.max() < 3.0 * rel_sigma**2 * np.linalg.norm(TRUTH[:3, 3])


def test_covariance_grows_with_the_doubt_in_the_depths() -> None:
    sure = refine_pose(CAMERA, START, points_seen(80, seed=11, rel_sigma=1e-3), iterations=30).covariance
    unsure = refine_pose(CAMERA, START, points_seen(80, seed=11, rel_sigma=0.3), iterations=30).covariance
    assert np.linalg.eigvalsh(unsure - sure).min() > 0


def test_ransac_finds_the_pose_among_forty_percent_outliers() -> None:
    points, _ = with_outliers(points_seen(150, seed=12, noise_px=0.5), 0.4, seed=13)
    T = ransac_pose(CAMERA, points, threshold_px=3.0)
    assert T is not None
    angle, distance = pose_error(se3.inverse(T), TRUTH)
    assert angle < 0.6
    assert distance < 0.1
    np.testing.assert_array_equal(T, ransac_pose(CAMERA, points, threshold_px=3.0))  # same seed, same answer


def test_ransac_refuses_too_few_points() -> None:
    assert ransac_pose(CAMERA, points_seen(7, seed=14), threshold_px=3.0) is None


def test_ransac_refuses_pixels_that_no_pose_explains() -> None:
    rng = np.random.default_rng(15)
    points = points_seen(40, seed=16)
    random = points.seen_at(rng.uniform((0, 0), (CAMERA.width, CAMERA.height), (40, 2)))
    assert ransac_pose(CAMERA, random, threshold_px=1.0) is None
