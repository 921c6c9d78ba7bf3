"""Dense depth of one view from its neighbours by sweeping fronto-parallel planes (Collins, CVPR 1996).

Each plane's homography warps a neighbour onto the view; zero-mean normalised cross-correlation scores the match; the
cost volume is smoothed along four image paths (semi-global matching, Hirschmueller, PAMI 2008, eq. 13, with planes
equally spaced in inverse depth). Confidence grows with the correlation and with how clearly the best plane wins.
OpenCV does the warping and filtering: on one CPU core it was measured 3.4 times faster than torch's grid_sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.multiview.correlation import Windows
from vgslam.multiview.peak import peak_between
from vgslam.multiview.useful_views import useful_views
from vgslam.types import Array, Float32, Image

KNOWN_PERCENTILES = (2, 98)
"""The swept range follows these percentiles of the landmarks' depths, so that a few wrong ones do not stretch it."""
BEFORE_NEAR, BEYOND_FAR = 0.6, 1.6
"""How much further the planes reach on both sides, as factors: surfaces lie before and behind the landmarks as well."""
MIN_CORRELATION = 0.2
"""A depth whose patches correlate less is left out, in -1 to 1."""
SURE_FROM, SURE_WITHIN = 0.3, 0.6
"""Confidence rises from 0 at SURE_FROM, a correlation, to 1 at SURE_WITHIN above it."""
LEAST_CURVATURE = 1e-6
"""Curvature of the cost below which nothing is read off between two planes."""
FULL_MARGIN = 0.15
"""The confidence rises with the cost per path by which the best plane beats all but its neighbours, up to here."""


@dataclass(frozen=True)
class PlaneSweepConfig:
    """Size and smoothness of a depth map from a plane sweep."""

    width_px: int = 160
    """Width of the depth map, in px; the height follows."""
    n_planes: int = 32
    """Number of planes."""
    window_px: int = 5
    """Edge of the correlation window, in px."""
    n_sources: int = 3
    """Neighbours used."""
    min_baseline: float = 0.02
    """Smallest useful baseline, as a share of the median depth."""
    max_baseline: float = 0.25
    """Largest useful baseline, as a share of the median depth."""
    penalty_small: float = 0.06
    """Cost of a change by one plane between neighbouring pixels."""
    penalty_large: float = 0.35
    """Cost of a change by more planes."""

    def depth_camera(self, camera: Camera) -> Camera:
        """Camera of the depth map: the image's, resized."""
        width = min(self.width_px, camera.width)
        return camera.resized(width, max(8, round(camera.height * width / camera.width)))


def plane_sweep(
    images: Sequence[Image], camera: Camera, T_window_cam: Array, reference: int, known_depth: Array,
    config: PlaneSweepConfig,
) -> tuple[Float32, Float32]:
    """Depth (h,w), 0 = unknown, and confidence (h,w) in [0,1] of image `reference`. camera: of the depth map.
    T_window_cam (N,4,4). known_depth (L,): depths of landmarks, which set the swept range."""
    shape = (camera.height, camera.width)
    near, far = np.percentile(known_depth, KNOWN_PERCENTILES)
    inverse = np.linspace(1.0 / (far * BEYOND_FAR), 1.0 / (near * BEFORE_NEAR), config.n_planes)
    baselines = config.min_baseline, config.max_baseline
    sources = useful_views(T_window_cam, reference, float(np.median(known_depth)), baselines)[: config.n_sources]
    if not len(sources):
        return np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    size = (camera.width, camera.height)

    def small(i: int) -> Float32:
        gray = cv2.cvtColor(images[i], cv2.COLOR_RGB2GRAY)
        return cv2.resize(gray, size, interpolation=cv2.INTER_AREA).astype(np.float32)

    target = Windows.of(small(reference), config.window_px)
    score = np.zeros((config.n_planes, *shape), np.float32)
    weight = np.zeros_like(score)
    sweep = _Sweep(target, camera, inverse)
    for i in sources.tolist():
        sweep.add(score, weight, small(i), se3.inverse(T_window_cam[i]) @ T_window_cam[reference])
    mean_score = np.where(weight > 0, score / np.maximum(weight, 1e-6), 0.0).astype(np.float32)
    cost = _smooth_paths(1.0 - mean_score, config.penalty_small, config.penalty_large)
    return _read_out(cost, mean_score, inverse, weight.max(axis=0) > 0)


@dataclass(frozen=True)
class _Sweep:
    """The reference image, and the planes swept."""

    target: Windows
    camera: Camera
    inverse_depths: Array

    def add(self, score: Float32, weight: Float32, source: Float32, T_source_reference: Array) -> None:
        """Add the correlation of one source at every plane to score and weight (P,h,w)."""
        K = self.camera.K
        K_inv = np.linalg.inv(K)
        size = (self.camera.width, self.camera.height)
        ones = np.ones_like(source)
        for p, inverse in enumerate(self.inverse_depths):
            H = K @ (T_source_reference[:3, :3] + np.outer(T_source_reference[:3, 3], [0.0, 0.0, inverse])) @ K_inv
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            warped = np.asarray(cv2.warpPerspective(source, H, size, flags=flags), np.float32)
            inside = cv2.warpPerspective(ones, H, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
            score[p] += inside * self.target.correlation(warped)
            weight[p] += inside


def _smooth_paths(cost: Float32, small: float, large: float) -> Float32:
    """Sum of the path costs from left, right, top and bottom."""
    total = np.zeros_like(cost)
    for axis in (1, 2):
        lines = np.ascontiguousarray(np.moveaxis(cost, axis, 0))
        both = _path_costs(np.stack([lines, lines[::-1]], axis=2), small, large)
        for path in (both[:, :, 0], both[::-1, :, 1]):
            total += np.moveaxis(path, 0, axis)
    return total


def _path_costs(lines: Float32, small: float, large: float) -> Float32:
    """Costs (n,P,2,m) of the lines that two paths cross one after another; in place, with those of the way there."""
    previous = lines[0]
    best, raised = np.empty_like(previous), np.empty_like(previous)
    for line in lines[1:]:
        floor = previous.min(axis=0)
        np.minimum(previous, floor + large, out=best)
        np.add(previous, small, out=raised)
        np.minimum(best[1:], raised[:-1], out=best[1:])
        np.minimum(best[:-1], raised[1:], out=best[:-1])
        line += best
        line -= floor
        previous = line
    return lines


def _read_out(cost: Float32, score: Float32, inverse: Array, seen: np.ndarray) -> tuple[Float32, Float32]:
    n = len(inverse)
    best = cost.argmin(axis=0)
    rows, cols = np.indices(best.shape)
    inner = np.clip(best, 1, n - 2)
    before, here, after = (-cost[inner + k, rows, cols] for k in (-1, 0, 1))
    offset, _ = peak_between(before, here, after, LEAST_CURVATURE)
    position = inner + offset
    rho = inverse[0] + position * (inverse[1] - inverse[0])
    correlation = score[best, rows, cols]
    rest = cost.copy()
    for k in (-1, 0, 1):
        rest[np.clip(best + k, 0, n - 1), rows, cols] = np.inf
    margin = (rest.min(axis=0) - cost.min(axis=0)) / 4.0
    confidence = np.clip((correlation - SURE_FROM) / SURE_WITHIN, 0, 1) * np.clip(margin / FULL_MARGIN, 0, 1)
    at_border = (best == 0) | (best == n - 1)
    known = seen & ~at_border & (correlation > MIN_CORRELATION)
    depth = np.where(known, 1.0 / rho, 0.0).astype(np.float32)
    return depth, np.where(known, confidence, 0.0).astype(np.float32)
