"""Triangulation of tracks: exact points, honest checks."""

import numpy as np
import pytest
from synthetic import CAMERA, PointScene, observe, pose, random_points

from vgslam.geometry import se3
from vgslam.multiview.triangulate import Triangulation, triangulate
from vgslam.types import Array


def views(n: int = 4, step: float = 0.3) -> Array:
    return np.stack([pose((0.3 * i, -1.0 * i, 0.5 * i), (step * i, -0.05 * i, 0.1 * i)) for i in range(n)])


def solve(scene: PointScene, pixels: Array | None = None) -> Triangulation:
    px = scene.pixels if pixels is None else pixels
    return triangulate(CAMERA, scene.T_world_cam, scene.frame, scene.point, px)


def seen_by_all(n_views: int, seed: int, noise_px: float = 0.0, step: float = 0.3) -> PointScene:
    return observe(views(n_views, step), random_points(100, seed), noise_px, seed, only_inside=False)


@pytest.mark.parametrize("n_views", [2, 4])
def test_exact_without_noise(n_views: int) -> None:
    scene = seen_by_all(n_views, seed=0)
    found = solve(scene)
    np.testing.assert_allclose(found.points, scene.points, rtol=5e-4, atol=1e-4)
    assert found.is_valid.all()
    assert found.residual_px.max() < 2e-3


def test_order_of_observations_does_not_matter() -> None:
    scene = seen_by_all(3, seed=1, noise_px=0.5)
    order = np.random.default_rng(2).permutation(len(scene.frame))
    other = triangulate(
        CAMERA, scene.T_world_cam, scene.frame[order], scene.point[order], scene.pixels[order]
    )
    np.testing.assert_allclose(other.points, solve(scene).points, atol=1e-9)
    np.testing.assert_allclose(other.residual_px, solve(scene).residual_px, atol=1e-7)


def moved_by_similarity(scene: PointScene, scale: float) -> tuple[Triangulation, Array]:
    """Triangulation with the cameras moved by a similarity, and where the points should then be."""
    R, t = se3.so3_exp(np.array([0.4, -1.0, 0.3])), np.array([2.0, -1.0, 5.0])
    moved = scene.T_world_cam.copy()
    moved[:, :3, :3] = R @ moved[:, :3, :3]
    moved[:, :3, 3] = scale * moved[:, :3, 3] @ R.T + t
    found = triangulate(CAMERA, moved, scene.frame, scene.point, scene.pixels)
    return found, scale * solve(scene).points @ R.T + t


def test_a_rigid_motion_of_the_cameras_moves_the_points_alike() -> None:
    found, expected = moved_by_similarity(seen_by_all(3, seed=3, noise_px=0.5), scale=1.0)
    np.testing.assert_allclose(found.points, expected, rtol=2e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [30.0, 100.0])
def test_the_unit_of_length_does_not_matter(scale: float) -> None:
    found, expected = moved_by_similarity(seen_by_all(3, seed=3), scale)
    np.testing.assert_allclose(found.points, expected, rtol=2e-3, atol=2e-3 * scale)


def test_a_far_point_with_enough_parallax_is_exact() -> None:
    """One degree of parallax at a distance of 100 with the unit that two_view gives: |t| = 1.75."""
    T = np.stack([pose(), pose((0, 0, 0), (1.745, 0, 0))])
    found = solve(observe(T, np.array([[0.0, 0.0, 100.0]])))
    assert found.points[0, 2] == pytest.approx(100.0, rel=1e-3)


def test_depth_error_is_what_the_parallax_allows() -> None:
    """Standard deviation of a two-view depth: z^2 / (f b) times sqrt(2) sigma_px."""
    step, noise = 0.5, 0.5
    T = np.stack([pose(), pose((0, 0, 0), (step, 0, 0))])
    scene = observe(T, random_points(2000, seed=4, near=3.9, far=4.1), noise, 5, only_inside=False)
    relative = solve(scene).points[:, 2] / scene.points[:, 2] - 1.0
    expected = 4.0 / (CAMERA.fx * step) * np.sqrt(2.0) * noise
    assert np.std(relative) == pytest.approx(expected, rel=0.12)
    assert abs(np.mean(relative)) < 0.2 * expected


