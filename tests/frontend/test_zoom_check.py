"""A focal length that changes is measured where depth varies, and told; a wrong calibration is no zoom."""

from dataclasses import replace

import numpy as np
import pytest

from vgslam.frontend.tracker import Tracker, TrackerConfig
from vgslam.frontend.zoom_check import ZoomWatch, focal_change
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap
from vgslam.multiview.pnp import PosePoints, refine_pose

CAMERA = Camera.from_fov(640, 480, 65.0)


def zoomed_view(zoom: float, flat: bool = False, n: int = 200, seed: int = 0):
    """Points as a lens with `zoom` times the focal length sees them, and the pose found with the camera's own."""
    rng = np.random.default_rng(seed)
    px = rng.uniform([20, 20], [620, 460], (n, 2))
    depth = np.full(n, 3.0) if flat else rng.uniform(1.5, 8.0, n)
    X = CAMERA.rays(px) * depth[:, None]
    lens = replace(CAMERA, fx=CAMERA.fx * zoom, fy=CAMERA.fy * zoom)
    T = se3.exp(np.array([0.01, 0.02, 0.0, 0.1, 0.0, 0.05]))
    pixels = lens.project(se3.transform(T, X)) + rng.normal(0, 0.5, (n, 2))
    points = PosePoints(X, pixels, X, np.full(n, 0.005))
    return points, refine_pose(CAMERA, T, points, 0.7, gate=20.0).T_cam_world


@pytest.mark.parametrize("zoom", [0.97, 1.0, 1.01, 1.04])
def test_the_change_is_measured(zoom):
    change, deviation = focal_change(CAMERA, *zoomed_view(zoom), 0.7)
    assert change == pytest.approx(np.log(zoom), abs=max(4 * deviation, 0.003))
    assert deviation < 0.005


def test_a_flat_scene_leaves_it_open_and_few_points_too():
    facing = focal_change(CAMERA, *zoomed_view(1.02, flat=True), 0.7)[1]
    assert facing > 5 * focal_change(CAMERA, *zoomed_view(1.02), 0.7)[1]
    assert focal_change(CAMERA, *zoomed_view(1.02, n=20), 0.7) == (0.0, np.inf)


def notes_of(changes: list[tuple[float, float]]) -> list[str]:
    notes: list[str] = []
    slam_map = SlamMap()
    watch = ZoomWatch(Tracker(CAMERA, slam_map, TrackerConfig()), notes)
    for i, (change, deviation) in enumerate(changes):
        watch.take(i, change, deviation)
    return notes


def test_a_zoom_is_told_once_with_its_frames():
    notes = notes_of([(0.0, 0.001)] * 10 + [(0.04, 0.002)] * 3 + [(0.0, 0.001)] * 5)
    assert len(notes) == 1
    assert "11-13" in notes[0]


@pytest.mark.parametrize("changes", [
    [(0.03, 0.001)] * 40,  # a wrong calibration
    [(0.0, 0.001)] * 10 + [(0.04, 0.002)] + [(0.0, 0.001)] * 5,  # one bad frame
    [(0.0, 0.001)] * 10 + [(0.018, 0.003)] * 5,  # depths of neighbours that err alike
    [(0.0, 0.001)] * 10 + [(0.05, 0.03)] * 10,  # not determined
    [(0.0, 0.001)] * 10 + [(0.04, 0.001), (-0.04, 0.001)] * 6,  # no direction
    [(0.5, np.inf)] * 20,
])  # fmt: skip
def test_a_fixed_lens_is_not_told_of(changes):
    assert notes_of(changes) == []
