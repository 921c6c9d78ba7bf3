"""Which of several predicted motions a new view shows: where its features are looked for.

A rotation that thumbnails show takes up all of a sideways motion, which a camera that goes around something has
throughout. With the speed of the last step beside it, the motion is predicted twice over, by more than optical flow
finds back from. So the motions in question are tried on the thumbnails themselves, at the landmarks and as their depths
let them move.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from vgslam.frontend.features import Pixels
from vgslam.frontend.rotation_guess import Thumbnail
from vgslam.types import Array

PATCH = np.stack(np.meshgrid([-1.5, 0.0, 1.5], [-1.5, 0.0, 1.5]), axis=-1).reshape(-1, 2).astype(np.float32)
"""(9,2): where a thumbnail is compared around a landmark, in its px."""
CLEARLY = 0.7
"""Another motion than the first is taken if it leaves less than this share of the first one's difference."""
MIN_SEEN = 30
"""Fewest landmarks, in the image by all motions, that are compared."""


def shown(
    previous: Thumbnail, current: Thumbnail, pixels: Pixels, moved: Sequence[Pixels], width: int, apart_px: float
) -> int:
    """Index of the motion that a view shows: the first, unless another fits clearly better. pixels (N,2): landmarks in
    the previous view; moved (N,2) each: where they are in the current one by each of the motions; width: of the
    views, in px. Motions that are less than apart_px (median) from the first are not tried: flow finds back from it."""
    others = [i for i in range(1, len(moved)) if _median_px(moved[i] - moved[0]) >= apart_px]
    if not others:
        return 0
    share = previous.image.shape[1] / width
    high = np.array(previous.image.shape[::-1]) - 1.0
    at = {i: (moved[i] + 0.5) * share - 0.5 for i in (0, *others)}
    inside = np.logical_and.reduce([((p >= 0) & (p <= high)).all(1) for p in at.values()])
    if inside.sum() < MIN_SEEN:
        return 0
    before = _sampled(previous, (pixels[inside] + 0.5) * share - 0.5)
    error = {i: float(np.abs(_sampled(current, p[inside]) - before).mean()) for i, p in at.items()}
    best = min(error, key=lambda i: error[i])
    return best if error[best] < CLEARLY * error[0] else 0


def _median_px(move: Pixels) -> float:
    return float(np.median(np.linalg.norm(move, axis=1))) if len(move) else 0.0


def _sampled(thumbnail: Thumbnail, pixels: Array) -> Array:
    """Its values (N,9) around pixels (N,2)."""
    at = pixels[:, None].astype(np.float32) + PATCH
    return np.asarray(cv2.remap(thumbnail.image, at[..., 0], at[..., 1], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE))
