"""The keyframe that poses are relative to, and how far the camera has moved since."""

from dataclasses import dataclass

import numpy as np

from vgslam.frontend.features import Pixels
from vgslam.types import Ids


@dataclass(frozen=True)
class Reference:
    """A keyframe with the landmarks that it was taken with."""

    keyframe_id: int
    ids: Ids  # (N,)
    pixels: Pixels  # (N,2): where it sees them

    @staticmethod
    def none() -> "Reference":
        """The state before there is a keyframe."""
        return Reference(-1, np.zeros(0, np.int64), np.zeros((0, 2), np.float32))

    def motion_px(self, ids: Ids, pixels: Pixels) -> float:
        """Median motion (px) of the landmarks seen in both; infinite when there are none."""
        _, a, b = np.intersect1d(self.ids, ids, return_indices=True)
        return float(np.median(np.linalg.norm(self.pixels[a] - pixels[b], axis=1))) if len(a) else np.inf


def with_more(ids: Ids, pixels: Pixels, more_ids: Ids, more_pixels: Pixels) -> tuple[Ids, Pixels]:
    """Landmarks and where they are seen, with those of another observation that are not among them added."""
    new = ~np.isin(more_ids, ids, kind="table")
    return np.concatenate([ids, more_ids[new]]), np.concatenate([pixels, more_pixels[new]])