def test_more_views_give_better_points() -> None:
    errors = []
    for n in (2, 6):
        scene = observe(views(6, 0.1)[:n] if n == 6 else views(6, 0.1)[[0, 1]], random_points(200, seed=6), 0.5, 7,
                        only_inside=False)  # fmt: skip
        errors.append(np.median(np.linalg.norm(solve(scene).points - scene.points, axis=1)))
    assert errors[1] < 0.4 * errors[0]


def test_near_views_count_more_than_far_ones() -> None:
    """A pixel is a longer way off at a distance: with distances 2 and 20 the near views must decide."""
    rng = np.random.default_rng(8)
    n = 300
    X = np.array([0.0, 0.0, 20.0]) + rng.uniform(-0.3, 0.3, (n, 3))
    centres = ((-0.3, 0, 18.0), (0.3, 0, 18.0), (0, 0, 0), (1, 0, 0))
    T = np.stack([pose((0, 0, 0), centre) for centre in centres])
    scene = observe(T, X, 0.5, 9, only_inside=False)
    near = scene.frame < 2
    both = np.linalg.norm(solve(scene).points - X, axis=1)
    alone = triangulate(CAMERA, T, scene.frame[near], scene.point[near], scene.pixels[near])
    assert np.sqrt((both**2).mean()) < 1.05 * np.sqrt((np.linalg.norm(alone.points - X, axis=1) ** 2).mean())


def test_angle_is_the_largest_to_the_first_ray() -> None:
    X = np.array([[0.0, 0.0, 4.0]])
    T = np.stack([pose((0, 0, 0), (x, 0, 0)) for x in (0.0, -2.0, 1.0)])
    scene = observe(T, X, only_inside=False)
    expected = np.degrees(np.arctan2(2.0, 4.0))
    assert solve(scene).angle_deg[0] == pytest.approx(expected, abs=1e-4)


def test_residual_is_the_worst_view() -> None:
    scene = seen_by_all(4, seed=10)
    px = scene.pixels.copy()
    hit = np.flatnonzero(scene.point == 3)[2]
    px[hit] += [0.0, 12.0]  # across the epipolar lines of the mostly sideways motion
    found = solve(scene, px)
    assert found.residual_px[3] > 5.0
    assert np.delete(found.residual_px, 3).max() < 1e-3
    T_cam_world = se3.inverse(scene.T_world_cam)
    seen = [CAMERA.project(se3.transform(T, found.points[3:4]))[0] for T in T_cam_world]
    worst = np.linalg.norm(np.stack(seen) - px[scene.point == 3], axis=1).max()
    assert found.residual_px[3] == pytest.approx(worst, rel=1e-9)


def test_rays_that_diverge_meet_behind_and_are_invalid() -> None:
    scene = observe(np.stack([pose(), pose((0, 0, 0), (0.5, 0, 0))]), np.array([[0.0, 0.0, 4.0], [0.3, 0.1, 5.0]]))
    px = scene.pixels.copy()
    px[(scene.point == 0) & (scene.frame == 1)] += [80.0, 0.0]
    found = solve(scene, px)
    assert not found.is_valid[0]
    assert found.is_valid[1]


@pytest.mark.parametrize(
    "noise_px",
    [
        0.0,
        0.3,
        1.0,
    ],
)
def test_the_same_place_twice_gives_no_points(noise_px: float) -> None:
    T = np.stack([pose(), pose((0, 5, 0))])
    found = solve(observe(T, random_points(200, seed=11), noise_px, seed=12, only_inside=False))
    assert not (found.is_valid & (found.angle_deg > 0.1) & (found.residual_px < 10.0)).any()


def test_nothing_in_nothing_out() -> None:
    found = triangulate(CAMERA, views(2), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2)))
    assert len(found.points) == len(found.is_valid) == len(found.angle_deg) == 0
