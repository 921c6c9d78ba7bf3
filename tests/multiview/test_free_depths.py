"""A pose and the depths of its landmarks together, where hardly any depth is known."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import CAMERA, pose, pose_error

from vgslam.geometry import se3
from vgslam.multiview.free_depths import refine_with_depths
from vgslam.multiview.pnp import CentrePrior, PosePoints, refine_pose
from vgslam.types import Array

MOVED = pose((2, 40, -1), (0.1, 0.0, 0.28))
"""The camera has turned by 40 degrees and gone by .3."""
STILL = CentrePrior(np.zeros(3), 0.083)


def seen(T_world_cam: Array, rays: Array, depth: Array, rel_sigma: float, guess: float = 1.0) -> PosePoints:
    """Landmarks on rays (N,3) at depths (N,) before a camera at the origin, thought to be at the depth `guess`, and
    where a camera at the pose sees them, to a fifth of a pixel."""
    pixels = CAMERA.project(se3.transform(se3.inverse(T_world_cam), rays * depth[:, None]))
    noise = np.random.default_rng(5).normal(0, 0.2, pixels.shape)
    return PosePoints(guess * rays, pixels + noise, guess * rays, np.full(len(depth), rel_sigma))


def wall_and_thing() -> tuple[Array, Array]:
    """Rays (150,3) to where the turned camera looks, and depths: of a wall at 11, and of a thing at 3 in a corner."""
    rng = np.random.default_rng(3)
    wall, thing = rng.uniform((200, 10), (312, 230), (125, 2)), rng.uniform((200, 20), (240, 60), (25, 2))
    return CAMERA.rays(np.concatenate([wall, thing])), np.repeat([11.0, 3.0], [125, 25])


def all_over(n: int, near: float = 3.0, far: float = 8.0) -> tuple[Array, Array]:
    """Rays (n,3) to where the turned camera looks, and depths (n,)."""
    rng = np.random.default_rng(2)
    return CAMERA.rays(rng.uniform((200, 10), (312, 230), (n, 2))), rng.uniform(near, far, n)


def test_a_turn_is_not_taken_for_a_motion_because_depths_are_guessed() -> None:
    """A pose for which guesses are nearly right is far off, with every landmark as it suits."""
    T = refine_pose(CAMERA, np.eye(4), seen(MOVED, *wall_and_thing(), 0.5), 1.0, iterations=15, prior=STILL).T_cam_world
    assert se3.angle_deg(T[:3, :3] @ MOVED[:3, :3]) > 5.0
    turned = se3.from_rt(MOVED[:3, :3].T, np.zeros(3))
    found = refine_with_depths(CAMERA, turned, seen(MOVED, *wall_and_thing(), 1.0), 0.5, 20, STILL)
    T_world_cam = se3.inverse(found.T_cam_world)
    assert se3.angle_deg(T_world_cam[:3, :3].T @ MOVED[:3, :3]) < 0.5
    centre, truth = T_world_cam[:3, 3], MOVED[:3, 3]
    cosine = centre @ truth / np.linalg.norm(centre) / np.linalg.norm(truth)
    assert cosine > 0.98, "in the right direction, of a length that nobody knows"


def test_it_costs_least_where_the_camera_is() -> None:
    points = seen(MOVED, *wall_and_thing(), 1.0, guess=8.0)
    right = refine_with_depths(CAMERA, se3.inverse(MOVED), points, 0.5, 0)
    for wrong in (pose((0, 3, 0)), pose((0, 0, 0), (0.2, 0, 0)), pose((0, -1, 0), (0, 0.1, 0))):
        there = refine_with_depths(CAMERA, se3.inverse(MOVED @ wrong), points, 0.5, 0)
        np.testing.assert_allclose(there.T_cam_world, se3.inverse(MOVED @ wrong), atol=1e-12)
        assert there.cost > right.cost + 20.0
    assert np.median(right.error_px) < 0.5, "every depth as it suits the pose"


@pytest.mark.parametrize("start", [pose((0, 30, 0)), MOVED @ pose((0, 0, 0), (0.3, -0.2, 0.1))])
@pytest.mark.parametrize("prior", [None, STILL])
def test_it_ends_where_no_pose_nearby_costs_less(start: Array, prior: CentrePrior | None) -> None:
    points = seen(MOVED, *wall_and_thing(), 0.5, guess=8.0)
    fit = refine_with_depths(CAMERA, se3.inverse(start), points, 0.5, 60, prior)
    assert fit.cost < refine_with_depths(CAMERA, se3.inverse(start), points, 0.5, 0, prior).cost
    for i in range(6):
        for step in (-3e-3, 3e-3):
            aside = se3.exp(step * np.eye(6)[i]) @ fit.T_cam_world
            assert refine_with_depths(CAMERA, aside, points, 0.5, 0, prior).cost > fit.cost - 0.5


def test_known_depths_give_the_pose_that_they_give_anyway() -> None:
    rays, depth = all_over(150)
    points = seen(MOVED, rays, depth, 0.05)
    exact = replace(points, landmarks=rays * depth[:, None], direction=rays * depth[:, None])
    start = se3.inverse(MOVED @ pose((0.5, -1, 0.5), (0.05, 0, -0.05)))
    fit, known = refine_with_depths(CAMERA, start, exact, 0.5, 20), refine_pose(CAMERA, start, exact, 0.5)
    angle, distance = pose_error(se3.inverse(fit.T_cam_world), MOVED)
    assert angle < 0.1
    assert distance < 0.02
    as_pose = fit.as_pose(3.0)
    assert as_pose.inliers.mean() > 0.95
    sigma, usual = (np.sqrt(np.diag(c)) for c in (as_pose.covariance, known.covariance))
    np.testing.assert_allclose(sigma, usual, rtol=0.1)
    assert as_pose.median_error_px == pytest.approx(known.median_error_px, rel=0.2)


def test_one_that_is_far_off_counts_for_little_and_is_no_inlier() -> None:
    points = seen(MOVED, *all_over(100), 0.5, guess=5.0)
    points.pixels[:20] += [0.0, 40.0]  # across the lines along which depths move them
    fit = refine_with_depths(CAMERA, se3.inverse(MOVED @ pose((0, 0.5, 0))), points, 0.5, 20)
    assert not fit.as_pose(3.5).inliers[:20].any()
    assert fit.as_pose(3.5).inliers[20:].mean() > 0.95
    assert pose_error(se3.inverse(fit.T_cam_world), MOVED)[0] < 0.6


def test_where_nothing_says_how_far_the_prior_does() -> None:
    """The length of the motion is a guess as well where all depths are."""
    points = seen(MOVED, *wall_and_thing(), 1.0)
    free = refine_with_depths(CAMERA, se3.inverse(MOVED), points, 0.5, 20)
    held = refine_with_depths(CAMERA, se3.inverse(MOVED), points, 0.5, 20, CentrePrior(np.zeros(3), 1e-5))
    lengths = [float(np.linalg.norm(se3.inverse(f.T_cam_world)[:3, 3])) for f in (free, held)]
    assert lengths[1] < 0.7 * lengths[0]
    known = refine_with_depths(CAMERA, held.T_cam_world, points, 0.5, 0)
    np.testing.assert_allclose(np.diag(held.information), np.diag(known.information), rtol=0.2)


def test_what_is_behind_the_camera_has_no_say() -> None:
    points = seen(MOVED, *all_over(100), 0.3, guess=5.0)
    points.landmarks[:5] *= -1.0
    points.direction[:5] *= -1.0
    fit = refine_with_depths(CAMERA, se3.inverse(MOVED @ pose((0, 1, 0))), points, 0.5, 20)
    assert np.isfinite(fit.T_cam_world).all()
    assert not fit.as_pose(3.5).inliers[:5].any()
    assert pose_error(se3.inverse(fit.T_cam_world), MOVED)[0] < 0.5
