"""Which lens model fits a set of views better: by corners that neither of the two was fitted to."""

from collections.abc import Sequence

import cv2
import numpy as np

from vgslam.calibrate.solve import Solution, fitted, solve
from vgslam.calibrate.views import BoardView, Size
from vgslam.errors import CalibrationError
from vgslam.types import Array, Camera

N_FOLDS = 5  # groups of views that are held out in turn
FEWEST_CORNERS = 12  # views with fewer are not held out: half of them give the board's pose
CLEARLY = 0.95
"""Share of the other model's error below which a model fits better. Where both can describe a lens they differ by less
than 1 %, and by half and more where one cannot."""
NAMES = {True: "fisheye", False: "pinhole"}


def lens_doubt(views: Sequence[BoardView], size: Size, found: Solution, wide_deg: float) -> str | None:
    """One line where the model that was chosen fits views (those that were used) clearly worse than the other, or a
    fisheye no better than a pinhole though the view is narrower than wide_deg; None otherwise."""
    is_fisheye = found.camera.is_fisheye
    other = NAMES[not is_fisheye]
    try:
        other_px = held_out_px(views, size, not is_fisheye)
    except CalibrationError:
        return None
    mine_px = held_out_px(views, size, is_fisheye)
    told = f"corners that were held out are {other_px:.3f} px off, {mine_px:.3f} px with the {NAMES[is_fisheye]}"
    if other_px < CLEARLY * mine_px:
        return f"a {other} fits better ({told}): --lens {other}"
    if is_fisheye and found.camera.fov_deg[0] < wide_deg and mine_px > CLEARLY * other_px:
        return f"a {other} fits as well ({told}), and for a view this narrow it is the usual lens: --lens {other}"
    return None


def of_other_lens(views: Sequence[BoardView], size: Size, is_fisheye: bool) -> str:
    """What to add where the chosen model could not be fitted: the other one, if that can."""
    try:
        other = solve(views, size, not is_fisheye)
    except CalibrationError:
        return ""
    name = NAMES[not is_fisheye]
    return f"; a {name} fits them to {other.rms_px:.3f} px RMS: --lens {name}"


def held_out_px(views: Sequence[BoardView], size: Size, is_fisheye: bool) -> float:
    """Median over the views of the RMS distance of every second corner from where the camera of the other views sees
    it, with the board's pose by the rest of the corners. Raises CalibrationError."""
    errors = []
    for fold in range(N_FOLDS):
        rest = [view for i, view in enumerate(views) if i % N_FOLDS != fold]
        camera = fitted(rest, size, is_fisheye)
        errors += [_error_px(view, camera) for view in views[fold::N_FOLDS] if len(view.points) >= FEWEST_CORNERS]
    return float(np.median(errors)) if errors else float("inf")


def _error_px(view: BoardView, camera: Camera) -> float:
    points, pixels, k = np.ascontiguousarray(view.points), view.pixels.reshape(-1, 1, 2), np.array(camera.distortion)
    undistort = cv2.fisheye.undistortPoints if camera.is_fisheye else cv2.undistortPoints
    flat = np.asarray(undistort(np.ascontiguousarray(pixels), camera.K, k)).reshape(-1, 2)
    there, rays = np.ascontiguousarray(points[::2]), np.ascontiguousarray(flat[::2])
    try:
        found, turn, shift = cv2.solvePnP(there, rays, np.eye(3), None, flags=cv2.SOLVEPNP_IPPE)
        if found:
            found, turn, shift = cv2.solvePnP(there, rays, np.eye(3), None, turn, shift, useExtrinsicGuess=True)
    except cv2.error:
        found = False
    if not found:
        return float("inf")
    seen = _seen(np.ascontiguousarray(points[1::2]), turn, shift, camera)
    return float(np.sqrt(((seen - view.pixels[1::2]) ** 2).sum(axis=1).mean()))


def _seen(points: Array, turn: Array, shift: Array, camera: Camera) -> Array:
    k = np.array(camera.distortion)
    if camera.is_fisheye:
        pixels, _ = cv2.fisheye.projectPoints(points.reshape(1, -1, 3), turn, shift, camera.K, k)
    else:
        pixels, _ = cv2.projectPoints(points, turn, shift, camera.K, k)
    return np.asarray(pixels, np.float64).reshape(-1, 2)
