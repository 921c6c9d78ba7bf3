"""Timestamps that are not a clock's: restarts shifted on, wild stamps left out, missing ones filled in.

The stamps are read once, with a lookahead of a few. Of what the lookahead allows, the cheapest explanation is taken: a
stamp is left out (cost 1), or the clock starts again there (RESTART_COST), so that one bad stamp never costs more than
its own image and a restart costs none. Stamps that increase are passed on as they are.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from math import inf, nextafter
from statistics import median_low
from typing import Generic, TypeVar

T = TypeVar("T")

LOOKAHEAD = 10
"""Stamps seen beyond the one that is decided. More than RETURN_COST, so that a clock that stays back is believed."""
RESTART_COST = 2.5
"""A clock that runs backwards for three images has started again; for fewer, their stamps are wrong."""
RETURN_COST = 6.0
"""A clock that jumped ahead and comes back to where it was: up to five images had wrong stamps in between."""
LONE_COST = 1.1
"""A first or last stamp far from all others is left out rather than believed: nothing beyond it speaks for it."""
JUMP_COST = 0.3
"""A jump ahead: of two stamps of which one must be wrong it is the one that is reached by a jump."""
LONGEST_WAIT = 1000
"""Items read ahead of a first stamp."""
JUMP_STEPS, FAR_STEPS, FAR_S = 10.0, 1000.0, 10.0
"""A jump, in typical steps; far apart, in typical steps and in s: longer than a pause before the last image."""
CATCH_UP = 1e-3
"""Step, in typical ones, where the times filled in have overtaken the clock."""
SHORTEST_STEP_S = 1e-6
"""Steps that are shorter are no camera's."""
N_STEPS = 31
"""Steps of which the median is the typical one."""


class Verdict(Enum):
    """What became of a stamp."""

    GOOD = "as it is, or shifted like those before"
    RESTARTED = "the clock starts again: shifted on from here"
    FILLED = "there was none: filled in"
    DUPLICATE = "left out: equal to the one before"
    DECREASING = "left out: less than the one before, unlike those after"
    WILD = "left out: far ahead of the one before and those after"


@dataclass(frozen=True)
class Stamped(Generic[T]):
    """An item with its time. time_s: None for those left out; strictly increasing over the others."""

    item: T
    time_s: float | None
    verdict: Verdict


def repaired(
    items: Iterable[T], stamp_of: Callable[[T], float | None], nominal_step_s: float,
    lead: tuple[int, float] | None = None,
) -> Iterator[Stamped[T]]:  # fmt: skip
    """All items in order, each with its time in s and what became of its stamp. stamp_of: the finite stamp of an item
    in s, or None. nominal_step_s: where no two stamps tell the step. Stamps missing before the first are counted back
    from it; where that leads below zero and the first stamp is not, all times are shifted to begin with zero. lead: how
    many items come before the first stamp, and that stamp, if known; else they are read ahead, up to LONGEST_WAIT."""
    clock = _Clock(nominal_step_s, lead)
    waiting: deque[tuple[T, float | None]] = deque()
    stream = iter(items)
    is_open = True
    while is_open or waiting:
        while is_open and (len(waiting) <= LOOKAHEAD or _lacks_a_stamp(waiting, clock)):
            try:
                item = next(stream)
            except StopIteration:
                is_open = False
            else:
                waiting.append((item, stamp_of(item)))
        if waiting:
            time_s, verdict = clock.decide([stamp for _, stamp in waiting], is_open)
            yield Stamped(waiting.popleft()[0], time_s, verdict)


def _lacks_a_stamp(waiting: deque[tuple[T, float | None]], clock: "_Clock") -> bool:
    """Whether two stamps must be waited for, which say when the first items were."""
    if clock.has_begun or clock.lead is not None or waiting[0][1] is not None or len(waiting) >= LONGEST_WAIT:
        return False
    return sum(stamp is not None for _, stamp in waiting) < 2


@dataclass
class _Path:
    """Best explanation so far that keeps a stamp. before_jump: (its place, the stamp before) of the last jump ahead."""

    cost: float
    first: int
    restarts: bool
    before_jump: tuple[int, float] | None = None


