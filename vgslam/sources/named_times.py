"""Times that are the names of images: 1403636579763555584.png (EuRoC, ROS tools), 1305031102.175304.png (TUM)."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vgslam.sources.image_times import LONGEST_STEP_S, NAMES, SHORTEST_STEP_S
from vgslam.sources.times import Times

EARLIEST_S, LATEST_S = 1e9, 4.1e9
"""Seconds since 1970 that a clock may show: the years 2001 to 2099."""
_DIGITS = {13: ("ms", 10**3), 16: ("us", 10**6), 19: ("ns", 10**9)}
"""Unit of whole numbers by their length, and how many are a second. Whole seconds (10 digits) are left out: dates
with a counter look the same, and no camera takes one image a second."""
_SECONDS = re.compile(r"\d{10}\.\d{1,9}")
LEAST_STEPS = 2
"""Median step, in the last digit of a whole number: what counts on by one is a number."""


def times_in_names(files: Sequence[Path]) -> tuple[list[Path], Times, str] | None:
    """The images in order of time, their times (N,) in s, and the unit of the names in words. None unless each name is
    nothing but a time of the same kind, all are different, and follow one another as the images of a camera do."""
    stems = [file.stem for file in files]
    unit, times = _seconds(stems) or ("", np.zeros(0))
    if len(times) < 2 or not (times.min() >= EARLIEST_S and times.max() < LATEST_S):
        return None
    order = np.argsort(times, kind="stable")
    steps = np.diff(times[order])
    if steps.min() <= 0 or not SHORTEST_STEP_S <= float(np.median(steps)) <= LONGEST_STEP_S:
        return None
    return [files[i] for i in order], times[order], unit


def _seconds(stems: list[str]) -> tuple[str, Times] | None:
    """The unit, and the names in s; None where they are no times."""
    if stems and all(_SECONDS.fullmatch(stem) for stem in stems):
        return NAMES["s"], np.array([float(stem) for stem in stems])
    lengths = {len(stem) for stem in stems}
    if len(lengths) != 1 or not all(stem.isascii() and stem.isdecimal() for stem in stems):
        return None
    unit, per_second = _DIGITS.get(lengths.pop(), ("", 0))
    numbers = sorted(int(stem) for stem in stems)
    if not unit or len(numbers) < 2 or np.median(np.diff(numbers)) < LEAST_STEPS:
        return None
    return NAMES[unit], np.array([int(stem) / per_second for stem in stems])
