"""Structure from motion: the geometry of a window from its feature tracks alone, without a network."""

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH
from vgslam.multiview.plane_sweep import PlaneSweepConfig, plane_sweep
from vgslam.multiview.pnp import PosePoints, refine_pose
from vgslam.multiview.triangulate import triangulate
from vgslam.multiview.two_view import TwoViewConfig, TwoViewVerdict, two_view
from vgslam.types import Array, Camera, Float32, Ids, MadeBy, WindowInput, WindowPrediction

MIN_ANGLE_DEG = 0.8
"""Least angle between two rays of a new landmark: at a focal length of 600 px one pixel then is 12 % of its depth."""
MAX_RESIDUAL_PX = 2.5
"""Largest distance of a new landmark from where it was seen, in px: as `MapperConfig.max_residual_px` later."""
MIN_SEEN = 15
"""Landmarks that a view between the first and the last has to see, as a tracked frame (`TrackerConfig.min_inliers`)."""
START_REL_SIGMA = 0.01
"""Relative deviation of depth with which these are taken: two views alone made them, and nothing else is known."""
MIN_DENSE = 20
"""Least landmarks in view that set the range of a plane sweep."""
REL_SIGMA_RANGE = (0.005, 0.3)
"""Least and largest relative deviation of depth of a new landmark; a pixel is not the only error, and more than the
largest is no better than a guess."""


class WindowSfm:
    """Two-view initialisation (refused under low parallax or pure rotation), triangulation of new tracks, and dense
    depth by plane sweep for the frames that ask for it."""

    def __init__(self, two_view_config: TwoViewConfig | None = None) -> None:
        self._two_view = two_view_config or TwoViewConfig()
        self._sweep = PlaneSweepConfig()

    def predict(self, window: WindowInput) -> WindowPrediction | None:
        """Without earlier poses: the relative pose of the first and last image, None if it is not determined.
        With them: the poses as given, and landmarks for the tracks that show enough parallax."""
        if window.T_window_cam is None:
            T = self._initial_poses(window)
            if T is None:
                return None
        else:
            T = window.T_window_cam
        ids, points, rel_sigma = _new_landmarks(window, T)
        known_ids = np.concatenate([window.landmark_ids, ids])
        known = np.concatenate([window.landmarks, points])
        depth, confidence, cameras = self._dense(window, T, known_ids, known)
        unit = _median_depth(T, window, known_ids, known)
        T = T.copy()
        T[:, :3, 3] /= unit
        return WindowPrediction(
            window.frame_ids, T, cameras, depth / np.float32(unit), confidence, raw_scale=unit, made_by=MadeBy.TRACKS,
            landmark_ids=ids, landmarks=points / unit, landmark_rel_sigma=rel_sigma,
        )  # fmt: skip

    def _initial_poses(self, window: WindowInput) -> Array | None:
        last = len(window.frame_ids) - 1
        a, b, _ = _common(window, 0, last)
        found = two_view(window.camera, a, b, self._two_view)
        if found.verdict is not TwoViewVerdict.OK:
            return None
        T = np.tile(np.eye(4), (last + 1, 1, 1))
        T[last] = found.T_a_b
        if last > 1 and not self._resect_middle(window, T):
            return None
        return T

    def _resect_middle(self, window: WindowInput, T: Array) -> bool:
        """Fill in the poses between the first and the last image, from the landmarks of these two; False if one of
        them does not see enough."""
        last = len(T) - 1
        a, b, ids = _common(window, 0, last)
        n = len(ids)
        pair = triangulate(
            window.camera, T[[0, last]], np.repeat([0, 1], n), np.tile(np.arange(n), 2), np.concatenate([a, b])
        )
        good = pair.is_valid & (pair.angle_deg > MIN_ANGLE_DEG) & (pair.residual_px < MAX_RESIDUAL_PX)
        for i in range(1, last):
            at = window.track_frame == i
            _, known, seen = np.intersect1d(ids[good], window.track_id[at], return_indices=True)
            if len(known) < MIN_SEEN:
                return False
            X = pair.points[good][known]
            points = PosePoints(X, window.track_px[at][seen], X, np.full(len(X), START_REL_SIGMA))
            fits = [refine_pose(window.camera, start, points) for start in (np.eye(4), se3.inverse(T[last]))]
            fit = max(fits, key=lambda f: int(f.inliers.sum()))
            if fit.inliers.sum() < MIN_SEEN:
                return False
            T[i] = se3.inverse(fit.T_cam_world)
        return True

    def _dense(
        self, window: WindowInput, T: Array, ids: Ids, points: Array
    ) -> tuple[Float32, Float32, list[Camera]]:
        camera = self._sweep.depth_camera(window.camera)
        n = len(window.frame_ids)
        depth = np.zeros((n, camera.height, camera.width), np.float32)
        confidence = np.zeros_like(depth)
        for i in window.dense_frames:
            seen = np.isin(ids, window.track_id[window.track_frame == i], kind="table")
            local = se3.transform(se3.inverse(T[i]), points[seen])
            z = local[local[:, 2] > MIN_DEPTH, 2]
            if len(z) < MIN_DENSE:
                continue
            depth[i], confidence[i] = plane_sweep(window.images, camera, T, i, z, self._sweep)
        return depth, confidence, [camera] * n


def _common(window: WindowInput, first: int, second: int) -> tuple[Array, Array, Ids]:
    """Pixels in two window frames of the tracks that both see, and their ids."""
    a, b = window.track_frame == first, window.track_frame == second
    ids, ia, ib = np.intersect1d(window.track_id[a], window.track_id[b], return_indices=True)
    return window.track_px[a][ia], window.track_px[b][ib], ids


def _new_landmarks(window: WindowInput, T: Array) -> tuple[Ids, Array, Array]:
    """Ids, points (L,3) and relative depth deviations of the tracks that can be triangulated now."""
    todo = ~np.isin(window.track_id, window.landmark_ids, kind="table")
    frame, ids, px = window.track_frame[todo], window.track_id[todo], window.track_px[todo]
    _, index, count = np.unique(ids, return_inverse=True, return_counts=True)
    twice = (count >= 2)[index]
    if not twice.any():
        return np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros(0)
    unique, index = np.unique(ids[twice], return_inverse=True)
    found = triangulate(window.camera, T, frame[twice], index, px[twice])
    good = found.is_valid & (found.angle_deg > MIN_ANGLE_DEG) & (found.residual_px < MAX_RESIDUAL_PX)
    # the depth error of a ray intersection is the pixel error over the parallax
    rel_sigma = np.clip(1.0 / window.camera.fx / np.radians(np.maximum(found.angle_deg, 1e-6)), *REL_SIGMA_RANGE)
    return unique[good], found.points[good], rel_sigma[good]


def _median_depth(T: Array, window: WindowInput, ids: Ids, points: Array) -> float:
    """Median depth of the landmarks over all their observations; 1 if there are none."""
    seen = np.isin(window.track_id, ids, kind="table")
    if not seen.any():
        return 1.0
    order = np.argsort(ids)
    at = points[order[np.searchsorted(ids[order], window.track_id[seen])]]
    frame = window.track_frame[seen]
    z = ((at - T[frame, :3, 3]) * T[frame, :3, 2]).sum(1)
    z = z[z > 1e-6]
    return float(np.median(z)) if len(z) else 1.0
