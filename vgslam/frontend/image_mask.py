"""Parts of the image that are not used: a user's mask, and what was found never to move."""

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
MARGIN_PX = 7
"""Corners closer than this to an ignored part are ignored too: half the window that optical flow compares would lie on
it."""


class ImageMask:
    """Which pixels of an image of height x width may be used. ignored: (height,width) True where a user says that
    nothing is to be used; None ignores nothing. Raises ValueError for another shape."""

    def __init__(self, width: int, height: int, ignored: Mask | None = None) -> None:
        if ignored is not None and ignored.shape != (height, width):
            raise ValueError(f"the mask is {ignored.shape[::-1]}, the image {(width, height)}")
        self.width, self.height = width, height
        self.given = ignored
        """(height,width) True where a user says that nothing is to be used, or None."""
        self.static: Mask | None = None
        """(height,width) True where the image never moves; None where nothing was found."""
        self._near = self._ignored = np.zeros((0, 0), np.bool_)
        self._renew()

    def set_static(self, static: Mask | None) -> None:
        """Ignore from now on what never moves, (height,width), instead of what was said before."""
        self.static = static if static is not None and static.any() else None
        self._renew()

    def _renew(self) -> None:
        parts = [part for part in (self.given, self.static) if part is not None]
        is_empty = not any(part.any() for part in parts)
        self.share = 0.0
        """The share of the image that is ignored, 0 to 1."""
        if not is_empty:
            self._ignored = np.logical_or.reduce(parts)
            self.share = float(self._ignored.mean())
            size = 2 * MARGIN_PX + 1
            self._near = cv2.dilate(self._ignored.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
        self.is_empty = is_empty  # last: another thread may ask meanwhile
        """Whether everything may be used."""

    def allows(self, pixels: npt.NDArray) -> Mask:
        """Which pixels (N,2) may carry a feature, (N,); those outside the image may."""
        if self.is_empty or len(pixels) == 0:
            return np.ones(len(pixels), bool)
        finite = np.isfinite(pixels).all(1)
        u, v = np.where(finite[:, None], pixels, -1).round().astype(np.int64).T
        inside = (u >= 0) & (v >= 0) & (u < self.width) & (v < self.height)
        out = np.ones(len(pixels), bool)
        out[inside] = ~self._near[v[inside], u[inside]]
        return out

    def ignored(self, shape: tuple[int, int]) -> Mask:
        """The mask at another resolution (rows, columns): True where the pixel's centre is ignored."""
        if self.is_empty:
            return np.zeros(shape, bool)
        small = cv2.resize(self._ignored.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST)
        return np.asarray(small > 0)

    def picture(self) -> npt.NDArray[np.uint8]:
        """(height,width): 0 where the image is ignored, 255 elsewhere; as `--mask` takes it."""
        return np.where(self.ignored((self.height, self.width)), 0, 255).astype(np.uint8)
