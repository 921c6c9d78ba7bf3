"""Where a predicted window lies in the map: the scale from what both share."""

import numpy as np
import pytest
from synthetic import CAMERA, observe, pose, random_points

from vgslam.frontend.link import link
from vgslam.geometry import se3
from vgslam.types import Array, WindowInput, WindowPrediction

T_WORLD_FIRST = pose((10, -30, 5), (4.0, 1.0, -2.0))
SCALE = 2.5  # map units of one predicted unit
SMALL = CAMERA.resized(160, 120)


def poses(n: int = 4) -> Array:
    return np.stack([pose((0, 2.0 * i, 0), (0.3 * i, 0.05 * i, -0.3 * i)) for i in range(n)])


def prediction(T: Array, depth: Array | None = None, raw_scale: float = 1.0, n_landmarks: int = 0) -> WindowPrediction:
    d = np.zeros((len(T), 120, 160), np.float32) if depth is None else depth.astype(np.float32)
    return WindowPrediction(
        np.arange(len(T)), T, [SMALL] * len(T), d, (d > 0).astype(np.float32), raw_scale,
        landmark_ids=np.arange(n_landmarks), landmarks=np.ones((n_landmarks, 3)),
        landmark_rel_sigma=np.full(n_landmarks, 0.1),
    )  # fmt: skip


def window(T: Array | None, scale: float = SCALE, n_landmarks: int = 0) -> WindowInput:
    """A window with the map's poses (in map units) and landmarks seen in all images."""
    images = [np.zeros((240, 320, 3), np.uint8)] * (4 if T is None else len(T))
    if T is None:
        return WindowInput(np.arange(4), images, CAMERA)
    ours = T.copy()
    ours[:, :3, 3] *= scale
    points = scale * random_points(n_landmarks, seed=1) if n_landmarks else np.zeros((0, 3))
    scene = observe(ours, points) if n_landmarks else None
    if scene is None:
        return WindowInput(np.arange(len(T)), images, CAMERA, T_window_cam=ours)
    return WindowInput(
        np.arange(len(T)), images, CAMERA, scene.frame, 10 + 2 * scene.point, scene.pixels, ours,
        10 + 2 * np.arange(n_landmarks), points,
    )  # fmt: skip


def depth_at_landmarks(w: WindowInput, scale: float) -> Array:
    """Depth maps in predicted units, right at the observed landmarks and unknown elsewhere."""
    depth = np.zeros((len(w.frame_ids), 120, 160))
    for n, i, px in zip(w.track_frame, w.track_id, w.track_px):
        local = se3.transform(se3.inverse(w.T_window_cam[n]), w.landmarks[np.searchsorted(w.landmark_ids, i)][None])
        u, v = ((px + 0.5) / 2).astype(int)
        depth[n, v, u] = local[0, 2] / scale
    return depth


def test_first_camera_is_where_the_map_has_it() -> None:
    S = link(prediction(poses()), window(poses()), T_WORLD_FIRST)
    np.testing.assert_allclose(S.pose, T_WORLD_FIRST, atol=1e-12)


def test_scale_from_the_baselines() -> None:
    S = link(prediction(poses(), raw_scale=7.0), window(poses()), T_WORLD_FIRST)
    assert S.s == pytest.approx(SCALE, rel=1e-9)
    in_world = np.stack([S.compose_pose(T) for T in poses()])
    ours = T_WORLD_FIRST @ window(poses()).T_window_cam
    np.testing.assert_allclose(in_world, ours, atol=1e-9)


def test_one_wrong_baseline_does_not_decide() -> None:
    T = poses(6)
    T[3, :3, 3] *= 9.0
    assert link(prediction(T), window(poses(6)), T_WORLD_FIRST).s == pytest.approx(SCALE, rel=1e-9)


def test_scale_of_the_prediction_where_nothing_is_shared() -> None:
    assert link(prediction(poses(), raw_scale=7.0), window(None), T_WORLD_FIRST).s == pytest.approx(7.0)
    still = np.tile(np.eye(4), (4, 1, 1))
    assert link(prediction(still, raw_scale=7.0), window(still), T_WORLD_FIRST).s == pytest.approx(7.0)


def test_scale_from_shared_depth_goes_before_baselines() -> None:
    """A prediction with depth and bad baselines: the landmarks that both know decide."""
    w = window(poses(), n_landmarks=150)
    T = poses()
    T[:, :3, 3] *= 3.0
    S = link(prediction(T, depth_at_landmarks(w, SCALE)), w, T_WORLD_FIRST)
    assert S.s == pytest.approx(SCALE, rel=1e-3)


def test_wrong_depths_among_the_shared_ones_do_not_decide() -> None:
    w = window(poses(), n_landmarks=150)
    depth = depth_at_landmarks(w, SCALE)
    rng = np.random.default_rng(2)
    depth *= np.where(rng.random(depth.shape) < 0.3, 5.0, 1.0)
    S = link(prediction(poses(), depth), w, T_WORLD_FIRST)
    assert S.s == pytest.approx(SCALE, rel=0.1)


def test_too_little_shared_depth_leaves_the_baselines() -> None:
    w = window(poses(), n_landmarks=150)
    depth = 5.0 * depth_at_landmarks(w, SCALE)
    depth[1:] = 0.0
    rows, cols = np.nonzero(depth[0])
    depth[0, rows[12:], cols[12:]] = 0.0
    assert (depth > 0).sum() == 12  # seen by a few landmarks more, where two share a pixel
    assert link(prediction(poses(), depth), w, T_WORLD_FIRST).s == pytest.approx(SCALE, rel=1e-9)


def test_a_prediction_from_triangulation_is_linked_by_its_baselines() -> None:
    w = window(poses(), n_landmarks=150)
    S = link(prediction(poses(), 5.0 * depth_at_landmarks(w, SCALE), n_landmarks=3), w, T_WORLD_FIRST)
    assert S.s == pytest.approx(SCALE, rel=1e-9)


@pytest.mark.parametrize(("n", "scale"), [(20, 4.0), (19, 3.0)])
def test_twenty_landmarks_whose_depth_is_along_the_optical_axis_give_the_scale(n: int, scale: float) -> None:
    """Two cameras, the second turned by 90 degrees about y and 3 to the right of the first, where the prediction has it
    1 to the right. It alone sees landmarks, 8 along its axis (which points to x); they are predicted at 2. As many that
    lie behind it, wrongly followed, say nothing."""
    T = np.stack([np.eye(4), pose((0, 90, 0), (3.0, 0.0, 0.0))])
    predicted = T.copy()
    predicted[1, :3, 3] = [1.0, 0.0, 0.0]
    points = np.stack([np.full(n, 11.0), np.linspace(-1, 1, n), np.linspace(2, -2, n)], axis=1)
    local = se3.transform(se3.inverse(T[1]), points)
    np.testing.assert_allclose(local[:, 2], 8.0)
    points = np.concatenate([points, points - [20.0, 0.0, 0.0]])
    ids = np.arange(2 * n)
    w = WindowInput(
        np.arange(2), [np.zeros((240, 320, 3), np.uint8)] * 2, CAMERA, np.ones(2 * n, np.int64), ids,
        np.tile(CAMERA.project(local), (2, 1)), T, ids, points,
    )  # fmt: skip
    depth = np.full((2, 120, 160), 2.0)
    assert link(prediction(predicted, depth), w, T_WORLD_FIRST).s == pytest.approx(scale)
