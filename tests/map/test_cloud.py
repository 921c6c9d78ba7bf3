"""The coloured points of a map."""

import numpy as np
import pytest
from synthetic import CAMERA, pose

from vgslam.geometry.sim3 import Sim3
from vgslam.map.cloud import point_cloud
from vgslam.map.slam_map import SlamMap
from vgslam.types import Keyframe

SMALL = CAMERA.resized(32, 24)


def image() -> np.ndarray:
    """Red left half, blue right half."""
    out = np.zeros((240, 320, 3), np.uint8)
    out[:, :160, 0] = 200
    out[:, 160:, 2] = 150
    return out


def add_keyframe(m: SlamMap, S: Sim3, component_id: int = 0, depth: float | None = 3.0) -> Keyframe:
    k = Keyframe(len(m.keyframes), 0, 0.0, image(), CAMERA, S, component_id)
    if depth is not None:
        k.depth = np.full((24, 32), depth, np.float32)
        k.confidence = np.ones((24, 32), np.float32)
        k.depth_camera = SMALL
    m.add_keyframe(k, np.zeros(0), np.zeros((0, 2)))
    return k


def test_dense_depth_goes_into_the_world_with_its_keyframe_s_scale() -> None:
    m = SlamMap()
    S = Sim3.from_T(pose((0, 90, 0), (1, 2, 3)), 2.0)
    add_keyframe(m, S)
    points, colors = point_cloud(m)
    local = S.inverse().apply(points)
    assert points.shape == (24 * 32, 3)
    np.testing.assert_allclose(local[:, 2], 3.0, atol=1e-6)
    px = SMALL.project(local)
    np.testing.assert_allclose(px, px.round(), atol=1e-4)
    left = px[:, 0] < 15.5
    assert (colors[left] == [200, 0, 0]).all()
    assert (colors[~left] == [0, 0, 150]).all()


def test_doubtful_depth_is_left_out() -> None:
    m = SlamMap()
    k = add_keyframe(m, Sim3.identity())
    k.confidence[:, :10] = 0.4
    assert len(point_cloud(m)[0]) == 24 * 22
    assert len(point_cloud(m, min_confidence=0.3)[0]) == 24 * 32


def test_landmarks_that_are_triangulated_and_sure() -> None:
    m = SlamMap()
    add_keyframe(m, Sim3.from_T(pose((0, 0, 0), (5, 0, 0)), 3.0), depth=None)
    color = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.uint8)
    ids = m.landmarks.add(0, np.array([[0.0, 0, 1], [0, 0, 2], [0, 0, 3]]), np.array([0.05, 0.05, 0.5]), color)
    m.landmarks.is_triangulated[ids[[0, 2]]] = True
    points, colors = point_cloud(m)
    np.testing.assert_allclose(points, [[5, 0, 3]])
    np.testing.assert_array_equal(colors, [[1, 2, 3]])


def test_only_the_largest_component() -> None:
    m = SlamMap()
    add_keyframe(m, Sim3.identity(), component_id=0, depth=1.0)
    for _ in range(2):
        add_keyframe(m, Sim3.identity(), component_id=1, depth=2.0)
    ids = m.landmarks.add(0, np.ones((1, 3)), np.full(1, 0.01), np.zeros((1, 3), np.uint8))
    m.landmarks.is_triangulated[ids] = True
    points, _ = point_cloud(m)
    assert len(points) == 2 * 24 * 32
    np.testing.assert_allclose(points[:, 2], 2.0)


@pytest.mark.parametrize("limit", [1, 100, 767, 768, 10_000])
def test_no_more_points_than_asked_for(limit: int) -> None:
    m = SlamMap()
    add_keyframe(m, Sim3.identity())
    points, colors = point_cloud(m, max_points=limit)
    assert 0 < len(points) <= limit
    assert len(points) == len(colors)
    assert len(points) >= min(limit, 768) / 2  # not thinned more than a whole step


@pytest.mark.parametrize("limit", [50, 300, 2000, 5000])
def test_many_keyframes_are_thinned_evenly(limit: int) -> None:
    m = SlamMap()
    for k in range(12):
        add_keyframe(m, Sim3.from_T(pose((0, 0, 0), (0, 0, 100.0 * k))))
    points, colors = point_cloud(m, max_points=limit)
    assert limit / 4 < len(points) == len(colors) <= limit
    of_keyframe = np.bincount((points[:, 2] // 100).astype(int), minlength=12)
    assert of_keyframe.min() > 0.5 * of_keyframe.max()


def test_one_component_is_chosen() -> None:
    m = SlamMap()
    add_keyframe(m, Sim3.identity(), component_id=0, depth=1.0)
    for _ in range(2):
        add_keyframe(m, Sim3.identity(), component_id=1, depth=2.0)
    np.testing.assert_allclose(point_cloud(m, component_id=0)[0][:, 2], 1.0)
    assert len(point_cloud(m, component_id=7)[0]) == 0


def test_an_empty_map() -> None:
    points, colors = point_cloud(SlamMap())
    assert points.shape == (0, 3)
    assert colors.shape == (0, 3)
