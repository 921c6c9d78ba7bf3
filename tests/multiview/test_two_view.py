"""Two views: the relative pose where it is observable, and a refusal where it is not."""

import numpy as np
import pytest
from synthetic import CAMERA, observe, pose, random_points

from vgslam.geometry import se3
from vgslam.multiview.two_view import (
    TwoViewConfig,
    TwoViewVerdict,
    denies_rotation,
    epipolar_motion,
    is_nearly_rotation,
    rotation_between,
    two_view,
)
from vgslam.types import Array

CONFIG = TwoViewConfig()


def matches(T_world_b: Array, n: int = 300, noise_px: float = 0.3, seed: int = 0, near: float = 3.0, far: float = 8.0
            ) -> tuple[Array, Array]:  # fmt: skip
    """Pixels in a camera at the identity and in one at T_world_b, both with noise, both inside the image."""
    X = random_points(n, seed, near, far)
    scene = observe(np.stack([np.eye(4), T_world_b]), X, noise_px, seed + 1)
    in_a, in_b = scene.frame == 0, scene.frame == 1
    _, a, b = np.intersect1d(scene.point[in_a], scene.point[in_b], return_indices=True)
    return scene.pixels[in_a][a], scene.pixels[in_b][b]


def direction_error_deg(t_estimate: Array, t_truth: Array) -> float:
    cosine = t_estimate @ t_truth / np.linalg.norm(t_estimate) / np.linalg.norm(t_truth)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


@pytest.mark.parametrize(
    ("rotation_deg", "centre"),
    [
        ((0, 0, 0), (1.2, 0, 0)),
        ((0, 0, 0), (0, -1.2, 0)),
        ((1, -4, 2), (1.1, 0.2, 0.4)),
        ((0, 0, 0), (0.1, 0, 2.0)),  # driving
        ((3, 12, -8), (-1.4, 0.2, 0.1)),
    ],
)
def test_translation_is_found_with_unit_length(
    rotation_deg: tuple[float, float, float], centre: tuple[float, float, float]
) -> None:
    truth = pose(rotation_deg, centre)
    a, b = matches(truth)
    found = two_view(CAMERA, a, b, CONFIG)
    assert found.verdict is TwoViewVerdict.OK
    assert np.linalg.norm(found.T_a_b[:3, 3]) == pytest.approx(1.0, abs=1e-9)
    assert se3.angle_deg(found.T_a_b[:3, :3].T @ truth[:3, :3]) < 0.6
    assert direction_error_deg(found.T_a_b[:3, 3], truth[:3, 3]) < 4.0
    assert found.inliers.mean() > 0.8
    assert found.parallax_px > CONFIG.min_parallax_px


def test_outliers_are_left_out() -> None:
    truth = pose((1, -4, 2), (1.2, 0.1, 0.3))
    a, b = matches(truth, n=400)
    rng = np.random.default_rng(1)
    bad = rng.random(len(a)) < 0.25
    b[bad] = rng.uniform((0, 0), (CAMERA.width, CAMERA.height), (int(bad.sum()), 2))
    found = two_view(CAMERA, a, b, CONFIG)
    assert found.verdict is TwoViewVerdict.OK
    assert direction_error_deg(found.T_a_b[:3, 3], truth[:3, 3]) < 5.0
    assert found.inliers[bad].mean() < 0.15  # a random pixel may lie on its epipolar line
    assert found.inliers[~bad].mean() > 0.8


