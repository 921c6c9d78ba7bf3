"""Timestamps of a live stream: the source's own clock if it has one, else the time of arrival."""

SMALLEST_STEP_S = 1e-6
AHEAD_S = 60.0
"""A clock that gains so much on the time of arrival from one frame to the next is wrong: streams buffer for less."""


class LiveClock:
    """Strictly increasing timestamps over any number of connections of one stream.

    A source that tells the time of day (`is_absolute`) is trusted; one that counts from its own zero (pts)
    is put at the arrival of the connection's first frame and runs by its own clock from there; a clock that runs
    backwards, or ahead by more than AHEAD_S, is put at the time of arrival again. So one wild stamp moves no other.
    """

    def __init__(self) -> None:
        self._offset_s: float | None = None
        self._last_s = float("-inf")
        self._last_arrival_s = 0.0
        self._has_begun = False

    def reconnected(self) -> None:
        """The next frame comes from a new connection."""
        self._offset_s = None

    def stamp(self, source_s: float | None, arrival_s: float, is_absolute: bool = False) -> float:
        """Time (s) of a frame that arrived at arrival_s (s, the same epoch for all frames)."""
        if source_s is None:
            time_s = arrival_s
        else:
            if self._offset_s is None:
                self._offset_s = 0.0 if is_absolute else arrival_s - source_s
            time_s = source_s + self._offset_s
            waited_s = max(arrival_s - self._last_arrival_s, SMALLEST_STEP_S)
            is_ahead = self._has_begun and time_s - self._last_s > waited_s + AHEAD_S
            if time_s <= self._last_s or is_ahead:
                self._offset_s = self._last_s + waited_s - source_s
                time_s = source_s + self._offset_s
        self._last_s = max(time_s, self._last_s + SMALLEST_STEP_S)
        self._last_arrival_s, self._has_begun = arrival_s, True
        return self._last_s