@dataclass
class _Clock:
    """The state behind the stamps already decided."""

    nominal_step_s: float
    lead: tuple[int, float] | None = None
    last_stamp: float | None = None
    last_s: float | None = None
    offset_s: float = 0.0
    n_kept: int = 0
    before_jump: tuple[int, float] | None = None
    """(Place relative to the next stamp, stamp before it) of the last jump ahead."""
    steps_s: deque[float] = field(default_factory=lambda: deque(maxlen=N_STEPS))

    @property
    def has_begun(self) -> bool:
        """Whether a time has been given."""
        return self.last_s is not None

    def decide(self, window: Sequence[float | None], is_open: bool) -> tuple[float | None, Verdict]:
        """Time and verdict of the first stamp of the window. is_open: whether more follow behind the window."""
        stamps = [stamp for stamp in window if stamp is not None]
        step_s = self._typical_step(stamps)
        if window[0] is None:
            return self._filled(window, step_s), Verdict.FILLED
        if stamps[0] == self.last_stamp:
            return None, Verdict.DUPLICATE
        keeps, restarts = self._explained(stamps, step_s, is_open)
        if self.before_jump is not None:
            self.before_jump = (self.before_jump[0] - 1, self.before_jump[1])
        if not keeps:
            is_less = self.last_stamp is not None and stamps[0] < self.last_stamp
            return None, Verdict.DECREASING if is_less else Verdict.WILD
        return self._kept(stamps[0], restarts, step_s)

    def _kept(self, stamp: float, restarts: bool, step_s: float) -> tuple[float | None, Verdict]:
        if restarts and self.last_s is not None:
            self.offset_s, self.before_jump = self.last_s + step_s - stamp, None
        elif self.last_stamp is not None and stamp - self.last_stamp > JUMP_STEPS * step_s:
            self.before_jump = (-1, self.last_stamp)
        time_s = stamp + self.offset_s
        if self.last_s is not None and time_s <= self.last_s:  # after times that were filled in
            time_s = self.last_s + CATCH_UP * step_s
            if time_s <= self.last_s:
                return None, Verdict.DUPLICATE
        if self.last_s is not None and not restarts:
            self.steps_s.append(time_s - self.last_s)
        self.last_stamp, self.last_s, self.n_kept = stamp, time_s, self.n_kept + 1
        return time_s, Verdict.RESTARTED if restarts else Verdict.GOOD

    def _typical_step(self, stamps: list[float]) -> float:
        """Median of the steps so far, in s; of those ahead too while there are few."""
        ahead = [] if len(self.steps_s) >= LOOKAHEAD else [b - a for a, b in pairwise(stamps)]
        steps = [*self.steps_s, *(step for step in ahead if step > 0)]
        return max(median_low(steps), SHORTEST_STEP_S) if steps else self.nominal_step_s

    def _filled(self, window: Sequence[float | None], step_s: float) -> float:
        """A time for a missing stamp: on by a step, but not beyond the stamp that follows."""
        n, stamp = next(((i, s) for i, s in enumerate(window) if s is not None), (0, None))
        if self.last_s is None:
            n, stamp = self.lead or (n, stamp)
            first_s = 0.0 if stamp is None else stamp - n * step_s
            if first_s < 0.0 and (stamp is None or stamp >= 0.0):
                self.offset_s, first_s = -first_s, 0.0
            self.last_s = first_s
            return first_s
        if stamp is not None and stamp + self.offset_s > self.last_s:
            step_s = min(step_s, (stamp + self.offset_s - self.last_s) / (n + 1))
        self.last_s = max(self.last_s + step_s, nextafter(self.last_s, inf))
        return self.last_s

    def _explained(self, stamps: list[float], step_s: float, is_open: bool) -> tuple[bool, bool]:
        """Whether the cheapest explanation keeps the first stamp, and whether the clock starts again there: dynamic
        programming over the stamp kept last, as for a longest increasing subsequence with restarts."""
        if is_open and self.last_stamp is not None and _increase([self.last_stamp, *stamps]):
            return True, False
        paths: list[_Path] = []
        best = (float(len(stamps)), False, False)
        for j, stamp in enumerate(stamps):
            is_last = j == len(stamps) - 1 and not is_open
            path = self._from_before(j, stamp, step_s, is_last)
            for i in range(j):
                before = paths[i]
                is_lone = is_last or (i == before.first and self.n_kept == 0)
                cost, _, jump = _passage(stamps[i], stamp, before.before_jump, j, step_s, is_lone)
                if before.cost + (j - i - 1) + cost < path.cost:
                    path = _Path(before.cost + (j - i - 1) + cost, before.first, before.restarts, jump)
            paths.append(path)
            total = path.cost + (len(stamps) - 1 - j)
            if total < best[0] or (total == best[0] and path.first == 0 and not best[1]):
                best = (total, path.first == 0, path.restarts)
        return best[1], best[2]

    def _from_before(self, j: int, stamp: float, step_s: float, is_last: bool) -> _Path:
        """The path that leaves out all stamps of the window before place j."""
        if self.last_stamp is None:
            return _Path(float(j), j, False)
        cost, restarts, jump = _passage(self.last_stamp, stamp, self.before_jump, j, step_s, is_last)
        return _Path(j + cost, j, restarts, jump)


def _increase(stamps: Sequence[float]) -> bool:
    return all(a < b for a, b in pairwise(stamps))


def _passage(
    a: float, b: float, before_jump: tuple[int, float] | None, place: int, step_s: float, is_lone: bool
) -> tuple[float, bool, tuple[int, float] | None]:  # fmt: skip
    """Cost of stamp b after stamp a, whether the clock starts again between them, and the last jump ahead then."""
    if before_jump is not None and place - before_jump[0] > LOOKAHEAD:
        before_jump = None
    if b > a:
        is_jump = b - a > JUMP_STEPS * step_s
        is_far = is_lone and b - a > max(FAR_STEPS * step_s, FAR_S)
        cost = LONE_COST if is_far else JUMP_COST if is_jump else 0.0
        return cost, False, (place, a) if is_jump else before_jump
    if b == a:
        return inf, False, before_jump
    is_return = before_jump is not None and b > before_jump[1]
    return RETURN_COST if is_return else RESTART_COST, True, None
