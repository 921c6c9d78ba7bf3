"""The corners of a first view, and where the views since then see them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from vgslam.frontend.features import Pixels
from vgslam.frontend.image_mask import Mask
from vgslam.frontend.tracker import Tracker, View
from vgslam.geometry.camera import Camera
from vgslam.types import Array, Ids, WindowInput


@dataclass(frozen=True)
class Sighting:
    """The corners of the first view that a frame sees."""

    frame_id: int
    timestamp_s: float
    index: Ids  # (n,): which of them
    pixels: Pixels  # (n,2)


@dataclass
class CornerTracks:
    """Corners (N,2) of a first view, with a sighting of them for each view up to the newest, both included."""

    first: View
    newest: View
    corners: Pixels
    sightings: list[Sighting]

    @staticmethod
    def begun(tracker: Tracker, view: View) -> "CornerTracks":
        """All corners of a view."""
        corners = tracker.detect(view, np.zeros((0, 2), np.float32))
        return CornerTracks(view, view, corners, [_all_of(corners, view)])

    @property
    def last(self) -> Sighting:
        """What the newest view sees."""
        return self.sightings[-1]

    @property
    def pairs(self) -> tuple[Array, Array]:
        """Pixels (n,2) in the first view, and in the newest, of the corners that it sees."""
        return self.corners[self.last.index].astype(np.float64), self.last.pixels.astype(np.float64)

    def follow(self, tracker: Tracker, view: View) -> None:
        """Take the next view."""
        [(rows, pixels)] = follow_through(tracker, [self.newest, view], self.last.pixels)
        self.sightings.append(Sighting(view.frame_id, view.timestamp_s, self.last.index[rows], pixels))
        self.newest = view

    def has_moved(self, least_px: float) -> Mask:
        """(n,): which of its corners the newest view sees no closer than that (px) to where the first did."""
        return np.asarray(np.linalg.norm(np.subtract(*self.pairs), axis=1) >= least_px)

    def of_moved(self, least_px: float) -> "CornerTracks":
        """The same without the corners that have not moved."""
        first, *later = self.sightings
        stayed = self.last.index[~self.has_moved(least_px)]
        kept = [~np.isin(seen.index, stayed) for seen in later]
        return replace(self, sightings=[first, *(
            replace(seen, index=seen.index[keep], pixels=seen.pixels[keep])
            for seen, keep in zip(later, kept, strict=True)
        )])  # fmt: skip

    def window(self, camera: Camera, least_px: float = 0.0) -> WindowInput:
        """The first and the newest view with what both see, if it has moved so far."""
        moved = self.has_moved(least_px)
        first, newest, index = self.first, self.newest, self.last.index[moved]
        return WindowInput(
            np.array([first.frame_id, newest.frame_id]), [first.image, newest.image], camera,
            np.repeat([0, 1], len(index)), np.tile(index, 2), np.concatenate([px[moved] for px in self.pairs]),
        )  # fmt: skip

    def matched(self, px_first: Pixels, px_newest: Pixels) -> "CornerTracks":
        """The same views with further corners (n,2) of the first, which were matched in the newest, where that sees
        these alone; between the two there are no sightings yet (`filled_in`)."""
        corners, view = np.concatenate([self.corners, px_first]), self.newest
        seen = Sighting(view.frame_id, view.timestamp_s, np.arange(len(self.corners), len(corners)), px_newest)
        return CornerTracks(self.first, view, corners, [_all_of(corners, self.first), seen])

    def filled_in(self, tracker: Tracker, between: list[View]) -> "CornerTracks":
        """The same with sightings of the views between, through which matched corners are followed from either side."""
        first, last = self.sightings
        forward = follow_through(tracker, [self.first, *between], self.corners[last.index])
        backward = follow_through(tracker, [self.newest, *reversed(between)], last.pixels)[::-1]
        found = [first]
        for v, (rows, at), (more, there) in zip(between, forward, backward, strict=True):
            is_new = ~np.isin(more, rows)
            seen, where = np.concatenate([rows, more[is_new]]), np.concatenate([at, there[is_new]])
            found.append(Sighting(v.frame_id, v.timestamp_s, last.index[seen], where))
        return replace(self, sightings=[*found, last])


def _all_of(corners: Pixels, view: View) -> Sighting:
    return Sighting(view.frame_id, view.timestamp_s, np.arange(len(corners)), corners)


def follow_through(tracker: Tracker, views: Sequence[View], pixels: Pixels) -> list[tuple[Ids, Pixels]]:
    """Corners (N,2) of the first of consecutive views followed through the others: for each of these, which are still
    seen (n,) and where (n,2)."""
    index, out = np.arange(len(pixels)), []
    for before, after in pairwise(views):
        guess = tracker.rotate_pixels(pixels, tracker.rotation(before, after, None))
        pixels, ok = tracker.follow(before.gray, after.gray, pixels, guess)
        index, pixels = index[ok], pixels[ok]
        out.append((index, pixels))
    return out
