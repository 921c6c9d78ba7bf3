"""Structure from motion on windows with known geometry."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import CAMERA, PointScene, observe, pose, pose_error, random_points, render, room

from vgslam.frontend.sfm import WindowSfm
from vgslam.geometry import se3
from vgslam.types import Array, MadeBy, WindowInput, WindowPrediction

BLANK = np.zeros((240, 320, 3), np.uint8)


def path(n: int, length: float = 1.6) -> Array:
    """n cameras from the identity, moving sideways and a little ahead."""
    s = np.linspace(0, length, n)
    return np.stack([pose((0.5 * x, -2.0 * x, x), (x, -0.1 * x, 0.2 * x)) for x in s])


def window_of(scene: PointScene, **changes: object) -> WindowInput:
    """Tracks of a scene; landmark ids are 100 + 3 x the point's index."""
    n = len(scene.T_world_cam)
    w = WindowInput(
        np.arange(50, 50 + n), [BLANK] * n, CAMERA, scene.frame, 100 + 3 * scene.point, scene.pixels
    )
    return replace(w, **changes)


def ids_of(points: Array) -> Array:
    return 100 + 3 * np.arange(len(points))


def scaled_error(found: WindowPrediction, truth: Array) -> tuple[float, float]:
    """Largest angle (deg) and position error relative to the path, after the scale of the last baseline."""
    s = np.linalg.norm(truth[-1, :3, 3]) / np.linalg.norm(found.T_window_cam[-1, :3, 3])
    T = found.T_window_cam.copy()
    T[:, :3, 3] *= s
    errors = [pose_error(a, b) for a, b in zip(T, truth)]
    return max(e[0] for e in errors), max(e[1] for e in errors) / float(np.linalg.norm(truth[-1, :3, 3]))


