"""Names that a camera's counter numbers: IMG_9999 is followed by IMG_0001, which comes first in the order of names."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from vgslam.guards.paths import is_plain_file
from vgslam.sources.recording import Warnings

LEAST_DIGITS = 4
"""Counters of cameras have that many digits, zeros in front included, or more."""
MOST_MISSING = 100
"""Images that may be missing one after another, where the counter begins again too; far more are where it does not."""
HEADER_BYTES = 2**16
_NAME = re.compile(r"(?P<kind>.*?)(?P<digits>\d+)(?P<rest>\D*)", re.DOTALL)
_DATE = re.compile(rb"(?:19|20)\d\d:[01]\d:[0-3]\d [0-2]\d:[0-5]\d:[0-6]\d\x00")


def begun_again(files: Sequence[Path]) -> int:
    """How many images, of names that differ in one number alone and are in its order, were taken after the others: the
    counter had begun again at 0 or 1. 0 where nothing says so, or the dates in the images say otherwise."""
    numbers = _numbers(files)
    if numbers is None or len(numbers) < 2:
        return 0
    steps = [b - a for a, b in pairwise(numbers)]
    widest = max(range(len(steps)), key=steps.__getitem__)
    n_counted = 10 ** len(str(numbers[-1]))
    around = numbers[0] + n_counted - numbers[-1]
    others = [step for i, step in enumerate(steps) if i != widest]
    if steps[widest] <= n_counted // 2 or max([around, *others]) > MOST_MISSING or n_counted < 10**LEAST_DIGITS:
        return 0
    dates = [date_of(files[0]), date_of(files[-1])]
    is_denied = dates[0] is not None and dates[1] is not None and dates[0] < dates[1]
    return 0 if is_denied else widest + 1


def in_order_of_counter(files: list[Path], warnings: Warnings) -> list[Path]:
    """The images, in the order of their names, in that of their camera's counter; with a warning where these differ."""
    n = begun_again(files)
    if n:
        warnings.add(f"the camera's counter begins again: {files[-1].name} is followed by {files[0].name}, which is "
                     f"not the order of the names; {files[n].name} is the first image")  # fmt: skip
    return files[n:] + files[:n]


def _numbers(files: Sequence[Path]) -> list[int] | None:
    """The numbers in the names, where these are alike but for one that has as many digits in all, and ascend."""
    found = [_NAME.fullmatch(file.stem) for file in files]
    kinds = {(m["kind"].casefold(), len(m["digits"]), m["rest"].casefold()) if m else None for m in found}
    if len(kinds) != 1 or None in kinds:
        return None
    numbers = [int(m["digits"]) for m in found if m]
    return numbers if all(a < b for a, b in pairwise(numbers)) else None


def date_of(file: Path) -> bytes | None:
    """When an image was taken by its EXIF data (the earliest date there), as text that sorts; None where it says
    nothing."""
    if not is_plain_file(file):
        return None
    try:
        with file.open("rb") as opened:
            head = opened.read(HEADER_BYTES)
    except OSError:
        return None
    at = head.find(b"Exif\0\0")
    return None if at < 0 else min(_DATE.findall(head, at), default=None)
