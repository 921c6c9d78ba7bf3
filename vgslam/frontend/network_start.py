"""The start of a component from a network's depth, believed only if feature tracks that it has not seen agree.

The network sees the two images and never the tracks. One half of these gives the pose of the second view at the
predicted depth; the other half is held out. Its errors must be small, and smaller than with the same depth
everywhere, or the depth says nothing. How much the depth of the held-out tracks, as the motion between the views shows
it, differs from what was predicted is the deviation that the depth gets: that is measured, not what the network claims.
"""

from dataclasses import dataclass, replace

import numpy as np

from vgslam.frontend.measured_depth import depth_of
from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH, Camera
from vgslam.multiview.pnp import PosePoints, refine_pose
from vgslam.types import Array, Ids, WindowInput, WindowPrediction

FIRST_ASK_S, MOST_BETWEEN_S = 0.5, 2.0
"""Time without a start after which a network is asked first, and the longest from one question to the next."""
MIN_TRACKS = 40
"""Least tracks with a predicted depth: half of them give the pose, and twenty others have to agree."""
MAX_ACROSS_PX = 2.0
"""Largest distance of a held-out track from its epipolar line, twice that of two views without a network: half of the
tracks and a depth that is partly wrong make a less exact pose."""
MIN_AGREEING = 0.6
"""Least share of the held-out tracks within that, as for two views without a network."""
MAX_OF_FLAT = 0.9
"""Largest median error of the held-out tracks, as a share of the one with the same depth everywhere."""
MIN_PARALLAX_PX, MIN_MEASURED = 4.0, 15
"""Parallax of a track whose depth is measured, several times the noise of a pixel, and how many of them there must be.
"""
REL_SIGMA_RANGE = (0.1, 0.4)
"""Least and largest relative deviation of depth: neighbouring errors are alike, and more is no better than a guess."""
LIMITS = (0.05, 20.0)
"""Where a factor on a depth is cut off: a track that runs the other way has none."""
FIT_REL_SIGMA, STEPS = 0.15, 15
"""Relative deviation of depth while the pose is fitted, and steps to it, whose start is far off."""


@dataclass(frozen=True)
class DepthTrial:
    """How well tracks agree with a depth map."""

    T_cam_first: Array
    """(4,4): the second view, from the half of the tracks."""
    errors_px: Array
    """Distances (M,) of the held-out tracks from where depth and pose put them."""
    across_px: Array
    """Their distances (M,) from their epipolar lines, which do not depend on the depth; from the point where there is
    hardly any parallax."""
    log_ratio: Array
    """Logarithm (K,) of the depth that the motion shows over the predicted one, for held-out tracks with parallax."""

    @property
    def rel_sigma(self) -> float:
        """Robust deviation of the logarithm of depth; infinite where too little parallax measures it."""
        if len(self.log_ratio) < MIN_MEASURED:
            return float("inf")
        return 1.48 * float(np.median(np.abs(self.log_ratio - np.median(self.log_ratio))))


class AskTimes:
    """When a start that geometry does not find is asked for, by the times of the frames: after FIRST_ASK_S, or when the
    first view leaves the image before, and then after as long again as has been waited already, MOST_BETWEEN_S at most.
    """

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._next_s = np.inf
        self._has_asked = False

    def see(self, timestamp_s: float) -> None:
        """A view that could not begin anything."""
        if self._since_s is None:
            self._since_s, self._next_s = timestamp_s, timestamp_s + FIRST_ASK_S

    def is_due(self, timestamp_s: float, is_leaving: bool = False) -> bool:
        """Whether to ask at a view; is_leaving: the first view is about to leave the image."""
        return timestamp_s >= self._next_s or (is_leaving and not self._has_asked)

    def asked(self, timestamp_s: float) -> None:
        """The network was asked at a view, and nothing began."""
        self._has_asked = True
        waited_s = timestamp_s - (timestamp_s if self._since_s is None else self._since_s)
        self._next_s = timestamp_s + min(max(waited_s, FIRST_ASK_S), MOST_BETWEEN_S)


