"""A camera as a file states it, before it is checked and brought to the program's lens models."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Size = tuple[int, int]
Given = TypeVar("Given")


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


@dataclass(frozen=True)
class Layout(Generic[Given]):
    """A layout of files with named fields, or of rows of words."""

    matches: Callable[[Given], bool]
    read: Callable[[Given, Size | None], Stated]
    """The camera of what holds one; the size is that of the images. Raises ValueError, NotCalibrated."""
    cameras: Callable[[Given], dict[str, Given]] = lambda _: {}
    """Each of the cameras by its name, as a file of its own would hold it; none where there is one without a name."""
    is_first_taken: bool = True
    """Whether the first of several is a good guess; else one has to be named."""


class NotCalibrated(Exception):  # noqa: N818
    """A file that says, in so many words, that the camera is not calibrated. The text says in which."""


class NoFocal(NotCalibrated):
    """A file with the size of the images, and no focal length."""
