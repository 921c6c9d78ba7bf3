"""A camera as a file states it, before it is checked and brought to the program's lens models."""

from dataclasses import dataclass

Size = tuple[int, int]


@dataclass(frozen=True)
class Stated:
    """Intrinsics in pixels with the centre of the top-left pixel at (0, 0)."""

    fx: float
    fy: float
    cx: float | None
    """None: the middle of the image."""
    cy: float | None
    size: Size | None
    """(width, height); None where the file does not state it."""
    model: str = ""
    """The lens model in the file's words (`lens.LENSES`)."""
    coefficients: tuple[float, ...] = ()
    """Its coefficients, in the order of `lens`."""
    notes: tuple[str, ...] = ()
    """Lines for the person."""


class NotCalibrated(Exception):  # noqa: N818
    """A file that says, in so many words, that the camera is not calibrated. The text says in which."""


class NoFocal(NotCalibrated):
    """A file with the size of the images, and no focal length."""