def verified_start(prediction: WindowPrediction, window: WindowInput) -> WindowPrediction | None:
    """The prediction with its last pose from the tracks of `window`, of whose first image it has the depth, and
    landmarks with a measured deviation; None if the tracks do not agree with it."""
    px, seen, ids, z = _tracks(prediction, window)
    if len(px) < MIN_TRACKS:
        return None
    trial = try_depth(window.camera, px, seen, z, prediction.T_window_cam[-1])
    flat = try_depth(window.camera, px, seen, np.full(len(z), np.median(z)), prediction.T_window_cam[-1])
    error = float(np.median(trial.errors_px))
    is_small = float((trial.across_px < MAX_ACROSS_PX).mean()) >= MIN_AGREEING
    sigma = trial.rel_sigma
    if not is_small or error > MAX_OF_FLAT * float(np.median(flat.errors_px)) or sigma > REL_SIGMA_RANGE[1]:
        return None
    X = window.camera.rays(px) * z[:, None]
    points = PosePoints(X, seen, X, np.full(len(X), max(sigma, REL_SIGMA_RANGE[0])))
    T_cam_first = refine_pose(window.camera, trial.T_cam_first, points, 1.0).T_cam_world
    T = np.stack([np.eye(4), se3.inverse(T_cam_first)])
    return replace(
        prediction, frame_ids=window.frame_ids, T_window_cam=T, landmark_ids=ids,
        depth=prediction.depth[[0, -1]], confidence=prediction.confidence[[0, -1]],
        landmarks=X,
        landmark_rel_sigma=np.full(len(ids), np.clip(sigma, *REL_SIGMA_RANGE)),
    )  # fmt: skip


def try_depth(camera: Camera, px: Array, seen: Array, z: Array, T_first_cam: Array) -> DepthTrial:
    """Fit the second view to every other track (N,2) -> (N,2) at depths z (N,), and look at the rest."""
    X = camera.rays(px) * z[:, None]
    points = PosePoints(X, seen, X, np.full(len(X), FIT_REL_SIGMA))
    fitted = np.arange(len(X)) % 2 == 0
    starts = (se3.inverse(T_first_cam), np.eye(4))
    fits = [refine_pose(camera, start, points.select(fitted), 1.0, iterations=STEPS) for start in starts]
    T = max(fits, key=lambda f: int(f.inliers.sum())).T_cam_world
    return _held_out(camera, T, X[~fitted], seen[~fitted])


def _held_out(camera: Camera, T: Array, X: Array, seen: Array) -> DepthTrial:
    """Points (M,3) against where they are seen (M,2). With the rotation alone a point would be seen at `far`, with the
    translation at its depth at `near`: along the line between the two it moves with its depth."""
    turned = X @ T[:3, :3].T
    ahead = (turned[:, 2] > MIN_DEPTH) & (turned[:, 2] + T[2, 3] > MIN_DEPTH)
    turned[~ahead, 2] = 1.0 + MIN_DEPTH + abs(T[2, 3])
    far, near = camera.project(turned), camera.project(turned + T[:3, 3])
    line, at = near - far, seen - far
    length = np.linalg.norm(line, axis=1)
    has_parallax = length > MIN_PARALLAX_PX
    errors = np.where(ahead, np.linalg.norm(seen - near, axis=1), np.inf)
    across = np.abs(line[:, 0] * at[:, 1] - line[:, 1] * at[:, 0]) / np.maximum(length, 1e-9)
    across = np.where(ahead & has_parallax, across, errors)
    usable = ahead & has_parallax
    along = (at * line).sum(1)[usable] / length[usable] ** 2  # nearly (depth predicted) / (depth seen)
    return DepthTrial(T, errors, across, -np.log(np.clip(along, *LIMITS)))


def _tracks(prediction: WindowPrediction, window: WindowInput) -> tuple[Array, Array, Ids, Array]:
    """Pixels in the first and the last image (N,2), ids (N,) and predicted depth (N,) of the tracks that have one."""
    last = len(window.frame_ids) - 1
    a, b = window.track_frame == 0, window.track_frame == last
    ids, ia, ib = np.intersect1d(window.track_id[a], window.track_id[b], return_indices=True)
    px, seen = window.track_px[a][ia], window.track_px[b][ib]
    z = depth_of(prediction, window.camera, np.zeros(len(px), np.int64), px)
    known = z > 0
    return px[known], seen[known], ids[known], z[known]
