"""Dense depth measured again, finer, once the cameras are known better.

A coarse depth map says roughly where the surface of each pixel is. It is moved nearer and farther as a whole, by
factors of its inverse depth, and each time says where other views should show what the reference shows: where they look
most alike (`correlation`), there the surface is. Views judge together, and each for itself: a depth that only one view
calls for is a chance. How sharp the best likeness is says how sure a depth is: what noise takes from the likeness, a
depth that is wrong by this much takes as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH, Camera
from vgslam.multiview.correlation import Windows
from vgslam.multiview.peak import peak_between
from vgslam.types import Array, Float32

Mask = npt.NDArray[np.bool_]
STEP, N_STEPS = 0.045, 3
"""Relative change of inverse depth from one factor to the next, and factors on either side of the coarse depth."""
WINDOW_PX = 5
"""Edge of the correlation window, in px."""
BLUR_PX = 1.5
"""Deviation of the weight with which neighbours share their likeness, in px."""
LEAST_AGREEING = 2
"""Views that have to call for a depth each for itself."""
AGREEING_STEPS = 1.0
"""Steps by which the best depths of such a view and of all together may differ."""
MIN_CORRELATION = 0.2
"""A depth at which views are less alike is none."""
UNSURE_WIDTH = 0.5
"""Relative width of the best likeness at which the confidence is 0. The median error of depth is a tenth to a fifth of
the width in recorded rooms, and half of that in rendered ones."""
LEAST_NOISE, LEAST_CURVATURE = 0.02, 1e-4
"""Least noise of a likeness, and least curvature of one that has a peak."""


@dataclass(frozen=True)
class PosedImage:
    """A grey image (h,w), and where it was taken: T_world_cam (4,4)."""

    gray: Float32
    T_world_cam: Array


@dataclass(frozen=True)
class FineDepth:
    """What was measured again."""

    depth: Float32
    """(h,w), in the units of the poses."""
    confidence: Float32
    """(h,w) in 0 to 1: 1 - width of the best likeness / UNSURE_WIDTH; 0 where nothing was found."""
    is_found: Mask
    """(h,w): where the views agree on a depth. Elsewhere `depth` is the coarse one."""


def refine_depth(reference: PosedImage, camera: Camera, coarse: Float32, others: Sequence[PosedImage]) -> FineDepth:
    """Depth of the reference, near the coarse depth (h,w), which is 0 where it is unknown: there it is taken to be that
    of the nearest pixel. camera: of all images, which are (h,w). others: views that see the same from elsewhere; a
    single one finds nothing (LEAST_AGREEING). Raises ValueError for a coarse depth that is nowhere known."""
    factors = (1.0 + STEP * np.arange(-N_STEPS, N_STEPS + 1)).astype(np.float32)
    inverse = _filled_inverse(coarse)
    target = Windows.of(reference.gray, WINDOW_PX)
    views = [_View(other, reference.T_world_cam, camera) for other in others]
    mean = np.empty((len(factors), *coarse.shape), np.float32)
    for n, factor in enumerate(factors):
        mean[n] = _mean([view.likeness(n, inverse * factor, target) for view in views])
    peak = _peak(np.stack([cv2.GaussianBlur(layer, (0, 0), BLUR_PX) for layer in mean]))
    n_agreeing = sum(np.abs(view.best_at - peak.at) < AGREEING_STEPS for view in views)
    best = np.take_along_axis(mean, np.rint(peak.at).astype(np.int64)[None], axis=0)[0]
    found = peak.is_inside & (n_agreeing >= LEAST_AGREEING) & (best > MIN_CORRELATION)
    width = STEP * np.sqrt(2.0 * np.maximum(1.0 - best, LEAST_NOISE) / np.maximum(peak.curvature, LEAST_CURVATURE))
    fine = 1.0 / (inverse * (1.0 + STEP * (peak.at - N_STEPS)))
    confidence = np.clip(1.0 - width / UNSURE_WIDTH, 0.0, 1.0)
    return FineDepth(
        np.where(found, fine, coarse).astype(np.float32), np.where(found, confidence, 0.0).astype(np.float32), found
    )


def _filled_inverse(depth: Float32) -> Float32:
    """Inverse depth (h,w); where depth is 0, that of the nearest pixel that has one."""
    unknown = (depth <= 0).astype(np.uint8)
    if unknown.all():
        raise ValueError("no depth is known")
    _, label = cv2.distanceTransformWithLabels(unknown, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    inverse = np.zeros(int(label.max()) + 1, np.float32)
    known = unknown == 0
    inverse[label[known]] = 1.0 / depth[known]
    return inverse[label]


class _View:
    """Another view, and at which factor each pixel of the reference (h,w) looks most like it: `best_at`."""

    def __init__(self, other: PosedImage, T_world_reference: Array, camera: Camera) -> None:
        h, w = other.gray.shape
        T = se3.inverse(other.T_world_cam) @ T_world_reference
        H = camera.K @ T[:3, :3] @ np.linalg.inv(camera.K)  # of what is infinitely far
        u, v = np.arange(w), np.arange(h)[:, None]
        self._far = [(row[0] * u + row[1] * v + row[2]).astype(np.float32) for row in H]
        self._step = (camera.K @ T[:3, 3]).astype(np.float32)
        self._gray = other.gray
        self._most = np.full((h, w), -np.inf, np.float32)
        self.best_at = np.zeros((h, w), np.float32)

    def likeness(self, n: int, inverse: Float32, target: Windows) -> tuple[Float32, Mask]:
        """How alike (h,w) the reference's windows are to what this view shows where they are at inverse depths (h,w),
        those of factor n, -1 where it does not show them; and where it does."""
        far_x, far_y, far_z = self._far
        step = self._step
        h, w = inverse.shape
        z = far_z + inverse * step[2]
        in_front = z > MIN_DEPTH * inverse
        z[~in_front] = 1.0
        x, y = (far_x + inverse * step[0]) / z, (far_y + inverse * step[1]) / z
        is_seen = in_front & (x >= 0) & (x <= w - 1) & (y >= 0) & (y <= h - 1)
        shown = np.asarray(cv2.remap(self._gray, x, y, cv2.INTER_LINEAR), np.float32)
        alike = target.correlation(shown)
        alike[~is_seen] = -1.0
        smooth = cv2.GaussianBlur(alike, (0, 0), BLUR_PX)
        better = smooth > self._most
        np.copyto(self._most, smooth, where=better)
        np.copyto(self.best_at, np.float32(n), where=better)
        return alike, is_seen


def _mean(likeness: Sequence[tuple[Float32, Mask]]) -> Float32:
    """Mean likeness (h,w) over the views that show the surface; -1 where none does."""
    total, n_seen = np.zeros_like(likeness[0][0]), np.zeros_like(likeness[0][0])
    for alike, is_seen in likeness:
        np.add(total, alike, out=total, where=is_seen)
        n_seen += is_seen
    return np.where(n_seen > 0, total / np.maximum(n_seen, 1.0), np.float32(-1.0))


@dataclass(frozen=True)
class _Peak:
    """The largest value along the first axis, as a number of a layer between two (h,w), and how sharp it is (h,w)."""

    at: Array
    curvature: Array
    is_inside: Mask
    """Whether both neighbours of the largest are there."""


def _peak(volume: Float32) -> _Peak:
    best = volume.argmax(axis=0)
    inner = np.clip(best, 1, len(volume) - 2)
    before, here, after = (np.take_along_axis(volume, (inner + k)[None], axis=0)[0] for k in (-1, 0, 1))
    offset, curvature = peak_between(before, here, after, LEAST_CURVATURE)
    return _Peak(inner + offset, curvature, best == inner)
