"""Whether a pose says of matched features what their own epipolar geometry says: a check that needs no landmarks.

It is made of poses that rest on few landmarks compared with those of the frames before: wide stills are found with
hundreds, and a wrong pose among them with some tens.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.types import Array

MIN_MATCHES = 40
"""Least matches, all of one epipolar geometry, that may speak for or against a pose."""
NEAR_PX = 4.0
"""Largest distance of a match from its epipolar line, in px: poses of wide baselines are right to a few."""
AGAINST = 0.3
"""A pose with which a smaller share of the matches agrees is contradicted: by a right one most do, and by a wrong one
as many as lie in a band of the image by chance."""
FOR = 0.7
"""A pose with which a larger share of the matches agrees is confirmed: most do by a right one, though not all."""


THIN, N_BEFORE, MIN_BEFORE = 0.4, 8, 3
"""A pose is thin with fewer inliers than this share of the median of the last poses, this many at most and at least."""


@dataclass
class Support:
    """The inliers of the last poses that were believed."""

    counts: deque[int] = field(default_factory=lambda: deque(maxlen=N_BEFORE))

    def is_thin(self, n_inliers: int) -> bool:
        """Whether a pose rests on few inliers compared with those before it."""
        return len(self.counts) >= MIN_BEFORE and n_inliers < THIN * float(np.median(self.counts))


@dataclass(frozen=True)
class Matched:
    """Matched pixels (N,2) of a keyframe and of a view, with their cameras."""

    px_keyframe: Array
    px_view: Array
    camera_keyframe: Camera
    camera_view: Camera


def epipolar_agreement(matched: Matched, T_view_keyframe: Array) -> float:
    """Share of the matches within NEAR_PX of their epipolar lines, in the view; 1 where there is no baseline. The
    epipolar line of x is E x with E = [t]x R (Hartley and Zisserman, Multiple View Geometry, section 9.6)."""
    t = T_view_keyframe[:3, 3]
    if np.linalg.norm(t) < 1e-9 or len(matched.px_view) == 0:
        return 1.0
    E = se3.skew((t / np.linalg.norm(t))[None])[0] @ T_view_keyframe[:3, :3]
    K_inverse = np.linalg.inv(matched.camera_view.K)
    lines = matched.camera_keyframe.rays(matched.px_keyframe) @ E.T @ K_inverse
    pixels = np.concatenate([matched.px_view, np.ones((len(matched.px_view), 1))], axis=1)
    distance = np.abs((lines * pixels).sum(1)) / np.maximum(np.linalg.norm(lines[:, :2], axis=1), 1e-12)
    return float((distance < NEAR_PX).mean())


def speaks_against(agreements: list[float]) -> bool:
    """Whether the agreement with several keyframes contradicts a pose: it is small with most of them."""
    return len(agreements) > 0 and float(np.median(agreements)) < AGAINST


def speaks_for(agreements: list[float]) -> bool:
    """Whether the agreement with several keyframes confirms a pose: it is large with most of them."""
    return len(agreements) > 0 and float(np.median(agreements)) > FOR
