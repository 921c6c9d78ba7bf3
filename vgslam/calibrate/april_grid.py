"""Grids of AprilTags (Olson, ICRA 2011), with squares between the tags' corners or without."""

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.types import Array

Gray = npt.NDArray[np.uint8]
SURE_TAGS = 4
"""Tags in one image from which their order on the board is read off."""
MOST_OF_TAGS = 0.6
"""Share of the tags below which they are looked for in the second way too."""
LEAST_EDGE_PX = 12.0
"""Smaller tags are hardly read, and their corners are too vague."""
MAX_RESIDUAL = 0.1
"""Largest distance of a corner from the plane's homography, in edges of a tag: above it the number was misread."""
WINDOWS_OF_EDGE, WINDOW_RANGE = (0.15, 0.08), (2, 15)
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
        half = int(np.clip(np.ceil(share * _edge(quad)), *WINDOW_RANGE))
        moved = cv2.cornerSubPix(gray, moved, (half, half), (-1, -1), criteria)
    return np.asarray(moved, np.float64).reshape(4, 2)
