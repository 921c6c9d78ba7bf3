"""Dense depth of rendered planes with known depth."""

from functools import cache

import numpy as np
import pytest
from synthetic import CAMERA, TexturedPlane, plane, pose, render, room

from vgslam.multiview.plane_sweep import PlaneSweepConfig, _smooth_paths, plane_sweep
from vgslam.types import Array, Float32, Image

CONFIG = PlaneSweepConfig()
SMALL = CONFIG.depth_camera(CAMERA)
POSES = np.stack([
    pose((0, 0, 0), (-0.5, 0, 0)), pose((0, 1, 0), (-0.25, 0.1, 0)), pose(), pose((0, -1, 0.5), (0.3, -0.1, 0.1)),
    pose((0.5, 0, 0), (0.1, 0.5, 0)),
])  # fmt: skip
REFERENCE = 2


@cache
def views(scene: str) -> tuple[list[Image], Float32]:
    """Images at POSES, and the reference's true depth at the depth map's resolution."""
    planes = [plane((0, 0, 4), 8.0, seed=1, size=2048, yaw_deg=35)] if scene == "slanted" else room()
    images = [render(planes, CAMERA, T)[0] for T in POSES]
    return images, render(planes, SMALL, POSES[REFERENCE])[1]


def sweep(scene: str, **changes: object) -> tuple[Float32, Float32, Float32]:
    """Depth, confidence, truth."""
    images, truth = views(scene)
    config = PlaneSweepConfig(**changes)
    known = truth[truth > 0][::97].astype(np.float64)
    depth, confidence = plane_sweep(images, SMALL, POSES, REFERENCE, known, config)
    return depth, confidence, truth


def relative_error(depth: Float32, truth: Float32, where: Array) -> Array:
    return np.abs(depth[where] / truth[where] - 1.0)


@pytest.mark.parametrize("scene", ["slanted", "room"])
def test_depth_is_right_where_it_is_confident(scene: str) -> None:
    depth, confidence, truth = sweep(scene)
    sure = (confidence > 0.5) & (truth > 0)
    assert sure.mean() > 0.4
    error = relative_error(depth, truth, sure)
    assert np.median(error) < 0.02
    assert (error < 0.05).mean() > 0.9


def test_depth_has_no_bias_between_the_planes() -> None:
    """The parabola between planes: a median signed error much smaller than the planes' distance."""
    depth, confidence, truth = sweep("slanted", n_planes=24)
    sure = confidence > 0.5
    signed = depth[sure] / truth[sure] - 1.0
    step = (1.0 / (truth.min() * 0.6) - 1.0 / (truth.max() * 1.6)) / 23 * np.median(truth)
    assert step > 0.05
    assert abs(np.median(signed)) < 0.2 * step
    assert np.median(np.abs(signed)) < 0.25 * step  # rounding to the nearest plane leaves a quarter of the step


def test_confidence_orders_the_errors() -> None:
    depth, confidence, truth = sweep("room", n_sources=1)
    known = (depth > 0) & (truth > 0)
    error = np.abs(np.log(depth[known] / truth[known]))
    order = np.argsort(-confidence[known], kind="stable")
    thirds = [float((error[part] > 0.05).mean()) for part in np.array_split(order, 3)]
    assert thirds[0] < 0.5 * thirds[2]
    assert thirds[0] <= thirds[1] <= thirds[2]


def test_textureless_areas_are_not_confident() -> None:
    images, truth = views("slanted")
    even = [im.copy() for im in images]
    for im in even:
        im[80:160, 100:220] = 120  # a flat patch fixed to the lens: no depth can be read off it
    known = truth[truth > 0][::97].astype(np.float64)
    _, confidence = plane_sweep(even, SMALL, POSES, REFERENCE, known, CONFIG)
    _, before = plane_sweep(images, SMALL, POSES, REFERENCE, known, CONFIG)
    inside = np.zeros(truth.shape, bool)
    inside[45:75, 55:105] = True
    assert before[inside].mean() > 0.4
    assert confidence[inside].mean() < 0.05


def test_shapes_and_ranges() -> None:
    depth, confidence, truth = sweep("room")
    assert depth.shape == confidence.shape == truth.shape == (120, 160)
    assert depth.dtype == confidence.dtype == np.float32
    assert np.isfinite(depth).all()
    assert (depth >= 0).all()
    assert confidence.min() >= 0
    assert confidence.max() <= 1
    assert (confidence[depth == 0] == 0).all()
    low, high = np.percentile(truth[truth > 0], [2, 98])
    assert depth[depth > 0].min() > 0.55 * low
    assert depth.max() < 1.7 * high


def test_the_unit_of_length_does_not_matter() -> None:
    images, truth = views("room")
    known = truth[truth > 0][::97].astype(np.float64)
    scaled = POSES.copy()
    scaled[:, :3, 3] *= 50.0
    depth, confidence = plane_sweep(images, SMALL, POSES, REFERENCE, known, CONFIG)
    far, far_confidence = plane_sweep(images, SMALL, scaled, REFERENCE, 50.0 * known, CONFIG)
    same = (depth > 0) & (far > 0)
    assert same.mean() > 0.98 * (depth > 0).mean()
    assert np.median(np.abs(far[same] / depth[same] / 50.0 - 1)) < 1e-4
    assert np.abs(far_confidence - confidence).mean() < 0.01


