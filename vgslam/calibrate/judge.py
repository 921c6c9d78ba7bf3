"""Makes views a calibration that can be used, or says what to film instead."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vgslam.calibrate.lens import lens_doubt, of_other_lens
from vgslam.calibrate.solve import Solution, solve
from vgslam.calibrate.views import BoardView, Size, bare_parts, choose, covered, normal_of, tilt_deg
from vgslam.errors import CalibrationError
from vgslam.types import Array, Camera

Lens = Literal["auto", "pinhole", "fisheye"]
MOST_VIEWS = 40  # views that are solved with: more add time, and little else
LEAST_VIEWS = 8  # fewer leave it to chance what they determine
TILTED_DEG, LEAST_TILTED = 15.0, 4
"""A board parallel to the image says nothing of the focal length: this many views must be tilted by this
angle."""
MAX_REL_SIGMA = 0.01
"""Largest deviation of fx, over fx, of a calibration that is written: it is an error of scale of the depth."""
MAX_RMS, DOUBTED_RMS = 0.003, 0.001
"""RMS over the image's longer side above which there is no calibration, and above which it is doubted: 2 px and
0.6 px of 640."""
LEAST_COVERAGE, GOOD_COVERAGE = 0.3, 0.7
"""Share of the image's cells with corners below which there is no calibration, and below which it is doubted."""
WIDE_DEG = 100.0  # horizontal view from which a fisheye is tried as well
FISHEYE_BETTER = 0.9  # the fisheye is taken if its RMS is below this share of the pinhole's
WHAT_TO_FILM = (
    "film the board at 15 to 45 degrees to the image, turned left, right, up and down, near and far, until each part "
    "of the image, the corners too, has shown it; hold still for a moment in each place"
)


@dataclass(frozen=True)
class Calibration:
    """A camera and how good it is."""

    camera: Camera
    rms_px: float
    n_views: int  # views that were used
    n_seen: int  # views that showed the board
    coverage: float  # share of the image that corners were seen in, in [0,1]
    fx_sigma_px: float
    most_tilt_deg: float
    doubts: tuple[str, ...]  # what to mind, a line each

    def lines(self) -> list[str]:
        """The outcome in lines for people."""
        c = self.camera
        k = ", ".join(f"{value:.5g}" for value in c.distortion)
        names = "k1 k2 k3 k4" if c.is_fisheye else "k1 k2 p1 p2 k3"[: 14 if len(c.distortion) > 4 else 11]
        return [
            f"{'fisheye' if c.is_fisheye else 'pinhole'}, {c.width}x{c.height}: "
            f"fx {c.fx:.2f} +- {self.fx_sigma_px:.2f}, fy {c.fy:.2f}, cx {c.cx:.2f}, cy {c.cy:.2f} px",
            f"{names}: {k}",
            f"reprojection error {self.rms_px:.3f} px RMS, {self.n_views} of {self.n_seen} views, "
            f"{100 * self.coverage:.0f} % of the image, tilts up to {self.most_tilt_deg:.0f} degrees",
            *[f"doubt: {line}" for line in self.doubts],
        ]


def calibrate(views: Sequence[BoardView], size: Size, n_frames: int, lens: Lens = "auto") -> Calibration:
    """The calibration of images of a size in which a board was looked for in n_frames of them. Raises CalibrationError,
    saying what to film, if the board was seen too little, only parallel to the image, or if what was seen does not
    determine the camera."""
    _refuse_few(views, n_frames)
    normals = np.array([normal_of(view, size) for view in views])
    _refuse_frontal(normals)
    chosen = choose(views, normals, size, MOST_VIEWS)
    picked = [views[i] for i in chosen]
    found = _best(picked, size, lens)
    cells = covered(np.concatenate([picked[i].pixels for i in found.used]), size)
    coverage = float(cells.mean())
    _refuse_vague(found, coverage, size)
    tilts = tilt_deg(normals[[chosen[i] for i in found.used]])
    doubts = _doubts(found, coverage, bare_parts(cells), size, len(picked))
    if lens != "auto" and (doubt := lens_doubt([picked[i] for i in found.used], size, found, WIDE_DEG)) is not None:
        doubts.append(doubt)
    return Calibration(
        found.camera, found.rms_px, len(found.used), len(views), coverage, found.fx_sigma_px, float(tilts.max()),
        tuple(doubts),
    )  # fmt: skip


