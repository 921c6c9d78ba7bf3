"""Results and map saved on a thread of their own, so that a slow disk is never waited for."""

from typing import Protocol

from vgslam.beside import Lane, ThreadLane
from vgslam.map.slam_map import SlamMap
from vgslam.session.late_steps import LateSteps
from vgslam.two_lanes import TwoLaneSystem


class Saved(Protocol):
    """What is saved along the way."""

    steps: LateSteps

    @property
    def saves_due(self) -> tuple[bool, bool]: ...

    def save_frozen(self, frozen: SlamMap, due: tuple[bool, bool]) -> None: ...


class SavingBeside:
    """Saves while tracking and mapping go on: the mapping lane takes a copy of the map between two keyframes, and a
    thread writes it. While it writes, nothing else becomes due."""

    def __init__(self, lane: Lane[None] | None = None) -> None:
        self._lane: Lane[None] = ThreadLane("vgslam-saving") if lane is None else lane

    def when_due(self, slam: TwoLaneSystem, run: Saved) -> None:
        """Begin to save if that is due, and the save before and the keyframe in work have ended."""
        if self._lane.is_done:
            self._take(run)
        if self._lane.is_busy or not any(due := run.saves_due):
            return

        def begin() -> None:
            frozen = slam.map.frozen()
            self._lane.start(lambda: run.save_frozen(frozen, due))

        slam.between_keyframes(begin)

    def rest(self, run: Saved) -> None:
        """Wait for the save that runs."""
        if self._lane.is_busy:
            self._take(run)

    def _take(self, run: Saved) -> None:
        try:
            self._lane.take()
        except Exception as error:
            run.steps.failed("saving along the way", error)
