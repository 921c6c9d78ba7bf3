"""Deep pixels (10 to 16 bits, thermal, floating point) to 8 bits by the range of a sequence, so that it does not
flicker."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Raw = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]

FULL_16_BITS = 65535.0
MOST_BITS_SCALED = 14
"""Cameras of 10 to 14 bits are stored in 16; what holds larger values is taken for real 16 bits."""
TAILS = (0.5, 99.5)
"""Percentiles between which the values count: single hot or dead pixels do not."""
HIGHLIGHTS = 4.0
"""Values this many times the upper percentile still belong to the picture (lamps); above are hot pixels."""
MARGIN = 0.15
"""Share of a thermal range that is added at both ends, for the frames that were not looked at."""
SWAPPED = 0.4
"""Most ratio of steps from pixel to pixel, with bytes swapped and as they are: low bytes in front are noise."""
LEAST_SHARE = 0.25
"""Values that span less of their type's range than this, far from zero, are spread out."""


@dataclass(frozen=True)
class PixelRange:
    """The values that become 0 and 255."""

    low: float = 0.0
    high: float = FULL_16_BITS
    note: str | None = None
    """One line for the person where the range is not simply that of the pixels' type."""
    is_swapped: bool = False
    """Whether the two bytes of each pixel are in the wrong order."""

    def to_8bit(self, image: Raw) -> Pixels:
        """Pixels of any depth -> uint8 of the same shape: linear, cut off at both ends, 0 for what is not finite."""
        if self.is_swapped and image.dtype == np.uint16:
            image = image.byteswap()
        scale = 255.0 / (self.high - self.low)
        if image.dtype == np.uint16 and self.low == 0.0:
            return np.asarray(cv2.convertScaleAbs(image, alpha=scale), np.uint8)
        known = np.nan_to_num(image.astype(np.float32), nan=self.low, posinf=self.high, neginf=self.low)
        return np.clip(np.rint((known - self.low) * scale), 0, 255).astype(np.uint8)


REAL_16_BITS = PixelRange()
UNIT = PixelRange(0.0, 1.0)


def pixel_range(images: Sequence[Raw]) -> PixelRange:
    """The range for a sequence of which these images are samples; those of 8 bits say nothing. Integers that start near
    zero: the bits that they use, if at most 14. Floating point from 0 to 1 or to 255: that. Others that span a small
    part of their range (thermal cameras): the percentiles, with a margin."""
    deep = [image for image in images if image.dtype != np.uint8]
    if not deep:
        return REAL_16_BITS
    if all(map(_are_swapped, deep)):
        found = pixel_range([image.byteswap() for image in deep])
        note = "the two bytes of each pixel are in the wrong order, and are swapped"
        return replace(found, note=f"{note}; {found.note}" if found.note else note, is_swapped=True)
    values = np.concatenate([image[::3, ::3].ravel().astype(np.float64) for image in deep])
    values = values[np.isfinite(values)]
    if not len(values):
        return REAL_16_BITS
    low, high = (float(x) for x in np.percentile(values, TAILS))
    if all(np.issubdtype(image.dtype, np.floating) for image in deep):
        return _of_floats(low, high)
    top = float(min(values.max(), HIGHLIGHTS * max(high, 1.0)))
    return _of_integers(low, high, top)


def _are_swapped(image: Raw) -> bool:
    """Whether neighbouring pixels, by their spread, are alike with their bytes swapped, and are not as they are."""
    if image.dtype != np.uint16:
        return False
    steps = [np.abs(np.diff(x, axis=1)).mean() / max(x.std(), 1.0)
             for x in (image.astype(np.float32), image.byteswap().astype(np.float32))]  # fmt: skip
    return bool(steps[1] < SWAPPED * steps[0])


def default_range(image: Raw) -> PixelRange:
    """The range of one image alone, by its type."""
    return pixel_range([image]) if np.issubdtype(image.dtype, np.floating) else REAL_16_BITS


def _of_integers(low: float, high: float, top: float) -> PixelRange:
    span = high - low
    if span <= 0:
        return REAL_16_BITS
    is_offset = low > span and span < LEAST_SHARE * FULL_16_BITS
    if is_offset or low < 0 or high > FULL_16_BITS:
        return _spread(low, high)
    bits = int(np.ceil(np.log2(top + 1.0)))
    if bits > MOST_BITS_SCALED:
        return REAL_16_BITS
    whole = float(2**bits - 1)
    return PixelRange(0.0, whole, f"pixels hold {bits} of 16 bits: 0 to {whole:.0f} is scaled to 8 bits, in all frames")


def _of_floats(low: float, high: float) -> PixelRange:
    for full in (1.0, 255.0):
        if low >= 0.0 and high <= full and high - low >= LEAST_SHARE * full:
            return PixelRange(0.0, full)
    if high > low:
        return _spread(low, high)
    return UNIT if 0.0 <= high <= 1.0 else PixelRange(0.0, 255.0)


def _spread(low: float, high: float) -> PixelRange:
    margin = MARGIN * (high - low)
    a, b = low - margin, high + margin
    return PixelRange(a, b, f"pixels lie between {low:.4g} and {high:.4g}: {a:.4g} to {b:.4g} is scaled to 8 bits, in "
                            "all frames")  # fmt: skip
