"""The camera of a set of views, by OpenCV: a pinhole with radial and tangential distortion, or a fisheye."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vgslam.calibrate.views import BoardView, Size
from vgslam.errors import CalibrationError
from vgslam.types import Array, Camera

CLEAR_SIGMAS = 4.0
"""k3 is used where it is this many standard deviations from zero; else it bends what no corner has seen."""
OUTLIER, LEAST_OUTLIER_PX = 3.0, 0.5
"""A view is left out whose RMS is above this times the median, and above this many px: blurred, or misread."""
FEWEST_VIEWS = 4  # OpenCV needs two or three; four leave something to judge by
N_GROUPS = 5  # groups of views that are left out in turn, for the deviation of the focal length
_CRITERIA = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 100, 1e-9)


@dataclass(frozen=True)
class Solution:
    """A camera, and how well it explains the views."""

    camera: Camera
    rms_px: float
    """RMS distance of corners from where the camera sees them."""
    used: tuple[int, ...]
    """Indices of the views that were used."""
    fx_sigma_px: float
    """Standard deviation of fx: by the delete-a-group jackknife, or by the residuals where those say more."""


def solve(views: Sequence[BoardView], size: Size, is_fisheye: bool) -> Solution:
    """The camera of the views; those that fit badly are left out once. Raises CalibrationError if there is none."""
    kept = list(range(len(views)))
    fit = _fit([views[i] for i in kept], size, is_fisheye)
    limit = max(OUTLIER * float(np.median(fit.view_rms)), LEAST_OUTLIER_PX)
    better = [i for i, rms in zip(kept, fit.view_rms, strict=True) if rms <= limit]
    if FEWEST_VIEWS <= len(better) < len(kept):
        kept = better
        fit = _fit([views[i] for i in kept], size, is_fisheye)
    sigma = max(fit.fx_sigma, _jackknife([views[i] for i in kept], size, is_fisheye))
    return Solution(fit.camera, fit.rms, tuple(kept), sigma)


def fitted(views: Sequence[BoardView], size: Size, is_fisheye: bool) -> Camera:
    """The camera of all the views. Raises CalibrationError."""
    return _fit(views, size, is_fisheye).camera


@dataclass(frozen=True)
class _Fit:
    camera: Camera
    rms: float
    view_rms: Array
    fx_sigma: float


def _fit(views: Sequence[BoardView], size: Size, is_fisheye: bool) -> _Fit:
    try:
        fit = _fisheye(views, size) if is_fisheye else _pinhole(views, size)
    except cv2.error as error:
        lens = "fisheye" if is_fisheye else "pinhole"
        raise CalibrationError(f"OpenCV finds no {lens} camera for these views ({error.err or 'numerically'}); "
                               "film the board tilted, and in all parts of the image") from error  # fmt: skip
    except ValueError as error:
        raise CalibrationError(f"the views determine no camera ({error}); film the board tilted, in several "
                               "directions") from error  # fmt: skip
    return fit


def _pinhole(views: Sequence[BoardView], size: Size) -> _Fit:
    """k1 k2 p1 p2, and k3 if it is clear."""
    with_k3 = _radtan(views, size, 0)
    k3, sigma = with_k3[2][4], with_k3[5][8]
    chosen = with_k3 if abs(k3) > CLEAR_SIGMAS * sigma else _radtan(views, size, cv2.CALIB_FIX_K3)
    rms, K, k, _, _, sigmas, per_view = chosen
    n = 5 if chosen is with_k3 else 4
    camera = Camera(K[0, 0], K[1, 1], K[0, 2], K[1, 2], *size, tuple(float(c) for c in k[:n]))
    return _Fit(camera, float(rms), np.ravel(per_view), float(sigmas[0]))


def _radtan(views: Sequence[BoardView], size: Size, flags: int) -> tuple[Any, ...]:
    points, pixels = [v.points.astype(np.float32) for v in views], [v.pixels.astype(np.float32) for v in views]
    rms, K, k, rotations, shifts, sigmas, _, per_view = cv2.calibrateCameraExtended(
        points, pixels, size, None, None, flags=flags, criteria=_CRITERIA
    )
    return rms, K, np.ravel(k), rotations, shifts, np.ravel(sigmas), per_view


def _fisheye(views: Sequence[BoardView], size: Size) -> _Fit:
    """k1 k2 k3 k4 of the equidistant model (Kannala and Brandt, PAMI 2006)."""
    points = [v.points.reshape(1, -1, 3) for v in views]
    pixels = [v.pixels.reshape(1, -1, 2) for v in views]
    f = max(size) / np.pi  # a view of 180 degrees across: OpenCV's own guess
    K0 = np.array([[f, 0, (size[0] - 1) / 2], [0, f, (size[1] - 1) / 2], [0, 0, 1]])
    flags = sum(map(_fisheye_flag, ("RECOMPUTE_EXTRINSIC", "FIX_SKEW", "USE_INTRINSIC_GUESS")))
    _, K, k, rotations, shifts = cv2.fisheye.calibrate(
        points, pixels, size, K0, np.zeros((4, 1)), flags=flags, criteria=_CRITERIA
    )
    per_view = []
    for p, q, rotation, shift in zip(points, pixels, rotations, shifts, strict=True):
        seen, _ = cv2.fisheye.projectPoints(p, rotation, shift, K, k)
        per_view.append(float(np.sqrt(((seen - q) ** 2).sum(axis=-1).mean())))
    camera = Camera(K[0, 0], K[1, 1], K[0, 2], K[1, 2], *size, tuple(np.ravel(k).tolist()), True)
    weights = [v.points.shape[0] for v in views]
    return _Fit(camera, float(np.sqrt(np.average(np.square(per_view), weights=weights))), np.array(per_view), 0.0)


def _fisheye_flag(name: str) -> int:
    """A flag by its name: OpenCV 4 has those of the fisheye in a module of their own, with other numbers."""
    return int(getattr(cv2.fisheye, f"CALIB_{name}", None) or getattr(cv2, f"CALIB_{name}"))


def _jackknife(views: Sequence[BoardView], size: Size, is_fisheye: bool) -> float:
    """Standard deviation of fx from fits without a group of views each (delete-a-group jackknife)."""
    n = min(N_GROUPS, len(views))
    found = []
    for group in range(n):
        rest = [v for i, v in enumerate(views) if i % n != group]
        if len(rest) < FEWEST_VIEWS - 1:
            continue
        try:
            found.append(_fit(rest, size, is_fisheye).camera.fx)
        except CalibrationError:
            return float("inf")
    if len(found) < 2:
        return float("inf")
    return float(np.sqrt((n - 1) / n * np.square(np.array(found) - np.mean(found)).sum()))
