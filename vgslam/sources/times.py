"""Timestamps of image sequences: files that list them, and the nominal rate if there are none."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from vgslam.errors import InputError
from vgslam.guards.documents import MOST_ROWS_BYTES, DocumentError, read_text
from vgslam.sources.options import DEFAULT_FPS, SourceOptions
from vgslam.sources.recording import Warnings

Times = npt.NDArray[np.float64]


def read_list(path: Path, n_fields: int) -> list[list[str]]:
    """Rows of a file of whitespace- or comma-separated fields, without comments (#) and empty lines.

    Raises InputError for a file that cannot be read or a row of fewer than n_fields fields.
    """
    try:
        text = read_text(path, MOST_ROWS_BYTES)
    except (OSError, DocumentError) as err:
        reason = getattr(err, "strerror", None) or str(err).removeprefix("is ")
        raise InputError(f"{path}: cannot be read ({reason})") from err
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split("#", 1)[0].replace(",", " ").split()
        if fields and len(fields) < n_fields:
            raise InputError(f"{path}, line {number}: {len(fields)} fields instead of {n_fields}")
        if fields:
            rows.append(fields)
    return rows


def parse_time(path: Path, text: str) -> float:
    """One timestamp in seconds. Raises InputError, naming the file, for a text that is no finite number."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise InputError(f"{path}: '{text}' is not a timestamp in seconds")
    return value


def read_times(path: Path, n_images: int) -> Times:
    """One timestamp in seconds per image, in order. Raises InputError when the counts differ."""
    times = [parse_time(path, row[0]) for row in read_list(path, 1)]
    if len(times) != n_images:
        raise InputError(f"{path}: {len(times)} timestamps for {n_images} images; give one line per image, in order")
    return np.array(times)


def times_or_nominal(candidates: list[Path], n_images: int, options: SourceOptions, warnings: Warnings) -> Times:
    """Timestamps from the first file that exists, else at the nominal rate, with a warning unless fps was given."""
    for path in candidates:
        if path.is_file():
            return read_times(path, n_images)
    if options.fps is None:
        warnings.add(f"no timestamps: {DEFAULT_FPS:g} frames/s assumed; give times.txt or --fps")
    return np.arange(n_images) / (options.fps or DEFAULT_FPS)
