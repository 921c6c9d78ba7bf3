"""Places a predicted window in the map."""

import numpy as np

from vgslam.geometry.sim3 import Sim3
from vgslam.types import Array, WindowInput, WindowPrediction

MIN_COMMON = 20
"""Least landmarks whose depths give the scale; with fewer the baselines do."""


def link(prediction: WindowPrediction, window: WindowInput, T_world_first: Array) -> Sim3:
    """S_world_window: takes the predicted window, first camera at the identity, into the map.

    The scale is the median ratio between the map's and the predicted baselines to the first camera, or between known
    landmarks' depths and the predicted depth maps where the window has depth and shares landmarks; the
    prediction's own raw_scale where neither exists. T_world_first (4,4): the map's pose of the window's first camera.
    """
    scale = _scale_from_depth(prediction, window) or _scale_from_baselines(prediction, window) or prediction.raw_scale
    return Sim3.from_T(T_world_first, scale)


def _scale_from_baselines(prediction: WindowPrediction, window: WindowInput) -> float | None:
    if window.T_window_cam is None:
        return None
    ours = np.linalg.norm(window.T_window_cam[:, :3, 3], axis=1)
    theirs = np.linalg.norm(prediction.T_window_cam[:, :3, 3], axis=1)
    usable = (ours > 1e-9) & (theirs > 1e-9)
    return float(np.median(ours[usable] / theirs[usable])) if usable.any() else None


def _scale_from_depth(prediction: WindowPrediction, window: WindowInput) -> float | None:
    """None for predictions without depth, and for those triangulated in the window's own gauge."""
    if window.T_window_cam is None or len(prediction.landmark_ids) or not len(window.landmark_ids):
        return None
    known = np.isin(window.track_id, window.landmark_ids, kind="table")
    frame, px = window.track_frame[known], window.track_px[known]
    at = np.searchsorted(window.landmark_ids, window.track_id[known])
    T = window.T_window_cam[frame]
    z = ((window.landmarks[at] - T[:, :3, 3]) * T[:, :3, 2]).sum(1)
    v, u = window.camera.cell_at(px, prediction.depth.shape[1:])
    predicted = prediction.depth[frame, v, u]
    usable = (predicted > 0) & (z > 1e-6)
    return float(np.median(z[usable] / predicted[usable])) if usable.sum() >= MIN_COMMON else None