@pytest.mark.parametrize("noise_px", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("rotation_deg", [(0, 0, 0), (0, 10, 0), (4, -3, 12), (-8, 0, 0)])
def test_pure_rotation_with_noise_is_a_rotation(rotation_deg: tuple[float, float, float], noise_px: float) -> None:
    truth = pose(rotation_deg)
    a, b = matches(truth, noise_px=noise_px, seed=2)
    found = two_view(CAMERA, a, b, CONFIG)
    assert found.verdict is TwoViewVerdict.ROTATION
    np.testing.assert_array_equal(found.T_a_b[:3, 3], 0.0)
    assert se3.angle_deg(found.T_a_b[:3, :3].T @ truth[:3, :3]) < 0.1
    assert found.inliers.mean() > 0.8


@pytest.mark.parametrize("seed", range(5))
def test_rotation_with_wrong_matches_invents_no_translation(seed: int) -> None:
    a, b = matches(pose((2, 9, -3)), noise_px=0.5, seed=seed)
    rng = np.random.default_rng(seed)
    bad = rng.random(len(a)) < 0.15
    b[bad] = rng.uniform((0, 0), (CAMERA.width, CAMERA.height), (int(bad.sum()), 2))
    found = two_view(CAMERA, a, b, CONFIG)
    assert found.verdict is not TwoViewVerdict.OK


def test_little_parallax_is_weak() -> None:
    """A baseline that moves half of the pixels by a few px: no rotation explains it, no depth is certain."""
    truth = pose((0, 5, 0), (0.3, 0, 0))
    a, b = matches(truth, near=1.5, far=12.0, seed=3)
    found = two_view(CAMERA, a, b, CONFIG)
    assert 2.0 < found.parallax_px < CONFIG.min_parallax_px
    assert found.verdict is TwoViewVerdict.WEAK
    wanting_less = TwoViewConfig(min_parallax_px=1.0, min_angle_deg=0.1)
    assert two_view(CAMERA, a, b, wanting_less).verdict is TwoViewVerdict.OK


def test_small_angles_are_weak() -> None:
    truth = pose((0, 0, 0), (1.2, 0, 0))
    a, b = matches(truth, seed=4)
    assert two_view(CAMERA, a, b, CONFIG).verdict is TwoViewVerdict.OK
    assert two_view(CAMERA, a, b, TwoViewConfig(min_angle_deg=25.0)).verdict is TwoViewVerdict.WEAK


@pytest.mark.parametrize("n", [0, 5, 11, 29])
def test_too_few_matches_are_weak(n: int) -> None:
    for truth in (pose((0, 0, 0), (1.2, 0, 0)), pose((0, 5, 0))):
        a, b = matches(truth, seed=5)
        found = two_view(CAMERA, a[:n], b[:n], CONFIG)
        assert found.verdict is TwoViewVerdict.WEAK
        assert len(found.inliers) == n


@pytest.mark.parametrize("seed", range(3))
def test_matches_without_any_geometry_are_weak(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.uniform((0, 0), (CAMERA.width, CAMERA.height), (2, 300, 2))
    assert two_view(CAMERA, a, b, CONFIG).verdict is TwoViewVerdict.WEAK


def test_same_seed_same_answer() -> None:
    a, b = matches(pose((0, 2, 0), (1.2, 0, 0.2)), seed=6)
    first, second = (two_view(CAMERA, a, b, CONFIG, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first.T_a_b, second.T_a_b)
    np.testing.assert_array_equal(first.inliers, second.inliers)


def test_rotation_between_ignores_what_moves_otherwise() -> None:
    truth = pose((3, -7, 4))
    a, b = matches(truth, noise_px=0.2, seed=8)
    b[:60] += [15.0, -9.0]
    R, residual = rotation_between(CAMERA, a, b)
    assert se3.angle_deg(R.T @ truth[:3, :3]) < 0.1
    assert residual[:60].min() > 8.0
    assert np.median(residual[60:]) < 1.0


def test_rotation_between_turns_pixels_of_b_into_pixels_of_a() -> None:
    a, b = matches(pose((3, -7, 4)), noise_px=0.0, seed=9)
    R, residual = rotation_between(CAMERA, a, b)
    np.testing.assert_allclose(CAMERA.project(CAMERA.rays(b) @ R.T), a, atol=1e-3)
    assert residual.max() < 1e-3


def test_nearly_a_rotation_is_a_turn_or_a_small_step_that_is_seen_by_enough() -> None:
    turned, small, far = (matches(pose((2, 6, 1), centre)) for centre in ((0, 0, 0), (0.03, 0, 0), (1.2, 0, 0)))
    few = CONFIG.min_rotation_inliers - 1
    assert is_nearly_rotation(CAMERA, *turned, CONFIG)
    assert is_nearly_rotation(CAMERA, *small, CONFIG)
    assert not is_nearly_rotation(CAMERA, *far, CONFIG), "too much parallax"
    assert not is_nearly_rotation(CAMERA, turned[0][:few], turned[1][:few], CONFIG), "too few"
    assert is_nearly_rotation(CAMERA, turned[0][: few + 1], turned[1][: few + 1], CONFIG)


def test_matches_deny_the_rotation_of_the_points_that_moved_least() -> None:
    """A camera that steps aside before a wall and a few far things: these look like a turn, the wall does not."""
    step = pose((0, 0, 0), (0.8, 0, 0))
    wall, far = (matches(step, n, seed=n, near=near, far=near + 1) for n, near in ((200, 3.0), (90, 40.0)))
    R, _ = rotation_between(CAMERA, *far)
    assert is_nearly_rotation(CAMERA, *far, CONFIG)
    a, b = (np.concatenate(pixels) for pixels in zip(wall, far, strict=True))
    assert denies_rotation(CAMERA, R, a, b, CONFIG)
    assert not denies_rotation(CAMERA, R, *far, CONFIG)


@pytest.mark.parametrize(("n_far", "is_denied"), [(200, True), (600, False)])
def test_a_fifth_of_the_matches_may_lie_elsewhere(n_far: int, is_denied: bool) -> None:
    """A hundred are on a wall that one step explains together with far things: a third of them, and a seventh."""
    step = pose((0, 0, 0), (0.8, 0, 0))
    wall, far = (matches(step, n, seed=3, near=near, far=near + 1) for n, near in ((400, 3.0), (1200, 40.0)))
    R, _ = rotation_between(CAMERA, *far)
    a, b = (np.concatenate([w[:100], f[:n_far]]) for w, f in zip(wall, far, strict=True))
    assert len(a) == 100 + n_far
    assert denies_rotation(CAMERA, R, a, b, CONFIG) is is_denied


@pytest.mark.parametrize(("n_wrong", "is_nearly"), [(60, True), (110, False)])
def test_nearly_a_rotation_is_nothing_that_explains_less_than_three_fifths(n_wrong: int, is_nearly: bool) -> None:
    a, b = (pixels[:240] for pixels in matches(pose((2, 6, 1)), 400))
    assert len(a) == 240
    b[:n_wrong] = np.random.default_rng(0).uniform((0, 0), (CAMERA.width, CAMERA.height), (n_wrong, 2))
    assert is_nearly_rotation(CAMERA, a, b, CONFIG) == is_nearly


def test_matches_of_a_turn_deny_it_neither_with_a_small_step_nor_with_wrong_ones_among_them() -> None:
    a, b = matches(pose((2, 6, 1), (0.05, 0, 0)))
    R, _ = rotation_between(CAMERA, a, b)
    assert not denies_rotation(CAMERA, R, a, b, CONFIG)
    rng = np.random.default_rng(3)
    wrong = rng.uniform((0, 0), (CAMERA.width, CAMERA.height), (2, len(a) // 2, 2))
    a, b = np.concatenate([a, wrong[0]]), np.concatenate([b, wrong[1]])
    assert not denies_rotation(CAMERA, R, a, b, CONFIG)


def test_few_matches_deny_no_rotation() -> None:
    a, b = matches(pose((0, 0, 0), (1.2, 0, 0)), noise_px=0.0)
    few = CONFIG.min_rotation_inliers
    assert denies_rotation(CAMERA, np.eye(3), a[:few], b[:few], CONFIG)
    assert not denies_rotation(CAMERA, np.eye(3), a[: few - 1], b[: few - 1], CONFIG)


@pytest.mark.parametrize("seed", range(6))
def test_rays_in_a_plane_do_not_make_a_mirror_of_a_rotation(seed: int) -> None:
    """Corners on the middle row: what lies across their rays has no say, and its sign is left to chance."""
    x = np.linspace(40.0, CAMERA.width - 40.0, 40)
    a = np.column_stack([x, np.full(40, CAMERA.cy)])
    turn = se3.so3_exp(np.array([0.0, 0.05 * (seed + 1), 0.0]))
    b = CAMERA.project(CAMERA.rays(a) @ turn)
    R, residual = rotation_between(CAMERA, a, b)
    assert np.linalg.det(R) == pytest.approx(1.0)
    assert np.abs(R - turn).max() < 1e-6
    assert residual.max() < 1e-6


@pytest.mark.parametrize(("centre", "far"), [((0.3, 0.05, 0.1), 8.0), ((0.1, 0.0, -0.1), 60.0)])
def test_a_motion_that_nobody_vouches_for_has_depths_in_its_own_length(
    centre: tuple[float, float, float], far: float
) -> None:
    """The second shows points up to 400 lengths away, where OpenCV would take 50 for infinity."""
    truth = pose((2, 15, -1), centre)
    a, b = matches(truth, noise_px=0.005, near=far / 2, far=far)
    found = epipolar_motion(CAMERA, a, b)
    assert found is not None
    assert min(se3.angle_deg(R @ truth[:3, :3]) for R in found.rotations()) < 0.2
    T_b_a, depth = found.motion()
    assert np.linalg.norm(T_b_a[:3, 3]) == pytest.approx(1.0)
    assert se3.angle_deg(T_b_a[:3, :3] @ truth[:3, :3]) < 0.2
    direction = -T_b_a[:3, :3].T @ T_b_a[:3, 3]
    assert direction_error_deg(direction, truth[:3, 3]) < 15.0
    z = depth[depth > 0] * np.linalg.norm(truth[:3, 3])
    assert len(z) > 0.9 * len(a)
    assert 0.4 * far < np.median(z) < 1.1 * far


def test_without_matches_there_is_no_motion() -> None:
    a, b = matches(pose((0, 0, 0), (0.3, 0, 0)))
    assert epipolar_motion(CAMERA, a[:4], b[:4]) is None
