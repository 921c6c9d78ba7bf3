"""Times of images, made usable: in seconds, in order, repaired (`clock_repair`); each change is said."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice, pairwise
from pathlib import Path

import numpy as np

from vgslam.sources.clock_repair import Stamped, Verdict, repaired
from vgslam.sources.options import DEFAULT_FPS
from vgslam.sources.recording import Pixels, RawImage, Warnings
from vgslam.sources.times import LATEST_S, Times

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Seconds in a unit, for the units that are tried."""
NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
SHORTEST_STEP_S, LONGEST_STEP_S = 1e-3, 10.0
"""Steps of a camera: 1000 to .1 frames/s."""
UNORDERED = 1.0 / 3.0
"""Share of decreasing steps from which a list is out of order; clocks that start again have fewer."""
N_STUCK = 6
"""A clock that says the same for this many images at the beginning of a stream stands still."""
ROUNDED = 1.0 / 3.0
"""Share of equal steps from which stamps are taken to be rounded, as whole seconds are."""


def mended_files(
    files: Sequence[Path], times: Times, warnings: Warnings, where: Path, unit: str = "s"
) -> tuple[list[Path], Times]:  # fmt: skip
    """Image files and their strictly increasing times in s, without those whose stamps are of no use. times (N,): as
    they stand in the file or names `where`, documented to be in `unit`, converted to s by that; another unit is
    recognised by the rate. Images are put in the order of time. Where `where` does not exist the times are nominal, and
    stay."""
    if not where.exists():
        return list(files), times
    listed = list(files)
    if len(times) > 1 and np.ptp(times) == 0:
        return listed, _nominal(len(times), f"{where.name}: all timestamps are the same", warnings)
    times = _in_seconds(times, where, unit, warnings)
    steps = np.diff(times)
    if len(steps) and np.mean(steps < 0) > UNORDERED and len(np.unique(times)) > (1.0 - ROUNDED) * len(times):
        order = np.argsort(times, kind="stable")
        times, listed = times[order], [listed[i] for i in order]
        warnings.add(f"{where.name}: timestamps are out of order; the images are taken in the order of time")
    times = _spread(times, where, warnings)
    kept = []
    for stamped in repaired(range(len(listed)), lambda i: float(times[i]), 1.0 / DEFAULT_FPS):
        _explain(stamped, listed[stamped.item].name, warnings)
        if stamped.time_s is not None:
            kept.append((listed[stamped.item], stamped.time_s))
    return [file for file, _ in kept], np.array([time_s for _, time_s in kept], np.float64)


@dataclass(frozen=True)
class Untimed:
    """An image of a stream. stamp_s: its time by the file, None where it has none."""

    name: str
    stamp_s: float | None
    load: Callable[[], Pixels]


def mended_stream(
    images: Iterable[Untimed], warnings: Warnings, step_s: float = 1.0 / DEFAULT_FPS,
    lead: tuple[int, float] | None = None,
) -> Iterator[RawImage]:  # fmt: skip
    """The images with strictly increasing times; those left out are said. step_s: where two stamps do not tell it.
    lead: see `repaired`. A few images are read ahead."""
    ahead = list(islice(images := iter(images), N_STUCK))
    stuck = ahead[0].stamp_s if len(ahead) > 1 and len({image.stamp_s for image in ahead}) == 1 else None
    if stuck is not None:
        warnings.add(f"the first {len(ahead)} images have all the same timestamp, which is not used")

    def stamp_of(image: Untimed) -> float | None:
        return None if image.stamp_s == stuck else image.stamp_s

    for stamped in repaired(chain(ahead, images), stamp_of, step_s, lead):
        image = stamped.item
        _explain(stamped, image.name, warnings)
        if stamped.time_s is not None:
            yield RawImage(image.name, stamped.time_s, image.load)


def _explain(stamped: Stamped[object] | Stamped[int] | Stamped[Untimed], name: str, warnings: Warnings) -> None:
    verdict = stamped.verdict
    if verdict is Verdict.RESTARTED:
        warnings.tally("the clock starts again there (recordings joined?)", name, "and those after moved on in time")
    elif verdict is Verdict.FILLED:
        warnings.tally("there was none", name, "given a timestamp by the images around")
    elif verdict is Verdict.WILD:
        warnings.tally("timestamp far from those before and after", name)
    elif verdict is not Verdict.GOOD:
        warnings.tally("timestamp duplicate or decreasing", name)


def _in_seconds(times: Times, where: Path, unit: str, warnings: Warnings) -> Times:
    """The times, scaled where another unit gives the rate of a camera and the documented one does not."""
    steps = np.abs(np.diff(times))
    if not np.any(steps > 0):
        return times
    step, latest = float(np.median(steps[steps > 0])), float(np.median(np.abs(times)))
    for other in sorted(SECONDS, key=lambda u: u != unit):
        scale = SECONDS[other] / SECONDS[unit]
        if step * scale * (1 + 1e-9) >= SHORTEST_STEP_S and step * scale <= LONGEST_STEP_S * (1 + 1e-9):
            if latest * scale > LATEST_S:
                continue
            if other != unit:
                warnings.add(
                    f"{where.name}: timestamps are taken as {NAMES[other]} ({1.0 / (step * scale):.4g} frames/s); in "
                    f"{NAMES[unit]}, as this kind of input has them, it would be {1.0 / step:.3g} frames/s"
                )
            elif _are_numbers(times):
                warnings.add(f"{where.name}: timestamps are 1 s apart; if they are image numbers, remove the file and "
                             "give --fps")  # fmt: skip
            return times * scale if other != unit else times
    warnings.add(f"{where.name}: {1.0 / step:.3g} frames/s by the timestamps, which no unit explains; they are used as "
                 f"{NAMES[unit]}")  # fmt: skip
    return times


def _nominal(n: int, why: str, warnings: Warnings) -> Times:
    warnings.add(f"{why}: {DEFAULT_FPS:g} frames/s assumed; correct it, or remove it and give --fps")
    return np.asarray(np.arange(n) / DEFAULT_FPS, np.float64)


def _are_numbers(times: Times) -> bool:
    """Whether many times count on by exactly one from 0 or 1."""
    return len(times) >= 10 and times[0] in (0.0, 1.0) and bool(np.all(np.diff(times) == 1.0))


def _spread(times: Times, where: Path, warnings: Warnings) -> Times:
    """Times that are rounded so far that several images share one, spread evenly up to the next."""
    steps = np.diff(times)
    if not len(steps) or np.any(steps < 0) or np.mean(steps == 0) <= ROUNDED or not np.any(steps > 0):
        return times
    runs = [(value, len(list(same))) for value, same in groupby(times.tolist())]
    usual = int(np.median([n for _, n in runs]))
    if max(n for _, n in runs) > 2 * usual + 1:
        return times
    unit_s = float(np.median([b[0] - a[0] for a, b in pairwise(runs)]))
    spread: list[float] = []
    for i, (value, n) in enumerate(runs):
        n_slots = max(n, usual) if i in (0, len(runs) - 1) else n
        first = n_slots - n if i == 0 else 0  # the first second may be cut at its beginning, the last at its end
        spread += [value + unit_s * (first + k) / n_slots for k in range(n)]
    warnings.add(f"{where.name}: timestamps are rounded to {unit_s:g} s, {usual} images share one: spread evenly")
    return np.array(spread)
