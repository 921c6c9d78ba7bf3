"""Images that are numbered: which row of a list belongs to each, and numbers that are not taken for times."""

import re
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

import numpy as np

from vgslam.errors import InputError
from vgslam.guards.paths import is_plain_file
from vgslam.sources.counter import begun_again
from vgslam.sources.options import DEFAULT_FPS, SourceOptions
from vgslam.sources.recording import Warnings
from vgslam.sources.times import Times, parse_time, read_list, read_times

LEAST_EPOCH_S = 1e9
"""Whole numbers below this (the year 2001) are no seconds of a clock: they count images."""
MOST_APART = 100
"""Numbers in names that are further apart than this on average say something else than which frame it is."""
LEAST_STEP_NS = 1e5
"""No camera takes 10,000 images a second: numbers that follow one another more closely are no nanoseconds."""


def image_numbers(files: Sequence[Path]) -> list[int] | None:
    """The last number in the name of each image; None unless each has one of its own."""
    found = [re.findall(r"\d+", file.stem) for file in files]
    if not files or not all(found):
        return None
    numbers = [int(digits[-1]) for digits in found]
    return numbers if len(set(numbers)) == len(numbers) else None


def are_counts(values: Sequence[float] | Times, files: Sequence[Path]) -> bool:
    """Whether the times in s of images are only their numbers: whole, small, and as in the names or the position in the
    list."""
    stamps = np.asarray(values, np.float64)
    if len(stamps) < 2 or not (stamps == np.floor(stamps)).all() or stamps.max() >= LEAST_EPOCH_S:
        return False
    numbers = image_numbers(files)
    steps = np.diff(stamps)
    return (numbers is not None and np.array_equal(stamps, numbers)) or bool((steps == 1).all())


def are_counts_not_ns(values: Sequence[float] | Times) -> bool:
    """Whether times in seconds that were read as nanoseconds follow one another too closely to be times."""
    steps = np.diff(np.sort(np.asarray(values, np.float64)))
    return len(steps) > 0 and 1e9 * float(np.median(steps)) < LEAST_STEP_NS


def nominal_times(files: Sequence[Path], options: SourceOptions, warnings: Warnings, why: str,
                  rate_hz: float = DEFAULT_FPS) -> Times:  # fmt: skip
    """Times at the chosen or nominal rate, by the images' numbers if they have some; a warning with `why` unless it was
    chosen."""
    if options.fps is None:
        warnings.add(f"{why}: {rate_hz:g} frames/s assumed; give times.txt or --fps")
    numbers = np.array(image_numbers(files) or range(len(files)), np.float64)
    if (np.diff(numbers) <= 0).any() or np.ptp(numbers) > MOST_APART * len(files):
        numbers = np.arange(len(files), dtype=np.float64)
    return np.asarray(numbers / (options.fps or rate_hz), np.float64)


def times_of_files(candidates: list[Path], files: Sequence[Path], options: SourceOptions, warnings: Warnings) -> Times:
    """Times of images by the first list that exists, else at the nominal rate, with a warning unless fps was given.
    A list that names images is of these, in whatever order. Where another has more rows than there are images, the
    number in a name is the row (from 0, or from 1 if the last number says so). Raises InputError when it cannot be."""
    listed = next((path for path in candidates if path.is_file()), None)
    if listed is None:
        if options.fps is None:
            warnings.add(f"no timestamps: {DEFAULT_FPS:g} frames/s assumed; give times.txt or --fps")
        return np.arange(len(files)) / (options.fps or DEFAULT_FPS)
    if options.fps is not None:
        warnings.add(f"fps is not used: {listed.name} has the times")
    listing = read_list(listed, 1)
    named = times_by_name(listed, listing, files)
    if named is not None:
        return named
    n_rows = len(listing)
    rows = rows_of(files, n_rows) if n_rows > len(files) else None
    if rows is None:
        if begun_again(files):
            warnings.add(f"{listed.name}: its rows are taken for the images in the order of their names, "
                         f"{files[0].name} first, though their camera's counter begins again")  # fmt: skip
        return read_times(listed, len(files), warnings)
    times = read_times(listed, n_rows, warnings)[rows]
    what = f"{len(files)} of {n_rows} images are here"
    warnings.add(f"{what}: the numbers in their names are their rows in {listed.name}")
    return np.asarray(times, np.float64)


def times_by_name(listed: Path, rows: list[list[str]], files: Sequence[Path]) -> Times | None:
    """Times of images by a list that names an image in each row, the other word being its time; None where it does not.
    Raises InputError, naming the list, where an image is not in it."""
    endings = {file.suffix.casefold() for file in files}
    column = next((c for c in (0, 1) if rows and all(
        len(row) > 1 and PureWindowsPath(row[c]).suffix.casefold() in endings for row in rows
    )), None)  # fmt: skip
    if column is None:
        return None
    of = {PureWindowsPath(row[column]).name.casefold(): row[1 - column] for row in rows}
    missing = [file.name for file in files if file.name.casefold() not in of]
    if missing:
        raise InputError(f"{listed}: names no time of {len(missing)} of {len(files)} images ({missing[0]}, ...); add "
                         "them, or take these images out")  # fmt: skip
    return np.array([parse_time(listed, of[file.name.casefold()]) for file in files])


def rows_of(files: Sequence[Path], n_rows: int) -> list[int] | None:
    """The row of each image in a list of n_rows, by the number in its name; None where the numbers do not say."""
    numbers = image_numbers(files)
    if numbers is None:
        return None
    if max(numbers) < n_rows:
        return numbers
    return [n - 1 for n in numbers] if max(numbers) == n_rows and min(numbers) > 0 else None


def those_present(
    files: list[Path], times: list[float], listing: Path, folder: Path, warnings: Warnings
) -> tuple[list[Path], list[float]]:
    """The images of a list that are there, each once, with their times; a warning counts and names the others. An image
    that is not where the list says may lie in the `folder` of the images. Raises InputError when none is there."""
    files = [file if is_plain_file(file) else folder / file.name for file in files]
    first = {file: i for i, file in reversed(list(enumerate(files)))}
    for i, file in enumerate(files):
        if first[file] != i:
            warnings.tally(f"listed again in {listing.name}", file.name, "used once")
    files, times = [files[i] for i in sorted(first.values())], [times[i] for i in sorted(first.values())]
    there = [is_plain_file(file) for file in files]
    missing = [file.name for file, is_there in zip(files, there, strict=True) if not is_there]
    if files and len(missing) == len(files):
        raise InputError(f"{listing}: none of the {len(files)} images that it lists is there ({missing[0]}, ...)")
    for name in missing:
        warnings.tally(f"listed in {listing.name} but not there", name)
    kept = [i for i, is_there in enumerate(there) if is_there]
    return [files[i] for i in kept], [times[i] for i in kept]
