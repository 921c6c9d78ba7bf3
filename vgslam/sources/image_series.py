"""Folders that hold the images of two cameras, or images and their depth: no order makes one sequence of them."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from vgslam.errors import InputError
from vgslam.sources.not_a_video import tiff_pages

MOST_STACKS = 20
"""TIFF files whose pages are counted."""
LEAST_IMAGES = 3
LEAST_SHARED, LEAST_PART = 0.5, 0.5
"""Numbers of the smaller series that the larger has too, and its size to the larger: a few edited copies do no harm."""
_CAMERA = re.compile(r"(cam|camera|lens|sensor|view)[ _-]?\d+")

PHOTOS = {".heic": "HEIC", ".heif": "HEIC", ".avif": "AVIF", ".jxl": "JPEG XL", ".dng": "raw", ".cr2": "raw",
          ".cr3": "raw", ".nef": "raw", ".arw": "raw", ".raf": "raw", ".orf": "raw", ".rw2": "raw", ".exr": "OpenEXR",
          ".psd": "Photoshop"}  # fmt: skip
"""Endings of images that are not read, and what those are called."""


def refuse_two_series(folder: Path, files: Sequence[Path]) -> None:
    """Raises InputError where the names, but for their numbers, are of two kinds and the numbers the same."""
    series: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for file in files:
        kind, numbers = _kind_and_numbers(file.name)
        if numbers:
            series[kind].add(numbers)
    two = sorted(series.items(), key=lambda item: -len(item[1]))[:2]
    if len(two) < 2:
        return
    (a, of_a), (b, of_b) = two
    if len(of_b) < max(LEAST_IMAGES, LEAST_PART * len(of_a)) or len(of_a & of_b) < LEAST_SHARED * len(of_b):
        return
    raise InputError(
        f"{folder}: holds {len(series)} series of images with the same numbers ({a}: {len(of_a)}, {b}: "
        f"{len(of_b)}), as of two cameras or of images and depth; put those of one camera into a folder of their own"
    )


def refuse_stacks(folder: Path, files: Sequence[Path]) -> None:
    """Raises InputError where images are TIFF files of several pages, of which decoders give the first alone."""
    tiffs = [file for file in files if file.suffix.lower() in (".tif", ".tiff")]
    stacks = [(file, n) for file in tiffs[:MOST_STACKS] if (n := tiff_pages(file)) > 1]
    if stacks:
        first, n = stacks[0]
        raise InputError(f"{folder}: {first.name} is a TIFF of {n} pages, of which only the first would be used; write "
                         "each as an image of its own (tiffsplit, or ImageMagick's convert)")  # fmt: skip


def _kind_and_numbers(name: str) -> tuple[str, tuple[int, ...]]:
    """A name with # for its numbers, and these; the number of a camera (cam0_000) and the ending belong to the name."""
    stem, _, ending = name.casefold().rpartition(".")
    camera = _CAMERA.match(stem)
    head = camera[0] if camera else ""
    rest = stem[len(head) :]
    return head + re.sub(r"\d+", "#", rest) + "." + ending, tuple(map(int, re.findall(r"[0-9]+", rest)))


def unreadable_photos(names: Sequence[str]) -> str | None:
    """What the photos among the names of a folder are that are not read, and what to do; None where there are none."""
    kinds = {PHOTOS[suffix] for name in names if (suffix := Path(name).suffix.lower()) in PHOTOS}
    if not kinds:
        return None
    return f"its images are {' and '.join(sorted(kinds))}, which cannot be read here; convert them to JPEG or PNG"