def _refuse_few(views: Sequence[BoardView], n_frames: int) -> None:
    if not views:
        raise CalibrationError(f"the board is in none of {n_frames} images that were looked at; check --board (inner "
                               f"corners of a checkerboard, squares of a ChArUco board, tags of an AprilGrid), and "
                               f"{WHAT_TO_FILM}")  # fmt: skip
    if len(views) < LEAST_VIEWS:
        raise CalibrationError(f"the board is seen in {len(views)} of {n_frames} images, at least {LEAST_VIEWS} are "
                               f"needed; {WHAT_TO_FILM}")  # fmt: skip


def _refuse_frontal(normals: Array) -> None:
    tilts = tilt_deg(normals)
    n_tilted = int((tilts >= TILTED_DEG).sum())
    if n_tilted < LEAST_TILTED:
        raise CalibrationError(
            f"the board is nearly parallel to the image (tilted by {TILTED_DEG:g} degrees or more in {n_tilted} of "
            f"{len(tilts)} views, {LEAST_TILTED} are needed), which leaves the focal length open; {WHAT_TO_FILM}"
        )


def _best(views: Sequence[BoardView], size: Size, lens: Lens) -> Solution:
    if lens != "auto":
        try:
            return solve(views, size, lens == "fisheye")
        except CalibrationError as error:
            raise CalibrationError(f"{error}{of_other_lens(views, size, lens == 'fisheye')}") from error
    try:
        pinhole = solve(views, size, is_fisheye=False)
    except CalibrationError:
        return solve(views, size, is_fisheye=True)
    if pinhole.camera.fov_deg[0] < WIDE_DEG and pinhole.rms_px < DOUBTED_RMS * max(size):
        return pinhole
    try:
        fisheye = solve(views, size, is_fisheye=True)
    except CalibrationError:
        return pinhole
    return fisheye if fisheye.rms_px < FISHEYE_BETTER * pinhole.rms_px else pinhole


def _refuse_vague(found: Solution, coverage: float, size: Size) -> None:
    relative = found.fx_sigma_px / found.camera.fx
    if not relative <= MAX_REL_SIGMA:
        raise CalibrationError(f"the focal length stays open by +- {100 * relative:.2g} % (at most "
                               f"{100 * MAX_REL_SIGMA:g} % is of use); {WHAT_TO_FILM}")  # fmt: skip
    if found.rms_px > MAX_RMS * max(size):
        raise CalibrationError(f"the corners do not fit a camera: {found.rms_px:.2f} px RMS; is the board flat, "
                               "--board its layout, are the images sharp and not zoomed between?")  # fmt: skip
    if coverage < LEAST_COVERAGE:
        raise CalibrationError(f"the board was seen in {100 * coverage:.0f} % of the image, the distortion elsewhere "
                               f"stays unknown; {WHAT_TO_FILM}")  # fmt: skip


def _doubts(found: Solution, coverage: float, bare: list[str], size: Size, n_picked: int) -> list[str]:
    doubts = []
    if found.rms_px > DOUBTED_RMS * max(size):
        doubts.append(f"{found.rms_px:.2f} px RMS is much: an uneven board, blur, or a rolling shutter")
    if coverage < GOOD_COVERAGE and bare:
        doubts.append(f"hardly a corner was seen in the {', '.join(bare)} of the image: distortion is not known there")
    if len(found.used) < n_picked:
        doubts.append(f"{n_picked - len(found.used)} views did not fit and were left out")
    return doubts
