"""Says in which frames much of the image moves on its own."""

from collections.abc import Callable
from dataclasses import dataclass

from vgslam.frontend.moving_evidence import Departure

MUCH = 0.2
"""Share of the image that moves on its own, from which on the person is told."""
MIN_FRAMES = 6
"""Frames in which it must be seen to: fewer are failures of tracking."""
LARGEST_GAP = 15
"""Frames between two that are told of as one stretch: what moves is not seen to move in every frame."""


LEAST_CONFIRMED = 0.5
"""Share of a stretch's frames in which corners must leave their epipolar lines once the map is finished."""

StillSeen = Callable[[Departure], bool | None]
"""Whether a departure is seen between the final poses of its frames; None where they have none."""


@dataclass(frozen=True)
class _Seen:
    frame: int
    share: float
    departure: Departure


class MovingNote:
    """Keeps one line of `notes` up to date with the frames in which things move."""

    def __init__(self, notes: list[str]) -> None:
        self._notes, self._note = notes, ""
        self._stretches: list[list[_Seen]] = []

    def see(self, frame: int, share: float, departure: Departure) -> None:
        """Take the next frame's number in the run, the share of the image that moves on its own, 0 to 1, and how that
        was seen."""
        if share < MUCH:
            return
        if not self._stretches or frame - self._stretches[-1][-1].frame > LARGEST_GAP:
            self._stretches.append([])
        self._stretches[-1].append(_Seen(frame, share, departure))
        self._tell()

    def check(self, is_seen: StillSeen) -> None:
        """Take back what the finished map does not confirm: a pose that was wrong then makes the world seem to move."""
        self._stretches = [s for s in self._stretches if _is_confirmed(s, is_seen)]
        self._tell()

    def _tell(self) -> None:
        if self._note in self._notes:
            self._notes.remove(self._note)
        told = [s for s in self._stretches if len(s) >= MIN_FRAMES]
        if not told:
            return
        most = max(seen.share for stretch in told for seen in stretch)
        where = ", ".join(f"{s[0].frame}-{s[-1].frame}" for s in told)
        self._note = (
            f"much of the image (up to {100 * most:.0f} %) moves on its own in frames {where}: it is "
            "ignored, and poses there rest on what is left"
        )
        self._notes.append(self._note)


def _is_confirmed(stretch: list[_Seen], is_seen: StillSeen) -> bool:
    answers = [answer for seen in stretch if (answer := is_seen(seen.departure)) is not None]
    return not answers or sum(answers) >= LEAST_CONFIRMED * len(answers)
