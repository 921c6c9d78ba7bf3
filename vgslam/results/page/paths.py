"""Lines of the 3-D view: paths, cameras."""

import numpy as np
import numpy.typing as npt

from vgslam.types import Array, Ids, Trajectory

Segments = npt.NDArray[np.float64]
"""(S,2,3): both ends of each."""
MOST_SEGMENTS = 15_000
"""Segments of one path, of 24 bytes each; a longer path is drawn through every second pose, third, ..."""
MOST_FRUSTA = 300
FRUSTUM_OF_STEP, FRUSTUM_RANGE = 0.8, (0.01, 0.04)
"""Length of a drawn camera: this times the median step from keyframe to keyframe, within these parts of the extent."""
_NONE = np.zeros((0, 2, 3))
_CORNERS = np.array([(-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1)], np.float64)


def path_segments(path: Trajectory, frame_ids: Ids) -> tuple[Segments, Segments]:
    """Segments between poses of successive frames, and those that bridge frames without a pose. frame_ids (M,): all
    frames of the run, ascending. Every k-th pose is used when there are too many, besides those at both ends of a
    bridge."""
    n = len(path)
    if n < 2:
        return _NONE, _NONE
    row = np.searchsorted(frame_ids, path.frame_ids)
    is_gap = np.diff(row) > 1
    kept = np.arange(n) % (-(-n // MOST_SEGMENTS)) == 0
    kept[[0, -1]] = True
    at_gaps = np.flatnonzero(is_gap)[: MOST_SEGMENTS // 2]
    kept[at_gaps] = kept[at_gaps + 1] = True
    places = np.flatnonzero(kept)
    gaps_before = np.concatenate([[0], np.cumsum(is_gap)])
    bridges = np.diff(gaps_before[places]) > 0
    line = polyline(path.T_world_cam[places, :3, 3], most=n)
    return line[~bridges], line[bridges]


def polyline(points: Array, most: int = MOST_SEGMENTS) -> Segments:
    """Segments from point to point (N,3), through every k-th if they are more than `most`."""
    if len(points) < 2:
        return _NONE
    step = -(-(len(points) - 1) // most)
    kept = points[:: max(1, step)]
    return np.stack([kept[:-1], kept[1:]], axis=1)


def frusta(T_scene_cam: Array, half_width: float, half_height: float) -> Segments:
    """Cameras (K,4,4) as pyramids; half_width, half_height: tangents of half the angles of view."""
    n = len(T_scene_cam)
    if n == 0:
        return _NONE
    centres = T_scene_cam[:, :3, 3]
    extent = float(np.ptp(centres, axis=0).max())
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    length = FRUSTUM_OF_STEP * float(np.median(steps)) if len(steps) else 0.0
    length = float(np.clip(length, FRUSTUM_RANGE[0] * extent, FRUSTUM_RANGE[1] * extent)) or 0.1
    chosen = T_scene_cam[np.unique(np.linspace(0, n - 1, min(n, MOST_FRUSTA)).round().astype(int))]
    corners = length * _CORNERS * np.array([half_width, half_height, 1.0])
    far = np.einsum("kij,cj->kci", chosen[:, :3, :3], corners) + chosen[:, None, :3, 3]
    apex = np.broadcast_to(chosen[:, None, :3, 3], far.shape)
    edges = [np.stack([apex, far], axis=2), np.stack([far, np.roll(far, -1, axis=1)], axis=2)]
    return np.concatenate(edges, axis=1).reshape(-1, 2, 3)
