"""What a folder holds that is no input as a whole: where its images are, or what they are instead; images of two
cameras, or images and their depth, of which no order makes one sequence."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from vgslam.errors import InputError
from vgslam.guards.paths import is_folder, is_plain_file
from vgslam.sources.image_files import list_images, stated_sides
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


MOST_FOLDERS, MOST_LEVELS = 200, 3
"""Folders within that are looked into, and how deep."""
MOST_FILES = 5
"""Files without an ending whose first bytes are looked at."""
GIFS = ".gif"
BESIDE = ("timestamps.txt", "times.txt", "data.csv", "rgb.txt", "calib.txt", "calib.json")
"""Files beside a folder of images that make both a sequence, which has times and a calibration."""
GIVE = "give a folder of images, a data set, a bag or a video file"
OWN = {"manifest.json": "is a saved map; give a recording, and the map with --map",
       "report.json": "is the folder of a run, with its results; give the recording that the run was of"}  # fmt: skip
"""What the program itself writes, by a file in it."""


def contents(folder: Path) -> str:
    """A line, without the folder's name, that says what is in it and what to do."""
    entries = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    names = [p.name + "/" * is_folder(p) for p in entries]
    if not names:
        return f"the folder is empty; {GIVE}"
    for name, what in OWN.items():
        if is_plain_file(folder / name):
            return what
    photos = unreadable_photos(names)
    if photos is not None:
        return photos
    within = _within(folder)
    if len(within) == 1:
        (name, n) = within[0]
        return f"its {n} images are in {name}/; give {folder / name}"
    if within:
        told = ", ".join(f"{name}/ ({n})" for name, n in within[:6]) + (", ..." if within[6:] else "")
        return f"it holds {len(within)} folders with images, {told}; give one of them, as each is a sequence of its own"
    gifs = [p for p in entries if p.suffix.lower() == GIFS]
    if len(gifs) > 1:
        return f"its {len(gifs)} images are GIF, which is read as a video of its own; convert them to PNG"
    nameless = [p for p in entries if not p.suffix and is_plain_file(p)]
    if nameless and all(stated_sides(p) is not None for p in nameless[:MOST_FILES]):
        return (f"its files have no ending, and are images ({nameless[0].name}, ...); rename them, as in "
                f"{nameless[0].name}.jpg")  # fmt: skip
    told = ", ".join(names[:4]) + (", ..." if names[4:] else "")
    return f"no images or known data set in it (it holds {told}); {GIVE}"


def _within(folder: Path) -> list[tuple[str, int]]:
    """Folders within that hold images, with their number; what macOS puts into archives is left out."""
    found: dict[str, int] = {}
    level, n_seen = [folder], 0
    for _ in range(MOST_LEVELS):
        inner = [p for f in level for p in _folders(f)]
        n_seen += len(inner)
        for path in inner[: max(0, MOST_FOLDERS - n_seen + len(inner))]:
            n = len(list_images(path))
            if n > 1:
                is_part = path.parent != folder and any(is_plain_file(path.parent / name) for name in BESIDE)
                found.setdefault(str((path.parent if is_part else path).relative_to(folder)), n)
        level = inner
        if found or n_seen > MOST_FOLDERS:
            break
    return list(found.items())


def _folders(folder: Path) -> list[Path]:
    try:
        inner = sorted(folder.iterdir())
    except OSError:
        return []
    return [p for p in inner if is_folder(p) and not p.is_symlink() and not p.name.startswith((".", "__MACOSX"))]
