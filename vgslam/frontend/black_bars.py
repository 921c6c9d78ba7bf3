"""Black bars beside the picture: above and below it (letterbox), or left and right (a portrait video shown wide).

Where the picture meets a bar there are strong corners that glide along it as the camera moves.
"""

import numpy as np
import numpy.typing as npt

from vgslam.frontend.image_mask import Mask

BLACK = 24
"""Largest grey value in a bar: black is 0, and compression makes it waver."""
LEAST, MOST = 0.02, 0.4
"""Least and most of a side that one bar takes: less is the edge of a lens, more a picture that is dark."""
EDGE = 4
"""Rows beside a bar that compression blurs together with it."""
UNEVEN = 0.02
"""By how much of a side the two bars may differ: the dark sky of a picture has no other bar below."""


class BlackBars:
    """Looks at every frame, and keeps what has been black in all of them, in two bars of one size; a frame that shows
    nothing yet does not count."""

    def __init__(self) -> None:
        self.mask: Mask | None = None
        """(height,width) True in the bars; None where there are none."""
        self._ends: tuple[int, int, int, int] | None = None  # rows above and below, columns left and right

    def see(self, gray: npt.NDArray[np.uint8]) -> bool:
        """Take the next frame; returns whether `mask` has changed."""
        if self._ends is not None and self.mask is None:
            return False
        above, below = _black_ends(gray.max(1) > BLACK)
        left, right = _black_ends(gray.max(0) > BLACK)
        if above == len(gray):
            return False
        ends = above, below, left, right
        if self._ends is not None:
            ends = tuple(map(min, self._ends, ends))  # type: ignore[assignment]
        if ends == self._ends:
            return False
        self._ends, before, self.mask = ends, self.mask, _bars(gray.shape, ends)
        return self.mask is not None or before is not None


def _black_ends(shows: Mask) -> tuple[int, int]:
    """How many rows or columns (n,) show nothing at either end; all of them, twice, where none shows anything."""
    if not shows.any():
        return len(shows), len(shows)
    return int(shows.argmax()), int(shows[::-1].argmax())


def _bars(shape: tuple[int, ...], ends: tuple[int, int, int, int]) -> Mask | None:
    mask = np.zeros(shape, bool)
    for lines, (first, last) in ((mask, ends[:2]), (mask.T, ends[2:])):
        n = len(lines)
        if LEAST * n <= min(first, last) and max(first, last) <= MOST * n and abs(first - last) <= UNEVEN * n:
            lines[: first + EDGE] = lines[n - last - EDGE :] = True
    return mask if mask.any() else None