def test_no_useful_neighbour_gives_no_depth() -> None:
    images, truth = views("slanted")
    known = truth[truth > 0][::97].astype(np.float64)
    same_place = np.stack([pose((0, float(i), 0)) for i in range(5)])
    too_far = np.stack([pose((0, 0, 0), (9.0 * i, 0, 0)) for i in range(5)])
    other_way = np.stack([pose((0, 0, 0)) if i == 2 else pose((0, 60.0, 0), (0.3, 0, 0)) for i in range(5)])
    for T in (same_place, too_far, other_way):
        depth, confidence = plane_sweep(images, SMALL, T, REFERENCE, known, CONFIG)
        assert not depth.any()
        assert not confidence.any()


def test_depth_beyond_the_swept_range_is_not_claimed() -> None:
    """The landmarks say that everything is four times nearer than it is: the best plane is then the farthest."""
    images, truth = views("slanted")
    known = truth[truth > 0][::97].astype(np.float64)
    depth, confidence = plane_sweep(images, SMALL, POSES, REFERENCE, 0.25 * known, CONFIG)
    right, _ = plane_sweep(images, SMALL, POSES, REFERENCE, known, CONFIG)
    assert (depth > 0).mean() < 0.5 * (right > 0).mean()
    assert (confidence > 0.5).mean() < 0.05


def test_edges_along_the_baseline_are_not_confident() -> None:
    """Level stripes seen from both sides correlate perfectly at every depth: nothing wins clearly."""
    stripes = np.tile(np.where(np.arange(2048) // 16 % 2 == 0, 60, 190).astype(np.uint8)[:, None], (1, 2048))
    wall = TexturedPlane(np.array([0.0, 0.0, 4.0]), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), 8.0, stripes)
    T = np.stack([pose(), pose((0, 0, 0), (0.6, 0, 0)), pose((0, 0, 0), (-0.6, 0, 0))])
    images = [render([wall], CAMERA, x)[0] for x in T]
    depth, confidence = plane_sweep(images, SMALL, T, 0, np.linspace(3.0, 6.0, 50), CONFIG)
    assert (depth > 0).any()
    assert (confidence > 0.5).mean() < 0.02


def test_noise_is_smoothed_over() -> None:
    images, truth = views("slanted")
    rng = np.random.default_rng(1)
    noisy = [np.clip(im + rng.normal(0, 40, im.shape[:2])[:, :, None], 0, 255).astype(np.uint8) for im in images]
    known = truth[truth > 0][::97].astype(np.float64)
    depth, _ = plane_sweep(noisy, SMALL, POSES, REFERENCE, known, PlaneSweepConfig(n_sources=1))
    error = relative_error(depth, truth, depth > 0)
    assert (depth > 0).mean() > 0.5
    rough, _ = plane_sweep(
        noisy, SMALL, POSES, REFERENCE, known, PlaneSweepConfig(n_sources=1, penalty_small=0.0, penalty_large=0.0)
    )
    unsmoothed = relative_error(rough, truth, rough > 0)
    assert (error > 0.1).mean() < 0.5 * (unsmoothed > 0.1).mean()


def test_wrong_poses_are_seen_in_the_confidence() -> None:
    images, truth = views("slanted")
    known = truth[truth > 0][::97].astype(np.float64)
    wrong = np.stack([pose((4.0, 0, 3.0)) @ T if i != REFERENCE else T for i, T in enumerate(POSES)])
    _, confidence = plane_sweep(images, SMALL, wrong, REFERENCE, known, CONFIG)
    _, right = plane_sweep(images, SMALL, POSES, REFERENCE, known, CONFIG)
    assert (confidence > 0.5).mean() < 0.3 * (right > 0.5).mean()


def test_depth_camera_sees_the_same_field() -> None:
    assert (SMALL.width, SMALL.height) == (160, 120)
    np.testing.assert_allclose(SMALL.fov_deg, CAMERA.fov_deg, atol=1e-9)
    tiny = CAMERA.resized(100, 75)
    assert CONFIG.depth_camera(tiny).width == 100  # never enlarged


def along(costs: np.ndarray, small: float, large: float) -> np.ndarray:
    """Path costs (n,P) of lines with costs (n,P), from the first to the last: Hirschmueller's eq. 13, one by one."""
    out = costs.copy()
    for i in range(1, len(costs)):
        before = out[i - 1]
        for p in range(costs.shape[1]):
            beside = [before[q] + small for q in (p - 1, p + 1) if 0 <= q < costs.shape[1]]
            out[i, p] += min([before[p], before.min() + large, *beside]) - before.min()
    return out


def test_paths_come_from_all_four_sides():
    cost = np.random.default_rng(5).random((6, 4, 7))
    expected = np.zeros_like(cost)
    for row in range(4):
        lines = cost[:, row].T
        expected[:, row] += (along(lines, 0.06, 0.35) + along(lines[::-1], 0.06, 0.35)[::-1]).T
    for column in range(7):
        lines = cost[:, :, column].T
        expected[:, :, column] += (along(lines, 0.06, 0.35) + along(lines[::-1], 0.06, 0.35)[::-1]).T
    np.testing.assert_allclose(_smooth_paths(cost, 0.06, 0.35), expected, rtol=1e-12)
