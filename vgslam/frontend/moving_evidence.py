"""Whether corners that contradict the map move on their own, or only their landmarks are wrong.

A landmark may contradict a pose because its depth or its keyframe is wrong. A corner of the world stays on the epipolar
line of where it was some frames ago, whatever its depth; one that moves leaves it, further with every frame (Hartley
and Zisserman, Multiple View Geometry, section 9.6). The landmarks that are believed tell how well the lines are known.
"""

from dataclasses import dataclass

import numpy as np

from vgslam.frontend.features import Pixels
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.types import Array, Ids

LEAST_FRAMES, MOST_FRAMES = 3, 12
"""Frames between the two views: flow that goes astray leaves its line in one frame, and what moves in all."""
MIN_POINTS, MIN_BELIEVED = 8, 20
"""Least corners that are looked at together, and least landmarks that are believed in both views."""
LEAST_PX, TIMES_BELIEVED = 2.0, 2.0
"""The corners move if the median of their distances is more than this, and more than this many times the distance that
nine in ten of the landmarks that are believed keep to."""


@dataclass(frozen=True)
class Departure:
    """Corners that were followed from one view to another, and landmarks that were believed in both."""

    frame_a: int
    """Id of the frame of the first view."""
    frame_b: int
    """Id of the frame of the second."""
    start: Pixels
    """(m,2): where the corners were in the first."""
    now: Pixels
    """(m,2): where they were in the second."""
    believed_start: Pixels
    """(n,2): as `start`, of the landmarks."""
    believed_now: Pixels
    """(n,2): as `now`, of the landmarks."""

    def is_seen(self, camera: Camera, T_b_a: Array) -> bool:
        """Whether the corners leave their epipolar lines between views that lie T_b_a apart, and the landmarks do
        not."""
        believed = epipolar_distance(camera, T_b_a, self.believed_start, self.believed_now)
        distance = epipolar_distance(camera, T_b_a, self.start, self.now)
        return bool(np.median(distance) > max(LEAST_PX, TIMES_BELIEVED * float(np.quantile(believed, 0.9))))


@dataclass
class _Anchor:
    """A view in which corners contradicted the map, and what it saw."""

    frame_id: int
    T_now_anchor: Array
    ids: Ids
    pixels: Pixels
    n_frames: int = 0


class MovingEvidence:
    """Keeps the views from which corners are followed, relative to the newest."""

    def __init__(self) -> None:
        self._anchors: dict[int, _Anchor] = {}

    def forget(self) -> None:
        """Forget all earlier views."""
        self._anchors.clear()

    def advance(self, T_now_before: Array) -> None:
        """The next view has come."""
        for anchor in self._anchors.values():
            anchor.T_now_anchor = T_now_before @ anchor.T_now_anchor
            anchor.n_frames += 1
        self._anchors = {k: a for k, a in self._anchors.items() if a.n_frames <= MOST_FRAMES}

    def begin(self, frame_id: int, ids: Ids, pixels: Pixels) -> None:
        """Corners are followed from the newest view, which saw believed landmarks ids (n,) at pixels (n,2)."""
        self._anchors[frame_id] = _Anchor(frame_id, np.eye(4), ids.copy(), pixels.copy())

    def moves(
        self, camera: Camera, frame_id: int, since: Ids, start: Pixels, now: Pixels, ids: Ids, pixels: Pixels
    ) -> Departure | None:  # fmt: skip
        """How corners, followed since views (m,) from start (m,2) to now (m,2), leave their epipolar lines; None if
        they do not. frame_id: that of the newest view; ids (n,), pixels (n,2): the landmarks that are believed in
        it."""
        for k, anchor in self._anchors.items():
            mine = since == k
            if anchor.n_frames < LEAST_FRAMES or mine.sum() < MIN_POINTS:
                continue
            _, i, j = np.intersect1d(anchor.ids, ids, assume_unique=True, return_indices=True)
            if len(i) < MIN_BELIEVED:
                continue
            found = Departure(anchor.frame_id, frame_id, start[mine], now[mine], anchor.pixels[i], pixels[j])
            if found.is_seen(camera, anchor.T_now_anchor):
                return found
        return None


def epipolar_distance(camera: Camera, T_b_a: Array, pixels_a: Pixels, pixels_b: Pixels) -> Array:
    """Distances (N,) in px of pixels_b (N,2) from the epipolar lines of pixels_a (N,2)."""
    t = T_b_a[:3, 3]
    E = se3.skew((t / max(float(np.linalg.norm(t)), 1e-12))[None])[0] @ T_b_a[:3, :3]
    lines = camera.rays(pixels_a.astype(np.float64)) @ E.T @ np.linalg.inv(camera.K)
    along = np.concatenate([pixels_b, np.ones((len(pixels_b), 1))], axis=1)
    return np.asarray(np.abs((lines * along).sum(1)) / np.maximum(np.linalg.norm(lines[:, :2], axis=1), 1e-12))
