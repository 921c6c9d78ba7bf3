"""Corners on things that move on their own: followed for a while, so that no landmarks are made where they are."""

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.frontend.exposure import track_exposed
from vgslam.frontend.features import FeatureConfig, Gray, Pixels
from vgslam.frontend.moving_evidence import Departure, MovingEvidence
from vgslam.geometry.camera import Camera
from vgslam.geometry.plane_distances import squared_distances
from vgslam.types import Array, Ids

KEPT_FRAMES = 12
"""Frames for which a corner that moved on its own is not believed to have stopped."""
MIN_COHERENT, MIN_COHERENT_SHARE = 8, 0.5
"""Least corners that share one affine motion in the image before they are taken for a thing that moves, and least share
of those that contradict the camera's: failures of tracking go anywhere."""
COHERENT_PX = 2.0
"""Distance within which a corner follows that motion."""
MIN_NEAR = 2
"""Least such corners nearby for a pixel to lie on a thing that moves."""
ROWS, COLUMNS = 12, 16
"""Grid on which the share of the image is measured."""
MOST = 150
"""Corners that are followed at most."""


class MovingPoints:
    """The corners on moving things, in the newest view, of width x height px; radius_px: how far around them nothing is
    believed."""

    def __init__(self, features: FeatureConfig, radius_px: float, width: int, height: int) -> None:
        self._features, self.radius_px = features, radius_px
        v, u = np.mgrid[:ROWS, :COLUMNS] + 0.5
        self._grid = np.stack([u * width / COLUMNS, v * height / ROWS], axis=-1).reshape(-1, 2)
        self.pixels: Pixels = np.zeros((0, 2), np.float32)
        """(n,2): where they are."""
        self._left: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._start, self._since = self.pixels, self._left  # where each was when it was added, and in which view
        self._evidence = MovingEvidence()
        self._frame_id = -1
        self.n_new = 0
        """Corners that were added in the newest view."""
        self.departure: Departure | None = None
        """How they have left their epipolar lines in the newest view, which no wrong landmark does; None: they have
        not."""

    def follow(self, before_id: int, before: Gray, frame_id: int, gray: Gray) -> None:
        """Follow them from the view that was the newest to the next; from any other view nothing is known."""
        if before_id != self._frame_id:
            self._keep(np.zeros(len(self.pixels), bool))
            self._evidence.forget()
        self._frame_id, self.n_new, self.departure = frame_id, 0, None
        if len(self.pixels) == 0:
            return
        found, ok = track_exposed(before, gray, self.pixels, self.pixels, self._features)
        keep = ok & (self._left > 1)
        self.pixels = found
        self._left = self._left - 1
        self._keep(keep)

    def _keep(self, rows: npt.NDArray[np.bool_]) -> None:
        self.pixels, self._left = self.pixels[rows], self._left[rows]
        self._start, self._since = self._start[rows], self._since[rows]

    def add(self, before: Pixels, now: Pixels) -> int:
        """Take those of corners (n,2) that share a motion from the view before to now; returns how many these are."""
        if len(now) < MIN_COHERENT:
            return 0
        cv2.setRNGSeed(0)
        _, rows = cv2.estimateAffine2D(before, now, method=cv2.RANSAC, ransacReprojThreshold=COHERENT_PX)
        if rows is None or rows.sum() < max(MIN_COHERENT, MIN_COHERENT_SHARE * len(now)):
            return 0
        coherent = now[rows[:, 0] > 0]
        self.pixels = np.concatenate([coherent, self.pixels])[:MOST].astype(np.float32)
        self._left = np.concatenate([np.full(len(coherent), KEPT_FRAMES), self._left])[:MOST]
        self._start = np.concatenate([coherent, self._start])[:MOST].astype(np.float32)
        self._since = np.concatenate([np.full(len(coherent), self._frame_id), self._since])[:MOST]
        self.n_new = len(coherent)
        return self.n_new

    def judge(self, camera: Camera, T_now_before: Array, ids: Ids, pixels: Pixels) -> None:
        """Look whether they move on their own, given the camera's motion since the view before and the landmarks ids
        (n,) that are believed in the newest, at pixels (n,2)."""
        self._evidence.advance(T_now_before)
        self.departure = self._evidence.moves(
            camera, self._frame_id, self._since, self._start, self.pixels, ids, pixels
        )
        if self.n_new:
            self._evidence.begin(self._frame_id, ids, pixels)

    def covers(self, frame_id: int, pixels: npt.NDArray) -> npt.NDArray[np.bool_]:
        """Which pixels (N,2) of the newest view lie among them, (N,); none of any other view."""
        if frame_id != self._frame_id or len(self.pixels) == 0 or len(pixels) == 0:
            return np.zeros(len(pixels), bool)
        return np.asarray(n_near(pixels, self.pixels, self.radius_px) >= MIN_NEAR)

    def share(self, frame_id: int) -> float:
        """Share of the newest view, 0 to 1, that lies among them; 0 of any other view."""
        return float(self.covers(frame_id, self._grid).mean())


def n_near(pixels: npt.NDArray, others: npt.NDArray, radius_px: float) -> Array:
    """How many of others (M,2) are within radius_px of each of pixels (N,2), (N,)."""
    return np.asarray(np.count_nonzero(squared_distances(pixels, others) < radius_px**2, axis=1))
