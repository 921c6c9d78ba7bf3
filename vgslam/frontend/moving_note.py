"""Says in which frames much of the image moves on its own."""

MUCH = 0.2
"""Share of the image that moves on its own, from which on the person is told."""
MIN_FRAMES = 6
"""Frames in which it must be seen to: fewer are failures of tracking."""
LARGEST_GAP = 15
"""Frames between two that are told of as one stretch: what moves is not seen to move in every frame."""


class MovingNote:
    """Keeps one line of `notes` up to date with the frames in which things move."""

    def __init__(self, notes: list[str]) -> None:
        self._notes, self._note = notes, ""
        self._stretches: list[list[int]] = []  # first frame, last frame, frames that count
        self._most = 0.0

    def see(self, frame: int, share: float) -> None:
        """Take the next frame's number in the run, and the share of the image that moves on its own, 0 to 1."""
        if share < MUCH:
            return
        if not self._stretches or frame - self._stretches[-1][1] > LARGEST_GAP:
            self._stretches.append([frame, frame, 0])
        self._stretches[-1][1], self._stretches[-1][2] = frame, self._stretches[-1][2] + 1
        self._most = max(self._most, share)
        self._tell()

    def _tell(self) -> None:
        told = [f"{a}-{b}" for a, b, n in self._stretches if n >= MIN_FRAMES]
        if not told:
            return
        if self._note in self._notes:
            self._notes.remove(self._note)
        self._note = (
            f"much of the image (up to {100 * self._most:.0f} %) moves on its own in frames {', '.join(told)}: it is "
            "ignored, and poses there rest on what is left"
        )
        self._notes.append(self._note)
