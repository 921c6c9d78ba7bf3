"""Boards that are looked for: checkerboards, ChArUco boards, AprilGrids, as `--board` names them."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.errors import ConfigError
from vgslam.types import Array

Gray = npt.NDArray[np.uint8]
Corners = tuple[Array, Array]  # points on the board (N,3), z = 0, and their pixels (N,2)
Look = Callable[[Gray], Corners | None]
FEWEST_CORNERS = 12  # a view with fewer says little
MOST_ALONG = 60  # corners along a side; more is a slip of the pen
DECIDED = 3  # views after which the reading of the board that has seen the most corners is the only one that is tried
TAG_SPACING = 0.3  # gap between tags over their edge, in AprilGrids as they are usually printed
MARKER_SHARE = 0.75  # edge of a marker over that of its square, in ChArUco boards as they are usually printed
SYNTAX = ("checkerboard:9x6 (inner corners), charuco:11x8:5x5_100[:MARKER/SQUARE] (squares) or "
          "aprilgrid:6x6[:36h11[:GAP/EDGE]] (tags)")  # fmt: skip


class Finder:
    """Looks for one board in image after image. A board can be read in several ways (squares counted instead of
    corners, borders of tags of one or two cells): all are tried until the board was seen a few times, then the one that
    has seen the most corners."""

    def __init__(self, readings: dict[str, Look]) -> None:
        self._readings = readings
        self._found = dict.fromkeys(readings, 0)
        self._n_seen = 0

    @property
    def note(self) -> str:
        """What was understood otherwise than it was written; empty if nothing was."""
        return max(self._found, key=lambda name: self._found[name]) if self._n_seen else ""

    def find(self, gray: Gray) -> Corners | None:
        """Corners of the board in an image (H,W); None if it is not seen well enough."""
        if self._n_seen >= DECIDED:
            return self._usable(self._readings[self.note](gray))
        best: Corners | None = None
        for name, look in self._readings.items():
            corners = self._usable(look(gray))
            if corners is None:
                continue
            self._found[name] += len(corners[0])
            best = corners if best is None or len(corners[0]) > len(best[0]) else best
        self._n_seen += best is not None
        return best

    @staticmethod
    def _usable(corners: Corners | None) -> Corners | None:
        """Corners enough that do not lie on a line."""
        if corners is None or len(corners[0]) < FEWEST_CORNERS:
            return None
        D = np.linalg.svd(corners[0][:, :2] - corners[0][:, :2].mean(axis=0), compute_uv=False)
        return corners if D[1] > 0.1 * D[0] else None


def finder(text: str) -> Finder:
    """The finder of the board that `--board` names (SYNTAX). Raises ConfigError."""
    words = text.strip().lower().split(":")
    counts = re.fullmatch(r"(\d{1,3})x(\d{1,3})", words[1]) if len(words) > 1 else None
    if counts is None or words[0] not in _KINDS:
        raise ConfigError(f"--board {text!r} is not understood; give {SYNTAX}")
    columns, rows = int(counts[1]), int(counts[2])
    least = 3 if words[0] != "aprilgrid" else 1
    if not (least <= columns <= MOST_ALONG and least <= rows <= MOST_ALONG):
        raise ConfigError(f"--board {text!r}: {least} to {MOST_ALONG} along each side; give {SYNTAX}")
    return Finder(_KINDS[words[0]](text, columns, rows, words[2:]))


def _checkerboard(text: str, columns: int, rows: int, more: list[str]) -> dict[str, Look]:
    if more:
        raise ConfigError(f"--board {text!r}: a checkerboard has no more than its counts; give {SYNTAX}")
    readings: dict[str, Look] = {"": Checkerboard(columns, rows).find}
    if min(columns, rows) > 3:
        note = (f"--board {text} seems to count squares: the board has {columns - 1}x{rows - 1} inner corners, "
                "which were used")  # fmt: skip
        readings[note] = Checkerboard(columns - 1, rows - 1).find
    return readings


def _charuco(text: str, columns: int, rows: int, more: list[str]) -> dict[str, Look]:
    if not 1 <= len(more) <= 2:
        raise ConfigError(f"--board {text!r}: the dictionary of the markers is missing; give {SYNTAX}")
    dictionary = _dictionary(text, more[0])
    share = _number(text, more[1], 0.2, 0.95) if len(more) > 1 else MARKER_SHARE
    usual, older = (_CharucoLook(columns, rows, share, dictionary, is_old) for is_old in (False, True))
    return {"": usual.find, "the board has the layout of OpenCV before 4.6": older.find}


def _april_grid(text: str, columns: int, rows: int, more: list[str]) -> dict[str, Look]:
    if len(more) > 2:
        raise ConfigError(f"--board {text!r} is not understood; give {SYNTAX}")
    family = more[0] if more else "36h11"
    dictionary = _dictionary(text, family if family.startswith("april") else f"apriltag_{family}")
    gap = _number(text, more[1], 0.01, 2.0) if len(more) > 1 else TAG_SPACING
    if columns * rows > len(dictionary.bytesList):
        raise ConfigError(f"--board {text!r}: the family {family} has {len(dictionary.bytesList)} tags")
    return {
        "": AprilGrid(columns, rows, gap, dictionary, border=1).find,
        "the tags have borders of two cells": AprilGrid(columns, rows, gap, dictionary, border=2).find,
    }


_KINDS: dict[str, Callable[[str, int, int, list[str]], dict[str, Look]]] = {
    "checkerboard": _checkerboard, "chessboard": _checkerboard, "charuco": _charuco, "aprilgrid": _april_grid,
}  # fmt: skip


@dataclass
class _CharucoLook:
    """A ChArUco board, by OpenCV."""

    columns: int
    rows: int
    share: float
    dictionary: cv2.aruco.Dictionary
    is_old: bool

    def __post_init__(self) -> None:
        board = cv2.aruco.CharucoBoard((self.columns, self.rows), 1.0, self.share, self.dictionary)
        board.setLegacyPattern(self.is_old)
        self._corners = np.asarray(board.getChessboardCorners(), np.float64)
        self._detector = cv2.aruco.CharucoDetector(board)

    def find(self, gray: Gray) -> Corners | None:
        pixels, numbers, _, _ = self._detector.detectBoard(gray)
        if numbers is None or not len(numbers):
            return None
        return self._corners[np.ravel(numbers)], np.asarray(pixels, np.float64).reshape(-1, 2)


def _dictionary(text: str, name: str) -> cv2.aruco.Dictionary:
    names = {n.removeprefix("DICT_").lower(): n for n in dir(cv2.aruco) if n.startswith("DICT_")}
    if name not in names:
        raise ConfigError(f"--board {text!r}: OpenCV has no dictionary {name!r}; it has {', '.join(sorted(names))}")
    return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, names[name]))


def _number(text: str, word: str, low: float, high: float) -> float:
    try:
        value = float(word)
    except ValueError:
        value = np.nan
    if not low <= value <= high:
        raise ConfigError(f"--board {text!r}: {word!r} is no share between {low:g} and {high:g}; give {SYNTAX}")
    return value


SEARCHED_PX = 1280  # longer side of the image that is searched; in a larger one the corners are then refined
WINDOW_OF_SPACING, WINDOW_RANGE = 0.25, (2, 11)
"""Half the window of the refinement: this part of the least distance of two corners, within limits in px."""


@dataclass
class Checkerboard:
    """A board of `columns` x `rows` inner corners, all of which must be seen."""

    columns: int
    rows: int

    def find(self, gray: Gray) -> tuple[Array, Array] | None:
        """Points on the board (N,3) in squares, and pixels (N,2); which end is the first is left open."""
        scale = min(1.0, SEARCHED_PX / max(gray.shape))
        small = gray if scale == 1.0 else cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        flags = cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_ACCURACY
        found, corners = cv2.findChessboardCornersSB(small, (self.columns, self.rows), flags=flags)
        if not found:
            return None
        pixels = np.asarray(corners, np.float64).reshape(-1, 2)
        if scale != 1.0:
            factors = np.array([gray.shape[1] / small.shape[1], gray.shape[0] / small.shape[0]])
            pixels = refined(gray, (pixels + 0.5) * factors - 0.5, self.columns)
        y, x = np.divmod(np.arange(self.columns * self.rows), self.columns)
        return np.stack([x, y, np.zeros_like(x)], axis=1).astype(np.float64), pixels


def refined(gray: Gray, pixels: Array, columns: int) -> Array:
    """Corners (N,2) of a grid, row by row, moved to where the gradients around them meet."""
    grid = pixels.reshape(-1, columns, 2)
    steps = [np.linalg.norm(np.diff(grid, axis=axis), axis=-1).min(initial=np.inf) for axis in (0, 1)]
    half = int(np.clip(WINDOW_OF_SPACING * min(steps), *WINDOW_RANGE))
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 50, 1e-3)
    moved = cv2.cornerSubPix(gray, pixels.astype(np.float32).reshape(-1, 1, 2), (half, half), (-1, -1), criteria)
    return np.asarray(moved, np.float64).reshape(-1, 2)


SURE_TAGS = 4  # tags in one image from which their order on the board is read off
MOST_OF_TAGS = 0.6  # share of the tags below which they are looked for in the second way too
LEAST_EDGE_PX = 12.0  # smaller tags are hardly read, and their corners are too vague
MAX_RESIDUAL = 0.1
"""Largest distance of a corner from the plane's homography, in edges of a tag: above it the number was misread."""
WINDOWS_OF_EDGE, TAG_WINDOW_RANGE = (0.15, 0.08), (2, 15)
"""Half the windows of the two refinements: these parts of the tag's edge, within limits in px. The first reaches as far
as corners of a contour are off where squares touch the tags; the second is not disturbed by what is near."""


