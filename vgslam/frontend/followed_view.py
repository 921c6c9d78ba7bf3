"""A small grey view whose corners are followed: what of it moves, what stays, and whether it has left the image."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.frontend.image_mask import Mask
from vgslam.frontend.matching import ImageFeatures, MatcherConfig, describe, match
from vgslam.types import Array

POINT_DISTANCE, MOST_FOUND, QUALITY = 10, 500, 0.002
"""Least distance of two corners in px; how many are looked for, and how strong the weakest is of the strongest."""
BLOCK, IN_BLOCK = 40, 4
"""Side of a block (px), and the corners that are followed in each: what is burnt in has the strongest, not all."""
FEWEST_POINTS = 50
"""With fewer corners that are followed another view is taken."""
MIN_MOVE = 2.5
"""A corner that has moved by less (px) tells nothing of the motion."""
MIN_MOVERS = 30
"""Least corners that moved, for a motion, and that have left, for a view to be old or gone."""
STILL_PX = 0.25
"""A corner within this distance of where it was stays: what burnt in is followed to a twentieth of a pixel, and no
camera is carried so that what is far away stays so well."""
LEFT_SHARE = 0.35
"""A view is gone when less than this share of what does not stay is still followed: as `InitializerConfig.min_alive`.
"""
GIVE_UP = 60
"""Frames after which a view is old, when hardly anything has moved."""
FLOW_WINDOW, FLOW_LEVELS = 13, 3
"""Window, in px, and levels of the pyramid of the optical flow."""
_MATCHER = MatcherConfig(n_features=600)


@dataclass
class FollowedView:
    """A view that later ones are compared with, its corners (n,2) that are still followed, and where they are now."""

    small: npt.NDArray[np.uint8]
    points: npt.NDArray[np.float32]
    at: npt.NDArray[np.float32]
    n_frames: int = 0
    n_lost: int = 0
    compared_at: float = 0.0
    """Median move (px) at the last comparison with this view."""
    features: ImageFeatures | None = None
    """Its features with descriptors, once they are asked for."""

    @staticmethod
    def of(small: npt.NDArray[np.uint8]) -> "FollowedView":
        """A view with the corners that are there."""
        found = cv2.goodFeaturesToTrack(small, MOST_FOUND, QUALITY, POINT_DISTANCE)
        points = np.zeros((0, 2), np.float32) if found is None else spread(found[:, 0].astype(np.float32))
        return FollowedView(small, points, points)

    def follow(self, last: npt.NDArray[np.uint8], small: npt.NDArray[np.uint8]) -> None:
        """Follow the corners from the view before to the newest."""
        self.n_frames += 1
        if len(self.at) == 0:
            return
        at, ok, _ = cv2.calcOpticalFlowPyrLK(
            last, small, self.at, None, winSize=(FLOW_WINDOW, FLOW_WINDOW), maxLevel=FLOW_LEVELS - 1,
            criteria=(3, 15, 0.03),
        )  # fmt: skip
        good = (ok[:, 0] == 1) & np.isfinite(at).all(1) & (at >= 0).all(1) & (at < small.shape[::-1]).all(1)
        self.n_lost += int(np.count_nonzero(~good))
        self.points, self.at = self.points[good], at[good]

    @property
    def moves(self) -> npt.NDArray[np.float32]:
        """(n,): how far (px) the corners have moved."""
        return np.asarray(np.linalg.norm(self.at - self.points, axis=1), np.float32)

    @property
    def moved(self) -> Mask:
        """(n,): the corners that tell of the motion."""
        return self.moves > MIN_MOVE

    @property
    def n_still(self) -> int:
        """The corners that have not moved at all."""
        return int(np.count_nonzero(self.moves < STILL_PX))

    @property
    def median_move(self) -> float:
        """Median move (px) of the corners that have moved, 0 where these are few."""
        moves = self.moves
        moved = moves > MIN_MOVE
        return float(np.median(moves[moved])) if moved.sum() >= MIN_MOVERS else 0.0

    @property
    def is_old(self) -> bool:
        """Whether another view should take its place: also when more corners have left than are followed of those that
        moved, as what never moves is followed for ever."""
        has_left = self.n_lost > max(MIN_MOVERS, int(self.moved.sum()))
        return has_left or self.n_frames > GIVE_UP or len(self.points) < FEWEST_POINTS

    @property
    def is_gone(self) -> bool:
        """Whether most of what does not stay has left the image."""
        n_going = len(self.points) - self.n_still
        return self.n_lost >= MIN_MOVERS and n_going < LEFT_SHARE * (n_going + self.n_lost)

    def matched(self, small: npt.NDArray[np.uint8]) -> tuple[Array, Array]:
        """Pixels (m,2) of the view and of `small` that look alike."""
        if self.features is None:
            self.features = describe(self.small, _MATCHER)
        there = describe(small, _MATCHER)
        a, b = match(self.features, there, _MATCHER)
        return self.features.pixels[a], there.pixels[b]


def spread(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The IN_BLOCK first of every block among points (N,2), strongest first."""
    u, v = (points // BLOCK).astype(np.int64).T
    taken: dict[tuple[int, int], int] = {}
    keep = np.zeros(len(points), bool)
    for i, block in enumerate(zip(u.tolist(), v.tolist(), strict=True)):
        taken[block] = taken.get(block, 0) + 1
        keep[i] = taken[block] <= IN_BLOCK
    return points[keep]
