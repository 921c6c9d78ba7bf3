"""Two images of one camera brought to the same exposure, as optical flow compares grey values.

Lucas and Kanade's flow takes a point's brightness for constant: where the camera's exposure changes by a tenth from one
frame to the next, most corners of a bright room are lost, and half of the others go astray. What the exposure did is
read from the grey values around the corners in both images, where these are expected to be. It is one line

    current = gain previous + offset            (a gain, or a tone curve around the usual grey values)

for all of the image. A lamp that flickers while a rolling shutter reads the rows is left to others: factors of rows
known to a few percent let flow follow what it would lose, and all of it astray by the same.
"""

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.frontend.features import FeatureConfig, Gray, Pixels, track_flow

Values = npt.NDArray[np.float64]

MOST_POINTS, LEAST_POINTS = 200, 30
"""Corners whose surroundings are compared: more say nothing new, and fewer are not enough."""
SIDE, STEP_PX = 3, 5
"""Samples along a side, and their distance in px, that a corner's surroundings are the mean of: about a flow window."""
SATURATED = 245.0
"""Above this mean grey value surroundings are cut off, and tell nothing of the exposure."""
LEAST_CHANGE = 0.5
"""Median change, in grey values of 255, below which an image is left as it is."""
LEAST_CORRELATION, ERROR = 0.7, 0.45
"""Least correlation of the grey values in both images, and the error of the gain, as a multiple of what the correlation
lacks to 1: smaller changes are not believed. Where corners are not as expected, what differs is the scene: of
guesses half a patch off, the correlation is 0.8 and the gain up to 0.08 off; of those far off, 0.5 and 0.3; of good
ones, 0.99 and 0.005."""
LEAST_ERRORS, ERROR_OF_MEDIAN = 4.0, 1.86
"""Least change in standard errors of a median, and this error in median absolute deviations over the root of the number
(1.253 x 1.483, of a normal distribution): noise looks like a change, and would lead all of the flow astray."""
EXPLAINED = 2.0
"""Mean difference in grey values that a gain may leave before more than a gain is looked for."""
DARK = 1.0
"""Added to grey values before they are divided: those near 0 are noise."""
QUANTILES, LEAST_SPREAD = (0.15, 0.5, 0.85), 20.0
"""Shares of the grey values below the points of a line, and how far apart the outer of these have to be at least."""
LINE_EXPLAINS = 0.75
"""A line is used if the differences that remain are less than this share of those that a gain leaves."""
GAIN_RANGE = (0.1, 10.0)
"""Gains beyond that are no exposure of the same scene."""
TINY = 1e-12


def track_exposed(
    previous: Gray, current: Gray, pixels: Pixels, guess: Pixels, config: FeatureConfig, levels: int | None = None
) -> tuple[Pixels, npt.NDArray[np.bool_]]:
    """As `track_flow`, across a change of the exposure. Images that were evened have none."""
    return track_flow(exposed_as(previous, current, pixels, guess), current, pixels, guess, config, levels)


def exposed_as(previous: Gray, current: Gray, pixels: Pixels, guess: Pixels) -> Gray:
    """`previous` with the exposure of `current`; the image itself where hardly anything changed, or too little is seen.
    pixels, guess (N,2): corners of `previous`, and about where they are in `current`."""
    some = slice(None, None, max(1, len(pixels) // MOST_POINTS))
    before, after = _surroundings(previous, pixels[some]), _surroundings(current, guess[some])
    shows = (before < SATURATED) & (after < SATURATED)
    if shows.sum() < LEAST_POINTS:
        return previous
    before, after = before[shows], after[shows]
    gain = float(np.median((after + DARK) / (before + DARK)))
    if not GAIN_RANGE[0] < gain < GAIN_RANGE[1]:
        return previous
    offset = DARK * (gain - 1.0)
    if np.abs(after - gain * before - offset).mean() > EXPLAINED:
        gain, offset = _line(before, after, gain, offset)
    if not _is_known(before, gain * before + offset, after):
        return previous
    return np.asarray(cv2.LUT(previous, _curve(gain, offset)), np.uint8)


def _curve(gain: float, offset: float) -> Gray:
    return np.asarray(np.clip(np.rint(gain * np.arange(256.0) + offset), 0, 255), np.uint8)


def _surroundings(image: Gray, pixels: Pixels) -> Values:
    """Mean grey values (N,) around pixels (N,2)."""
    h, w = image.shape
    reach = SIDE // 2 * STEP_PX
    middle = np.rint(pixels).astype(np.int64).clip((reach, reach), (w - 1 - reach, h - 1 - reach))
    side = np.arange(-reach, reach + 1, STEP_PX)
    around = (side[:, None] * w + side).ravel()
    return np.asarray(image.ravel()[(middle @ (1, w))[:, None] + around].sum(axis=1) / len(around), np.float64)


def _is_known(before: Values, expected: Values, after: Values) -> bool:
    """Whether the values (N,) changed from `before` to what is `expected` of them, by more than that is in error."""
    a, b = expected - expected.mean(), after - after.mean()
    correlation = float(a @ b / max(np.sqrt((a @ a) * (b @ b)), TINY))
    if correlation < LEAST_CORRELATION or np.median(np.abs(expected - before)) < LEAST_CHANGE:
        return False
    share = float(np.median(np.abs(np.log((np.maximum(expected, 0.0) + DARK) / (before + DARK)))))
    left = np.abs(np.log((after + DARK) / (np.maximum(expected, 0.0) + DARK)))
    by_noise = LEAST_ERRORS * ERROR_OF_MEDIAN * float(np.median(left)) / np.sqrt(len(left))
    return bool(share > max(ERROR * (1.0 - correlation), by_noise))


def _line(before: Values, after: Values, gain: float, offset: float) -> tuple[float, float]:
    """Gain and offset of the line through the quantiles of the values (N,), or those given if these explain them as
    well. Quantiles are compared, not pairs: pairs that are not of the same place would make every gain smaller."""
    (a, m, b), (c, n, d) = np.quantile(before, QUANTILES), np.quantile(after, QUANTILES)
    if b - a < LEAST_SPREAD:
        return gain, offset
    slope = float((d - c) / (b - a))
    line = (slope, float(n - slope * m))
    left, left_by_line = (float(np.abs(after - g * before - o).mean()) for g, o in ((gain, offset), line))
    return line if left_by_line < LINE_EXPLAINS * left else (gain, offset)