@dataclass
class AprilGrid:
    """A grid of `columns` x `rows` tags, numbered row by row from a corner; `gap` lies between them, in edges. Where
    the first row is (below, as Kalibr prints it, or above) and at which corner OpenCV begins with a tag is read off
    from the first image that shows enough of them: a wrong order fits no plane."""

    columns: int
    rows: int
    gap: float
    dictionary: cv2.aruco.Dictionary
    border: int
    """Width of the tags' black border, in cells."""
    _layout: tuple[bool, int] | None = field(default=None, init=False)
    """Whether rows go up, and by how many corners OpenCV's order is shifted."""

    def __post_init__(self) -> None:
        self._detectors = []
        for refinement in (cv2.aruco.CORNER_REFINE_NONE, cv2.aruco.CORNER_REFINE_APRILTAG):  # each has its own quads
            parameters = cv2.aruco.DetectorParameters()
            parameters.markerBorderBits = self.border
            parameters.cornerRefinementMethod = refinement
            self._detectors.append(cv2.aruco.ArucoDetector(self.dictionary, parameters))

    def find(self, gray: Gray) -> tuple[Array, Array] | None:
        """Points on the board (N,3) in edges of a tag, and pixels (N,2)."""
        tags: dict[int, Array] = {}
        for detector in self._detectors:
            if len(tags) < MOST_OF_TAGS * self.columns * self.rows:
                quads, numbers, _ = detector.detectMarkers(gray)
                for quad, number in zip(quads, [] if numbers is None else np.ravel(numbers).tolist(), strict=True):
                    pixels = np.asarray(quad, np.float64).reshape(4, 2)
                    if number < self.columns * self.rows and _edge(pixels) >= LEAST_EDGE_PX:
                        tags.setdefault(number, _refined(gray, pixels))
        if not tags:
            return None
        if self._layout is None:
            if len(tags) < SURE_TAGS:
                return None
            layouts = [(is_up, shift) for is_up in (True, False) for shift in range(4)]
            self._layout = min(layouts, key=lambda layout: float(np.median(self._residuals(tags, layout)[2])))
        points, pixels, residuals = self._residuals(tags, self._layout)
        good = residuals <= MAX_RESIDUAL
        return points[good], pixels[good]

    def _residuals(self, tags: dict[int, Array], layout: tuple[bool, int]) -> tuple[Array, Array, Array]:
        """Points, pixels, and distances (N,) on the board, in edges, of where the homography puts the pixels."""
        points = np.concatenate([self._corners(number, layout) for number in tags])
        pixels = np.concatenate(list(tags.values()))
        H, _ = cv2.findHomography(pixels, points[:, :2], cv2.RANSAC, MAX_RESIDUAL / 2)
        if H is None:
            return points, pixels, np.full(len(points), np.inf)
        back = cv2.perspectiveTransform(pixels.reshape(-1, 1, 2), H).reshape(-1, 2)
        return points, pixels, np.asarray(np.linalg.norm(back - points[:, :2], axis=1))

    def _corners(self, number: int, layout: tuple[bool, int]) -> Array:
        is_up, shift = layout
        row, column = divmod(number, self.columns)
        pitch = 1.0 + self.gap
        y = -row * pitch if is_up else row * pitch
        square = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])  # clockwise as seen, y down
        plane = np.roll(square, shift, axis=0) + np.array([column * pitch, y])
        return np.column_stack([plane, np.zeros(4)])


def _edge(quad: Array) -> float:
    return float(np.linalg.norm(quad - np.roll(quad, 1, axis=0), axis=1).min())


def _refined(gray: Gray, quad: Array) -> Array:
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 50, 1e-3)
    moved = quad.astype(np.float32).reshape(-1, 1, 2)
    for share in WINDOWS_OF_EDGE:
        half = int(np.clip(np.ceil(share * _edge(quad)), *TAG_WINDOW_RANGE))
        moved = cv2.cornerSubPix(gray, moved, (half, half), (-1, -1), criteria)
    return np.asarray(moved, np.float64).reshape(4, 2)