@pytest.mark.parametrize("n", [2, 4])
def test_initial_geometry(n: int) -> None:
    truth, points = path(n), random_points(300, seed=0)
    found = WindowSfm().predict(window_of(observe(truth, points, noise_px=0.3, seed=1)))
    assert found is not None
    angle, distance = scaled_error(found, truth)
    assert angle < 0.5
    assert distance < 0.06
    scale = np.linalg.norm(truth[-1, :3, 3]) / np.linalg.norm(found.T_window_cam[-1, :3, 3])
    expected = points[(found.landmark_ids - 100) // 3]
    error = np.linalg.norm(scale * found.landmarks - expected, axis=1) / expected[:, 2]
    assert len(expected) > 150
    assert np.median(error) < 0.03
    assert (found.landmark_rel_sigma > 0).all()


@pytest.mark.parametrize("n", [2, 4])
def test_gauge(n: int) -> None:
    """First camera the identity, median depth 1, and raw_scale takes the reconstruction's own unit back."""
    found = WindowSfm().predict(window_of(observe(path(n), random_points(300, seed=2), noise_px=0.3, seed=3)))
    assert found is not None
    np.testing.assert_array_equal(found.T_window_cam[0], np.eye(4))
    local = [se3.transform(se3.inverse(T), found.landmarks)[:, 2] for T in found.T_window_cam]
    assert np.median(np.concatenate(local)) == pytest.approx(1.0, rel=0.1)
    # two views have no scale: their own unit is the baseline
    raw_baseline = found.raw_scale * np.linalg.norm(found.T_window_cam[-1, :3, 3])
    assert raw_baseline == pytest.approx(1.0, rel=1e-9)
    np.testing.assert_array_equal(found.frame_ids, np.arange(50, 50 + n))
    assert found.made_by is MadeBy.TRACKS
    assert not found.is_metric


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("noise_px", [0.0, 0.4])
def test_rotation_is_refused(n: int, noise_px: float) -> None:
    turned = np.stack([pose((i, 4.0 * i, 0.5 * i)) for i in range(n)])
    assert WindowSfm().predict(window_of(observe(turned, random_points(300, seed=4), noise_px, seed=5))) is None


def test_little_parallax_is_refused() -> None:
    scene = observe(path(2, length=0.15), random_points(300, seed=6), noise_px=0.3, seed=7)
    assert WindowSfm().predict(window_of(scene)) is None


def test_a_middle_view_that_sees_too_little_is_refused() -> None:
    scene = observe(path(4), random_points(300, seed=8), noise_px=0.3, seed=9)
    keep = (scene.frame != 2) | (scene.point < 10)
    poor = replace(scene, frame=scene.frame[keep], point=scene.point[keep], pixels=scene.pixels[keep])
    assert WindowSfm().predict(window_of(poor)) is None


def test_no_tracks_at_all_are_refused() -> None:
    assert WindowSfm().predict(WindowInput(np.arange(2), [BLANK] * 2, CAMERA)) is None


def later(noise_px: float = 0.3, unit: float = 1.0) -> tuple[WindowInput, Array, np.ndarray]:
    """A window whose poses the map knows, and every second landmark; the true points and which are known."""
    truth, points = path(4), random_points(300, seed=10)
    scene = observe(truth, points, noise_px, seed=11)
    known = np.arange(300) % 2 == 0
    T = truth.copy()
    T[:, :3, 3] *= unit
    w = window_of(scene, T_window_cam=T, landmark_ids=ids_of(points)[known], landmarks=unit * points[known])
    return w, points, known


@pytest.mark.parametrize("unit", [1.0, 4.0])
def test_later_windows_keep_the_poses(unit: float) -> None:
    w, points, known = later(unit=unit)
    found = WindowSfm().predict(w)
    assert found is not None
    T = found.T_window_cam.copy()
    T[:, :3, 3] *= found.raw_scale
    np.testing.assert_allclose(T, w.T_window_cam, atol=1e-9)
    index = (found.landmark_ids - 100) // 3
    assert not known[index].any()  # what the map knows is not made anew
    error = np.linalg.norm(found.raw_scale * found.landmarks / unit - points[index], axis=1) / points[index, 2]
    assert len(index) > 80
    assert np.median(error) < 0.02
    assert np.percentile(error, 95) < 0.1


def test_depth_deviation_is_that_of_the_errors() -> None:
    """rel_sigma promises the relative depth error for a pixel of noise: normalised errors are of order one."""
    w, points, _ = later(noise_px=1.0)
    found = WindowSfm().predict(w)
    assert found is not None
    z = found.raw_scale * found.landmarks[:, 2]
    normalised = (z / points[(found.landmark_ids - 100) // 3, 2] - 1.0) / found.landmark_rel_sigma
    assert 0.3 < np.sqrt(np.median(normalised**2)) / 0.6745 < 2.0


def test_landmarks_without_parallax_or_fit_are_left_out() -> None:
    w, points, known = later()
    far = np.array([[0.5, 0.2, 900.0], [-40.0, 10.0, 1500.0]])  # parallax of a tenth of a degree
    scene = observe(w.T_window_cam, far)
    wrong = ids_of(points)[~known][:5]
    px = w.track_px.copy()
    for i in wrong:
        px[np.flatnonzero(w.track_id == i)[0]] += [0.0, 25.0]
    w = replace(
        w, track_frame=np.concatenate([w.track_frame, scene.frame]), track_px=np.concatenate([px, scene.pixels]),
        track_id=np.concatenate([w.track_id, 9000 + scene.point]),
    )  # fmt: skip
    found = WindowSfm().predict(w)
    assert found is not None
    assert not np.isin(found.landmark_ids, [9000, 9001]).any()
    seen_twice = [i for i in wrong if (w.track_id == i).sum() >= 2]
    assert len(seen_twice) >= 3
    assert not np.isin(found.landmark_ids, seen_twice).any()


def test_tracks_seen_once_are_no_landmarks() -> None:
    w, _, known = later()
    once = int(100 + 3 * np.flatnonzero(~known)[0])
    keep = (w.track_id != once) | (w.track_frame == 0)
    found = WindowSfm().predict(
        replace(w, track_frame=w.track_frame[keep], track_id=w.track_id[keep], track_px=w.track_px[keep])
    )
    assert found is not None
    assert once not in found.landmark_ids


def test_dense_depth_where_it_is_wanted_in_the_window_s_unit() -> None:
    truth = path(4, length=0.9)
    rendered = [render(room(), CAMERA, T) for T in truth]
    grid = np.stack(np.meshgrid(np.arange(15, 310, 20), np.arange(15, 230, 20)), axis=-1).reshape(-1, 2)
    depth = rendered[0][1][grid[:, 1], grid[:, 0]]
    points = CAMERA.rays(grid) * depth[:, None]
    scene = observe(truth, points)
    w = window_of(
        scene, images=[image for image, _ in rendered], T_window_cam=truth, landmark_ids=ids_of(points),
        landmarks=points, dense_frames=(1,),
    )  # fmt: skip
    found = WindowSfm().predict(w)
    assert found is not None
    assert not found.depth[[0, 2, 3]].any()
    small = found.cameras[1]
    assert found.depth.shape == (4, small.height, small.width)
    expected = render(room(), small, truth[1])[1]
    sure = found.confidence[1] > 0.5
    assert sure.mean() > 0.4
    assert np.median(np.abs(found.raw_scale * found.depth[1][sure] / expected[sure] - 1)) < 0.02
