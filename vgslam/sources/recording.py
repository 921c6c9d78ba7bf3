"""What a format reader returns: a stream of undecoded images with times, and what the data set says about them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vgslam.types import Camera, Trajectory

Pixels = npt.NDArray[np.uint8]


class BadImageError(Exception):
    """One image cannot be used; the frame is skipped. The text says why, and reads after "N images skipped, "."""


class Warnings(list[str]):
    """Lines for the person; repeated troubles of one kind share a line that counts them and names the first five."""

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[tuple[str, str], dict[str, None]] = {}

    def add(self, line: str) -> None:
        """Appends a line unless it is there already."""
        if line not in self:
            self.append(line)

    def tally(self, trouble: str, name: str, became: str = "skipped") -> None:
        """Counts `name` (once) under `trouble`, rewriting its line in place. became: what was done with the image."""
        names = self._names.setdefault((became, trouble), {})
        before = self._line(became, trouble)
        names[name] = None
        if before in self:
            self[self.index(before)] = self._line(became, trouble)
        else:
            self.append(self._line(became, trouble))

    def _line(self, became: str, trouble: str) -> str:
        names = list(self._names[became, trouble])
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        return f"{len(names)} image{'s' if len(names) != 1 else ''} {became}, {trouble}: {shown}"


@dataclass(frozen=True)
class RawImage:
    """One image before it is decoded."""

    name: str
    timestamp_s: float
    load: Callable[[], Pixels]
    """Returns (H,W) grey or (H,W,3) RGB uint8, or raises BadImageError. It is valid until the next image is taken."""


@dataclass
class Recording:
    """A recognised input."""

    kind: str
    name: str
    stream: Callable[[], Iterator[RawImage]]
    """Each call starts again and gives all images."""
    size: tuple[int, int]
    """(width, height) of the images."""
    n_images: int | None
    """None when not known in advance."""
    camera: Camera | None = None
    """Native calibration, possibly for another resolution; None when there is none."""
    uncalibrated: str | None = None
    """What says that the camera is not calibrated, in words; None where nothing does."""
    truth: Trajectory | None = None
    """T_world_cam of the data set."""
    timestamps_s: npt.NDArray[np.float64] | None = None
    """Times of all images, if known."""
    files: list[Path] = field(default_factory=list)
    """The images, where they are files."""
    warnings: Warnings = field(default_factory=Warnings)
    """May grow while streaming."""
